package edge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scopeName is the instrumentation scope of the edge's spans.
const scopeName = "etude/edge"

// tracing makes the two spans of a request. Their names and attributes are
// those of Traefik 2.11 with its Jaeger tracer.
type tracing struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	component  attribute.KeyValue
	queue      *spanQueue // nil without exporter
	shutdown   func(context.Context) error
	exporter   string // jaeger, otlp or none
	endpoint   string // for people; empty when the exporter's own variables decide
	wholeURLs  bool
}

// newTracing connects the exporter that the options ask for. Nothing is sent
// yet, and a backend that is away is no error.
func newTracing(ctx context.Context, o *Options) (*tracing, error) {
	t := &tracing{
		component: attribute.String("component", o.ServiceName),
		exporter:  o.TraceExporter,
		wholeURLs: o.WholeURLs,
		shutdown:  func(context.Context) error { return nil },
	}
	if o.TraceExporter == "none" {
		// Without tracing the headers are none of our business either.
		t.tracer = noop.NewTracerProvider().Tracer(scopeName)
		t.propagator = propagation.NewCompositeTextMapPropagator()
		return t, nil
	}
	var err error
	if t.propagator, err = newPropagator(o.Getenv("OTEL_PROPAGATORS")); err != nil {
		return nil, err
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithOSType(), resource.WithProcessPID(), resource.WithFromEnv(),
		resource.WithAttributes(attribute.String("service.name", o.ServiceName), attribute.String("host.name", hostname())))
	if err != nil { // a malformed OTEL_RESOURCE_ATTRIBUTES; the rest is there
		o.Logger.Warn("describe this process", "error", err)
	}
	exporter, err := t.newExporter(ctx, o, res)
	if err != nil {
		return nil, err
	}
	t.queue = newSpanQueue(exporter, o.Logger)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())),
		sdktrace.WithIDGenerator(idGenerator{wide: o.TraceID128}),
		sdktrace.WithResource(res),
		sdktrace.WithSpanProcessor(t.queue),
	)
	t.tracer, t.shutdown = provider.Tracer(scopeName), provider.Shutdown
	return t, nil
}

func (t *tracing) newExporter(ctx context.Context, o *Options, res *resource.Resource) (sdktrace.SpanExporter, error) {
	switch o.TraceExporter {
	case "jaeger":
		t.endpoint = redactAddress(o.JaegerEndpoint)
		return newJaegerExporter(o.JaegerEndpoint, o.JaegerHeaders, o.JaegerTLS, o.ServiceName, o.Version, res)
	case "otlp":
		return newOTLPExporter(ctx, o.Getenv)
	default:
		return nil, fmt.Errorf("unknown trace exporter %q: use jaeger, otlp or none", o.TraceExporter)
	}
}

// newOTLPExporter follows the OTEL_EXPORTER_OTLP_* variables. Where they say
// nothing, spans go over gRPC without TLS to this machine.
func newOTLPExporter(ctx context.Context, getenv func(string) string) (sdktrace.SpanExporter, error) {
	protocol := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "grpc")
	endpointSet := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) != ""
	switch protocol {
	case "grpc":
		var options []otlptracegrpc.Option
		if !endpointSet {
			options = append(options, otlptracegrpc.WithEndpointURL("http://127.0.0.1:4317"))
		}
		return otlptracegrpc.New(ctx, options...)
	case "http/protobuf":
		var options []otlptracehttp.Option
		if !endpointSet {
			options = append(options, otlptracehttp.WithEndpointURL("http://127.0.0.1:4318/v1/traces"))
		}
		return otlptracehttp.New(ctx, options...)
	default:
		return nil, fmt.Errorf("unknown OTEL_EXPORTER_OTLP_PROTOCOL %q: use grpc or http/protobuf", protocol)
	}
}

// newPropagator reads the list of OTEL_PROPAGATORS; empty means jaeger. All
// names of the specification are known; jaeger is this package's own.
func newPropagator(list string) (propagation.TextMapPropagator, error) {
	var all []propagation.TextMapPropagator
	for name := range strings.SplitSeq(cmp.Or(strings.TrimSpace(list), "jaeger"), ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "":
		case "none":
			return propagation.NewCompositeTextMapPropagator(), nil
		case "jaeger":
			all = append(all, jaegerPropagator{})
		default:
			p, err := autoprop.TextMapPropagator(name)
			if err != nil {
				return nil, fmt.Errorf("unknown propagator %q in OTEL_PROPAGATORS: use a list of tracecontext, baggage, b3, b3multi, jaeger, xray, ottrace, or none", name)
			}
			all = append(all, p)
		}
	}
	return propagation.NewCompositeTextMapPropagator(all...), nil
}

// startEntry starts the SERVER span, a child of the caller's span if there is
// one. Only the first span of a new trace says how it was sampled.
func (t *tracing) startEntry(r *http.Request, name string) (context.Context, trace.Span) {
	ctx := t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	attrs := append(t.requestAttrs(r, 6), t.component)
	if !trace.SpanContextFromContext(ctx).IsValid() {
		attrs = append(attrs, attribute.String("sampler.type", "const"), attribute.Bool("sampler.param", true))
	}
	return t.tracer.Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...))
}

// startForward starts the CLIENT span, whose context goes to the service.
func (t *tracing) startForward(r *http.Request, rt *route) (context.Context, trace.Span) {
	attrs := append(t.requestAttrs(r, 5), rt.spanAttrs...)
	return t.tracer.Start(r.Context(), rt.spanName,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
}

func (t *tracing) requestAttrs(r *http.Request, capacity int) []attribute.KeyValue {
	return append(make([]attribute.KeyValue, 0, capacity),
		attribute.String("http.method", methodName(r.Method)),
		attribute.String("http.url", shownURL(r.URL, t.wholeURLs)),
		attribute.String("http.host", shownHost(r.Host)))
}

// endSpan ends a span with the status of the answer. Server errors make the
// span an error; the client's mistakes do not.
func endSpan(span trace.Span, status int) {
	span.SetAttributes(attribute.Int("http.status_code", status))
	if status >= 500 {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
