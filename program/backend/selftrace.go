package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"

	"etude/program/access"
	"etude/program/listen"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/credentials"

	"etude/api"
	"etude/internal/door"
	"etude/query"
	"etude/store"
)

// The backend can trace itself. Only requests of users get a span: the queries of the API, and the replay of
// the log at startup. Work that a span of its own causes gets none: receiving, storing, sealing and dropping
// spans, exporting, scraping. So one query makes a handful of spans, and these cause no further spans, even
// when the backend sends them to itself.

// SelfTraceFlags control the backend's own traces.
type SelfTraceFlags struct {
	SelfTrace      selfTraceTarget `name:"self-trace" env:"ETUDE_SELF_TRACE" help:"Trace the backend's own queries, and send the spans to its own OTLP port, or with =URL to another OTLP endpoint: over HTTP when the URL has a path or port 4318, otherwise over gRPC."`
	SelfTraceRatio float64         `name:"self-trace-ratio" env:"ETUDE_SELF_TRACE_RATIO" default:"1" help:"Share of the backend's own traces to keep, 0 to 1; for traces that a caller began, the caller's decision holds."`
}

// Check checks the flags before the backend opens anything.
func (f *SelfTraceFlags) Check() error {
	if !(f.SelfTraceRatio >= 0 && f.SelfTraceRatio <= 1) {
		return fmt.Errorf("--self-trace-ratio %v: want a share from 0 to 1", f.SelfTraceRatio)
	}
	return nil
}

// selfTraceTarget is a flag with an optional value: off, own, or the URL of an OTLP endpoint. Without a value
// it means own.
type selfTraceTarget struct {
	on  bool
	url *url.URL // nil for the backend's own port
}

// IsBool tells kong that the value may be missing.
func (t *selfTraceTarget) IsBool() bool { return true }

// Decode parses the value from the command line or the environment.
func (t *selfTraceTarget) Decode(ctx *kong.DecodeContext) error {
	text := "own"
	if next := ctx.Scan.Peek(); next.Type == kong.FlagValueToken {
		text = fmt.Sprint(ctx.Scan.Pop().Value)
	}
	return t.parse(text)
}

func (t *selfTraceTarget) parse(text string) error {
	switch strings.ToLower(text) {
	case "", "off", "false", "0", "no":
		*t = selfTraceTarget{}
		return nil
	case "own", "true", "1", "yes", "on":
		*t = selfTraceTarget{on: true}
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not an OTLP endpoint: want http://HOST:PORT, own or off", text)
	}
	*t = selfTraceTarget{on: true, url: u}
	return nil
}

func (t *selfTraceTarget) String() string {
	switch {
	case !t.on:
		return "off"
	case t.url == nil:
		return "own"
	}
	return t.url.String()
}

// selfTrace makes the backend's own spans. A nil *selfTrace makes none.
type selfTrace struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
}

// selfName is the service name and the scope of the backend's own spans.
const (
	selfName  = "etude-backend"
	selfScope = "etude/program"
)

const (
	// selfDelay is the longest time a span waits to be sent with others.
	selfDelay = time.Second
	// selfFlush limits the time for sending at shutdown.
	selfFlush = time.Second
	// selfTextLimit bounds a query's text in an attribute, in bytes.
	selfTextLimit = 4 << 10
)

// selfTarget is the destination of the backend's own spans.
type selfTarget struct {
	url     *url.URL
	headers map[string]string
	trust   *tls.Config // for https
}

// ownTarget is the backend's own OTLP port at addr.
func (b *backendRun) ownTarget(addr string) selfTarget {
	headers := b.cmd.ownHeaders()
	if b.doors.WantsToken("otlp-grpc") {
		headers = withLabel(headers, "authorization", access.Bearer(b.doors.OwnToken()))
	}
	return selfTarget{&url.URL{Scheme: b.cmd.Scheme("otlp-grpc"), Host: listen.DialAddr(addr)}, headers, b.doors.ClientTLS("otlp-grpc")}
}

// selfTarget returns the endpoint that --self-trace names, or the backend's own.
func (b *backendRun) selfTarget(own string) (t selfTarget, err error) {
	if b.cmd.SelfTrace.url == nil {
		return b.ownTarget(own), nil
	}
	t.url = b.cmd.SelfTrace.url
	if b.cmd.TokenFile != "" {
		authorization, err := b.cmd.Authorization(door.Ingest)
		if err != nil {
			return t, err
		}
		t.headers = map[string]string{"authorization": authorization}
	}
	if t.url.Scheme == "https" && b.cmd.CAFile != "" {
		t.trust, err = b.cmd.ClientTLS()
	}
	return t, err
}

// newSelfTrace returns nil when self-tracing is off. It sends nothing yet; an endpoint that does not answer is
// no error.
func newSelfTrace(ctx context.Context, f *SelfTraceFlags, target selfTarget, version string, log *slog.Logger) (*selfTrace, error) {
	if !f.SelfTrace.on {
		return nil, nil
	}
	exporter, err := newSelfExporter(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("trace this backend to %s: %w", target.url.Redacted(), err)
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithOSType(), resource.WithProcessPID(), resource.WithFromEnv(),
		resource.WithAttributes(attribute.String("service.name", selfName), attribute.String("service.version", version)))
	if err != nil { // a malformed OTEL_RESOURCE_ATTRIBUTES; res has all other attributes
		log.Warn("describe this process", "error", err)
	}
	// The exporters report errors only to this global handler.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("send the backend's own spans", "error", err) }))
	var batching []sdktrace.BatchSpanProcessorOption
	if os.Getenv("OTEL_BSP_SCHEDULE_DELAY") == "" {
		batching = append(batching, sdktrace.WithBatchTimeout(selfDelay))
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = selfTextLimit
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(f.SelfTraceRatio))),
		sdktrace.WithResource(res), sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithBatcher(exporter, batching...))
	return &selfTrace{provider: provider, tracer: provider.Tracer(selfScope, trace.WithInstrumentationVersion(version)),
		propagator: autoprop.NewTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})}, nil
}

// newSelfExporter sets only the options that the target decides, because an option overrides the
// OTEL_EXPORTER_OTLP_* variable of the same purpose.
func newSelfExporter(ctx context.Context, t selfTarget) (sdktrace.SpanExporter, error) {
	if path := strings.Trim(t.url.Path, "/"); path != "" || t.url.Port() == strconv.Itoa(listen.PortOTLPHTTP) {
		if path == "" {
			t.url = t.url.JoinPath("v1", "traces")
		}
		o := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(t.url.String())}
		if t.headers != nil {
			o = append(o, otlptracehttp.WithHeaders(t.headers))
		}
		if t.trust != nil {
			o = append(o, otlptracehttp.WithTLSClientConfig(t.trust))
		}
		return otlptracehttp.New(ctx, o...)
	}
	o := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(t.url.String())}
	if t.headers != nil {
		o = append(o, otlptracegrpc.WithHeaders(t.headers))
	}
	if t.trust != nil {
		o = append(o, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(t.trust)))
	}
	return otlptracegrpc.New(ctx, o...)
}

// close sends the waiting spans within selfFlush.
func (s *selfTrace) close() error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), selfFlush)
	defer cancel()
	if err := s.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("send the backend's own spans: %w", err)
	}
	return nil
}

// call is an [api.Observer]. It makes the SERVER span of a query, a child of the caller's span if there is one.
func (s *selfTrace) call(r *http.Request, c api.Call) (context.Context, func(status int)) {
	name, attrs := r.Method+" "+c.Route, []attribute.KeyValue{
		attribute.String("etude.query.kind", string(c.Kind)),
		attribute.String("user_agent.original", r.UserAgent()),
	}
	if c.GRPC {
		service, method, _ := strings.Cut(c.Route, "/")
		name = c.Route
		attrs = append(attrs, attribute.String("rpc.system", "grpc"), attribute.String("rpc.service", service), attribute.String("rpc.method", method))
	} else {
		attrs = append(attrs, attribute.String("http.request.method", r.Method), attribute.String("http.route", c.Route),
			attribute.String("url.path", r.URL.Path), attribute.String("url.query", r.URL.RawQuery))
	}
	ctx := s.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...))
	return ctx, func(status int) {
		if !c.GRPC {
			span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}

// stage makes the span of a stage of a query, a child of the call's span.
func (s *selfTrace) stage(ctx context.Context, stage query.Stage) (end func()) {
	if s == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return func() {}
	}
	_, span := s.tracer.Start(ctx, string(stage))
	return func() { span.End() }
}

// work adds the amount of work done to a call's span.
func (s *selfTrace) work(ctx context.Context, w query.Work) {
	span := trace.SpanFromContext(ctx)
	if s == nil || !span.IsRecording() {
		return
	}
	if w.Query != "" {
		span.SetAttributes(attribute.String("etude.query.text", w.Query))
	}
	if w.Spans > 0 {
		span.SetAttributes(attribute.Int("etude.query.inspected_spans", w.Spans))
	}
	span.SetAttributes(attribute.Int("etude.query.tables", w.Tables), attribute.Int("etude.query.results", w.Results))
}

// opened makes the span of the log's replay, which ended before self-tracing could start.
func (s *selfTrace) opened(began, ended time.Time, st store.Stats) {
	if s == nil {
		return
	}
	_, span := s.tracer.Start(context.Background(), "open store", trace.WithTimestamp(began), trace.WithAttributes(
		attribute.Int64("etude.store.replayed_spans", st.Replayed), attribute.Int("etude.store.tables", st.Tables),
		attribute.Int64("etude.store.disk_bytes", st.DiskBytes), attribute.Int64("etude.store.damaged_records", st.Damaged)))
	span.End(trace.WithTimestamp(ended))
}
