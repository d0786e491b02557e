// Package uservice3 is uservice1 plus tracing: a mock Redis command, a call to uservice4, and then a page.
package uservice3

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
var client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 30 * time.Second}

type service struct {
	log        *log.Logger   // writes a message at a time: two requests never share a line
	next       *http.Request // the call to the other service, made anew for each request
	low, high  time.Duration // the mock Redis command takes between low and high, ends included
	propagator propagation.TextMapPropagator
	tracer     trace.Tracer
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	from, to, _ := strings.Cut(cmp.Or(getenv("ETUDE_MOCK_REDIS"), "100ms-199ms"), "-")
	low, err1 := time.ParseDuration(from)
	high, err2 := time.ParseDuration(cmp.Or(to, from))
	next, err3 := http.NewRequest(http.MethodGet, cmp.Or(getenv("ETUDE_NEXT_URL"), "http://127.0.0.1:8084/"), nil)
	if cmp.Or(err1, err2, err3) != nil || low > high || high > time.Hour {
		return fmt.Errorf("want ETUDE_MOCK_REDIS=100ms-199ms (or 0) and ETUDE_NEXT_URL=URL, got %q and %v", from+"-"+to, err3)
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
		resource.WithAttributes(attribute.String("service.name", "uservice3")), resource.WithFromEnv())
	provider := sdk.NewTracerProvider(sdk.WithResource(self), sdk.WithSampler(sdk.AlwaysSample()), send)
	defer provider.Shutdown(context.Background()) // last of all, when the requests have ended their spans
	s := &service{log: log.New(stdout, "", 0), next: next, low: low, high: high, tracer: provider.Tracer("uservice3"),
		propagator: autoprop.NewTextMapPropagator(jaeger.Jaeger{})} // OTEL_PROPAGATORS may name others
	listener, err2 := net.Listen("tcp", cmp.Or(getenv("ETUDE_LISTEN_ADDR"), "127.0.0.1:8083"))
	if err := cmp.Or(err1, err2); err != nil {
		return fmt.Errorf("start uservice3: %w", err)
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
	span.AddEvent("Request decoded!", trace.WithAttributes(attribute.Bool("happened", true)))
	span.SetStatus(codes.Error, "no error") // an example: the viewer shows a failure where there is none
	if err := s.redisCall(ctx); err != nil {
		span.SetStatus(codes.Error, err.Error())
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(page)
}

func (s *service) redisCall(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "redis_call", trace.WithAttributes(attribute.String("test-attribute-1", "test-values-1")))
	defer span.End() // after the call to the other service, whose span is a child of this one
	command, done := context.WithTimeout(ctx, s.low+rand.N(s.high-s.low+1))
	defer done()
	<-command.Done()
	return s.otherUserviceCall(ctx)
}

func (s *service) otherUserviceCall(ctx context.Context) error {
	ctx, span := s.tracer.Start(ctx, "other_uservice_call", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	request := s.next.Clone(ctx)
	s.propagator.Inject(ctx, propagation.HeaderCarrier(request.Header)) // here uservice4 finds its parent
	s.log.Printf("Calling %s", request.URL)
	response, err := client.Do(request)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
		return fmt.Errorf("call uservice4 (is it running? start it, or set ETUDE_NEXT_URL): %w", err)
	}
	defer response.Body.Close()
	span.AddEvent("Got response!", trace.WithAttributes(attribute.String("status", response.Status),
		attribute.String("traceresponse", response.Header.Get("traceresponse"))))
	body, err := io.ReadAll(response.Body)
	s.log.Printf("Got response!\nStatus: %s\nBody: %s", response.Status, body)
	return err
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
