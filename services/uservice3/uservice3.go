// Package uservice3 is uservice1 plus tracing: a mock Redis command, a call to uservice4, and then a page.
package uservice3

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/contrib/propagators/jaeger"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

//go:embed hello-world.html
var page []byte
var secretHeader = regexp.MustCompile(`(?i)auth|cookie|credential|key|passw|secret|session|signature|token`)
var terminalControl = regexp.MustCompile(`[^\P{C}\n\t]|\x{2028}|\x{2029}`)
var client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 30 * time.Second}

type service struct {
	stdout     io.Writer                     // each message is one Write, so that two requests never share a line
	redis      func(context.Context)         // the mock command: takes its time, or returns as ctx ends
	next       *http.Request                 // the call to the other service, cloned for each request
	tracer     trace.Tracer                  // makes spans
	propagator propagation.TextMapPropagator // carries their ids from one service to the next, in a header
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, env func(string) string, stdout io.Writer) error {
	redis, redisErr := newMock(cmp.Or(env("ETUDE_MOCK_REDIS"), "100ms-199ms"))
	next, nextErr := http.NewRequest(http.MethodGet, cmp.Or(env("ETUDE_NEXT_URL"), "http://127.0.0.1:8084/"), nil)
	listener, listenErr := net.Listen("tcp", cmp.Or(env("ETUDE_LISTEN_ADDR"), "127.0.0.1:8083"))
	exporter, exporterErr := newExporter(ctx, env, stdout)
	if err := errors.Join(redisErr, nextErr, listenErr, exporterErr); err != nil { // every mistake at once
		return fmt.Errorf("start uservice3 (settings: ETUDE_MOCK_REDIS, ETUDE_NEXT_URL): %w", err)
	}
	provider := newTracerProvider(ctx, exporter, env("ETUDE_SPAN_PROCESSOR"))
	defer provider.Shutdown(context.Background()) // last of all, when the requests have ended their spans
	s := &service{stdout, redis, next, provider.Tracer("uservice3"), autoprop.NewTextMapPropagator(jaeger.Jaeger{})}
	fmt.Fprintf(stdout, "Listening on %s\n", listener.Addr())
	return serve(ctx, listener, s.handleIncomingCall)
}

// newTracerProvider returns the maker of tracers. Its resource says who made the spans: system, process, service.
func newTracerProvider(ctx context.Context, exporter sdk.SpanExporter, processor string) *sdk.TracerProvider {
	send := sdk.WithSyncer(exporter) // simple: each span is sent as it ends, and the request waits for that
	if processor == "batch" {
		send = sdk.WithBatcher(exporter) // for production: many spans at a time, in the background
	}
	self, _ := resource.New(ctx, resource.WithOSType(), resource.WithProcessPID(), resource.WithProcessCommandArgs(),
		resource.WithAttributes(attribute.String("service.name", "uservice3")), resource.WithFromEnv())
	return sdk.NewTracerProvider(sdk.WithResource(self), sdk.WithSampler(sdk.AlwaysSample()), send)
}

func newExporter(ctx context.Context, env func(string) string, stdout io.Writer) (sdk.SpanExporter, error) {
	switch name := cmp.Or(env("OTEL_TRACES_EXPORTER"), "otlp"); name {
	case "otlp": // to a backend. While it is away gRPC dials in the background: spans are lost, requests go on
		url := cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), env("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://127.0.0.1:4317")
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(url), otlptracegrpc.WithTimeout(time.Second),
			otlptracegrpc.WithReconnectionPeriod(time.Second), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}))
	case "console": // to the terminal, for debugging
		return stdouttrace.New(stdouttrace.WithWriter(stdout), stdouttrace.WithPrettyPrint())
	case "none": // nowhere, but the ids still travel on, so that other services can trace
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER is %q, want otlp, console or none", name)
	}
}

func serve(ctx context.Context, listener net.Listener, handler http.HandlerFunc) error { // until ctx is cancelled
	requests, cutShort := context.WithCancel(context.Background())
	server := &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return requests }}
	go server.Serve(listener) // ends with Shutdown
	<-ctx.Done()
	time.AfterFunc(600*time.Millisecond, cutShort) // the requests in flight answer with an error
	time.AfterFunc(time.Second, func() { server.Close() })
	return server.Shutdown(context.Background())
}

func (s *service) handleIncomingCall(w http.ResponseWriter, r *http.Request) {
	ctx := s.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header)) // the caller's span is our parent
	ctx, span := s.tracer.Start(ctx, "handle_incoming_call", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	s.printRequest(r)
	span.AddEvent("Request decoded!", trace.WithAttributes(attribute.Bool("happened", true)))
	span.SetStatus(codes.Error, "no error") // an example: the viewer shows a failure where there is none
	if err := s.redisCall(ctx); err != nil {
		span.SetStatus(codes.Error, err.Error())
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(page)
}

// printRequest prints the headers, sorted, one a line. %+q escapes characters that a terminal would execute.
func (s *service) printRequest(r *http.Request) {
	lines := []string{fmt.Sprintf("    \"host\": %+q,\n", r.Host)}
	for name, values := range r.Header {
		value := strings.Join(values, ", ")
		if secretHeader.MatchString(name) {
			value = "[redacted]"
		}
		lines = append(lines, fmt.Sprintf("    %+q: %+q,\n", strings.ToLower(name), value))
	}
	slices.Sort(lines)
	fmt.Fprintf(s.stdout, "Request: {\n%s}\n", strings.Join(lines, ""))
}

func (s *service) redisCall(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "redis_call")
	span.SetAttributes(attribute.String("test-attribute-1", "test-values-1"))
	defer span.End() // after the call to the other service, whose span is a child of this one
	s.redis(ctx)
	return s.otherUserviceCall(ctx)
}

func (s *service) otherUserviceCall(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "other_uservice_call", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	request := s.next.Clone(ctx)
	s.propagator.Inject(ctx, propagation.HeaderCarrier(request.Header)) // here uservice4 finds its parent
	fmt.Fprintf(s.stdout, "Calling %s\n", request.URL.Redacted())
	response, err := client.Do(request)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
		return fmt.Errorf("call uservice4 (is it running? start it, or set ETUDE_NEXT_URL): %w", err)
	}
	defer response.Body.Close()
	span.AddEvent("Got response!", trace.WithAttributes(attribute.String("status", response.Status),
		attribute.String("traceresponse", response.Header.Get("traceresponse"))))
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	text := terminalControl.ReplaceAllString(strings.ToValidUTF8(string(body), "?"), "?")
	fmt.Fprintf(s.stdout, "Got response!\nStatus: %d %s\nBody: %s",
		response.StatusCode, http.StatusText(response.StatusCode), text)
	return err
}

func newMock(text string) (func(context.Context), error) { // text: "100ms-199ms", ends included, or "0"
	from, to, _ := strings.Cut(text, "-")
	low, lowErr := time.ParseDuration(from)
	high, highErr := time.ParseDuration(cmp.Or(to, from))
	if lowErr != nil || highErr != nil || low > high || high > time.Hour {
		return nil, fmt.Errorf("want a range such as 100ms-199ms, or 0, got %q", text)
	}
	return func(ctx context.Context) {
		ctx, stop := context.WithTimeout(ctx, low+rand.N(high-low+1))
		defer stop()
		<-ctx.Done()
	}, nil
}
