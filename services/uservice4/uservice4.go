// Package uservice4 is uservice2 plus tracing: a mock database query, and then a page.
package uservice4

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

type service struct {
	stdout     io.Writer                     // each message is one Write, so that two requests never share a line
	database   func(context.Context)         // the mock query: takes its time, or returns as ctx ends
	tracer     trace.Tracer                  // makes spans
	propagator propagation.TextMapPropagator // carries their ids from one service to the next, in a header
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, env func(string) string, stdout io.Writer) error {
	database, databaseErr := newMock(cmp.Or(env("ETUDE_MOCK_DATABASE"), "1000ms-1999ms"))
	listener, listenErr := net.Listen("tcp", cmp.Or(env("ETUDE_LISTEN_ADDR"), "127.0.0.1:8084"))
	exporter, exporterErr := newExporter(ctx, env, stdout)
	if err := errors.Join(databaseErr, listenErr, exporterErr); err != nil { // every mistake at once
		return fmt.Errorf("start uservice4 (settings: ETUDE_MOCK_DATABASE): %w", err)
	}
	provider := newTracerProvider(ctx, exporter, env("ETUDE_SPAN_PROCESSOR"))
	defer provider.Shutdown(context.Background()) // last of all, when the requests have ended their spans
	s := &service{stdout, database, provider.Tracer("uservice4"), autoprop.NewTextMapPropagator(jaeger.Jaeger{})}
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
		resource.WithAttributes(attribute.String("service.name", "uservice4")), resource.WithFromEnv())
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
	if err := s.databaseCall(ctx); err != nil {
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

func (s *service) databaseCall(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "database_call")
	defer span.End()
	s.database(ctx)
	return ctx.Err() // not nil when the client has gone
}

func newMock(text string) (func(context.Context), error) { // text: "1000ms-1999ms", ends included, or "0"
	from, to, _ := strings.Cut(text, "-")
	low, lowErr := time.ParseDuration(from)
	high, highErr := time.ParseDuration(cmp.Or(to, from))
	if lowErr != nil || highErr != nil || low > high || high > time.Hour {
		return nil, fmt.Errorf("want a range such as 1000ms-1999ms, or 0, got %q", text)
	}
	return func(ctx context.Context) {
		ctx, stop := context.WithTimeout(ctx, low+rand.N(high-low+1))
		defer stop()
		<-ctx.Done()
	}, nil
}
