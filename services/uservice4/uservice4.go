// Package uservice4 is uservice2 plus tracing: a mock database query, and then a page.
package uservice4

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
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

type service struct {
	log        *log.Logger   // writes a message at a time: two requests never share a line
	low, high  time.Duration // the mock query takes between low and high, ends included
	propagator propagation.TextMapPropagator
	tracer     trace.Tracer
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	from, to, _ := strings.Cut(cmp.Or(getenv("ETUDE_MOCK_DATABASE"), "1000ms-1999ms"), "-")
	low, err1 := time.ParseDuration(from)
	high, err2 := time.ParseDuration(cmp.Or(to, from))
	if cmp.Or(err1, err2) != nil || low > high || high > time.Hour {
		return fmt.Errorf("want ETUDE_MOCK_DATABASE=1000ms-1999ms (or 0), got %q", from+"-"+to)
	}
	var exporter sdk.SpanExporter // nil for none: the ids still travel on, so that others can trace
	switch name := cmp.Or(getenv("OTEL_TRACES_EXPORTER"), "otlp"); name {
	case "otlp":
		url := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://127.0.0.1:4317")
		timeout, _ := time.ParseDuration(cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"), getenv("OTEL_EXPORTER_OTLP_TIMEOUT")) + "ms")
		otlp, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(url),
			otlptracegrpc.WithTimeout(cmp.Or(timeout, time.Second)), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}))
		exporter, err1 = &backend{SpanExporter: otlp}, err
	case "console": // prints the spans: for debugging
		exporter, err1 = stdouttrace.New(stdouttrace.WithWriter(stdout), stdouttrace.WithPrettyPrint())
	case "none":
	default:
		err1 = fmt.Errorf("OTEL_TRACES_EXPORTER=%q is none of otlp, console, none", name)
	}
	send := sdk.WithSyncer(exporter) // each span is sent as it ends, and the request waits for it
	if getenv("ETUDE_SPAN_PROCESSOR") == "batch" {
		send = sdk.WithBatcher(exporter) // what production wants: many spans at a time, in the background
	}
	self, _ := resource.New(ctx, resource.WithOSType(), resource.WithProcessPID(), resource.WithProcessCommandArgs(),
		resource.WithAttributes(attribute.String("service.name", "uservice4")), resource.WithFromEnv())
	provider := sdk.NewTracerProvider(sdk.WithResource(self), sdk.WithSampler(sdk.AlwaysSample()), send)
	defer provider.Shutdown(context.Background()) // last of all, when the requests have ended their spans
	s := &service{log: log.New(stdout, "", 0), low: low, high: high, tracer: provider.Tracer("uservice4"),
		propagator: autoprop.NewTextMapPropagator(jaeger.Jaeger{})} // OTEL_PROPAGATORS may name others
	listener, err2 := net.Listen("tcp", cmp.Or(getenv("ETUDE_LISTEN_ADDR"), "127.0.0.1:8084"))
	if err := cmp.Or(err1, err2); err != nil {
		return fmt.Errorf("start uservice4: %w", err)
	}
	s.log.Printf("Listening on %s", listener.Addr())
	requests, cutShort := context.WithCancel(context.Background())
	server := &http.Server{Handler: s, BaseContext: func(net.Listener) context.Context { return requests },
		DisableGeneralOptionsHandler: true, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener)
	<-ctx.Done()
	time.AfterFunc(800*time.Millisecond, cutShort) // a request cut short can still say so
	time.AfterFunc(time.Second, func() { server.Close() })
	return server.Shutdown(context.Background())
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) { // of every path and method
	ctx := s.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header)) // the caller's span is our parent
	ctx, span := s.tracer.Start(ctx, "handle_incoming_call", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	headers, _ := httputil.DumpRequest(r, false)
	s.log.Printf("Request: \n%s", headers)
	if err := s.databaseCall(ctx); err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(page)
}

func (s *service) databaseCall(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "database_call")
	defer span.End()
	query, done := context.WithTimeout(ctx, s.low+rand.N(s.high-s.low+1))
	defer done()
	<-query.Done()
	return ctx.Err()
}

// backend sends spans by OTLP. While the real one is away it costs a time-out every 3 s, not one a request.
type backend struct {
	sdk.SpanExporter
	retry time.Time // no lock: the span processor exports one at a time
}

func (b *backend) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) (err error) {
	if time.Now().Before(b.retry) {
		return nil
	}
	if err = b.SpanExporter.ExportSpans(ctx, spans); err != nil {
		b.retry, err = time.Now().Add(3*time.Second), fmt.Errorf("spans are lost (is the backend running?), next try in 3 s: %w", err)
	}
	return err // the SDK prints it
}
