// Package edge is the reverse proxy in front of the services. Traces begin here.
//
// A request passes through the files in this order. path.go cleans its path. entrypoint.go gets the route from
// router.go. tracing.go chooses the ids of its two spans. proxy.go writes the trace context into the headers
// and forwards the request. balance.go picks the server. When the answer is complete, tracing.go writes the
// spans as bytes into the queue, which sends them in the background.
//
// Guarantees: a request never waits for tracing, for a reload or for the dashboard. A reload swaps one pointer;
// requests in flight finish on their old routes. A configuration that does not load never replaces one that
// did.
//
// The edge reads Traefik's dynamic configuration (HTTP routers and load balancers) and makes the spans of
// Traefik 2.11 with its Jaeger tracer, so each can replace the other. Unsupported parts of the configuration
// that would change the handling of a request (middlewares, TLS, weighted services) are errors, not warnings.
package edge
