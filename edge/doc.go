// Package edge is the reverse proxy in front of the services: the place where
// a trace begins.
//
// One request passes through the files in this order: path.go cleans its path,
// entrypoint.go asks router.go for the route, tracing.go chooses the ids of its
// two spans; proxy.go writes the trace context into the headers and forwards;
// balance.go picks the server; when the answer is complete, tracing.go writes the
// spans as bytes into the queue, which sends them in the background.
//
// What it guarantees: a request never waits for tracing, for a reload or for
// the dashboard. A reload swaps one pointer; requests in flight finish on the
// routes with which they began. A configuration that does not load never
// replaces one that did.
//
// The configuration is Traefik's dynamic configuration (HTTP routers and load
// balancers), and the spans are those of Traefik 2.11 with its Jaeger tracer,
// so that either can stand in for the other. What the configuration may hold
// beyond that (middlewares, TLS, weighted services) is refused by name rather
// than ignored, since ignoring it would change what a request meets.
package edge
