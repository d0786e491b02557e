package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

// instrumentationScope is the scope of the edge's spans. Only OTLP has scopes.
const instrumentationScope = "etude/edge"

// tracing makes the two spans of a request. They have the names and attributes of Traefik 2.11 with its Jaeger tracer.
//
// begin chooses the ids when a request arrives, because the forwarded headers contain them. end writes both
// spans as bytes into the queue when the request is over. A span never exists as a separate object.
type tracing struct {
	propagators []propagator
	component   string
	queue       *spanQueue // nil without exporter
	exporter    string     // jaeger, otlp or none
	endpoint    string     // for logs and the dashboard; empty if the exporter's own variables decide
	wholeURLs   bool
	wideIDs     bool
}

// newTracing creates the exporter of the options. It sends nothing yet, so an unavailable backend is no error.
func newTracing(ctx context.Context, o *Options) (*tracing, error) {
	t := &tracing{component: o.ServiceName, exporter: o.TraceExporter, wholeURLs: o.WholeURLs, wideIDs: o.TraceID128}
	if o.TraceExporter == "none" { // trace headers then pass unchanged, too
		return t, nil
	}
	var err error
	if t.propagators, err = newPropagators(o.Getenv("OTEL_PROPAGATORS")); err != nil {
		return nil, err
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithOSType(), resource.WithProcessPID(), resource.WithFromEnv(),
		resource.WithAttributes(attribute.String("service.name", o.ServiceName), attribute.String("host.name", hostname())))
	if err != nil { // OTEL_RESOURCE_ATTRIBUTES is malformed; the resource has the other attributes
		o.Logger.Warn("describe this process", "error", err)
	}
	form, exporter, err := t.newExporter(ctx, o, res)
	if err != nil {
		return nil, err
	}
	t.queue = newSpanQueue(form, exporter, o.Logger)
	return t, nil
}

func (t *tracing) newExporter(ctx context.Context, o *Options, res *resource.Resource) (form, exporter, error) {
	switch o.TraceExporter {
	case "jaeger":
		t.endpoint = redactAddress(o.JaegerEndpoint)
		e, err := newJaegerExporter(o.JaegerEndpoint, o.JaegerHeaders, o.JaegerTLS)
		return newThriftForm(o.ServiceName, processTags(o.Version, res)), e, err
	case "otlp":
		f, err := newOTLPForm(res.Attributes())
		if err != nil {
			return nil, nil, fmt.Errorf("describe this process: %w", err)
		}
		e, err := newOTLPExporter(ctx, o.Getenv)
		return f, e, err
	default:
		return nil, nil, fmt.Errorf("unknown trace exporter %q: use jaeger, otlp or none", o.TraceExporter)
	}
}

// shutdown sends the remaining spans.
func (t *tracing) shutdown(ctx context.Context) error {
	if t.queue == nil {
		return nil
	}
	return t.queue.shutdown(ctx)
}

// begin chooses the trace and the ids of both spans. It continues the caller's trace, if there is one, or
// begins a new one.
func (t *tracing) begin(x *exchange, r *http.Request) {
	if t.queue == nil {
		return
	}
	x.traced = true
	x.received = extractAll(t.propagators, r.Header)
	if x.continues {
		x.entry = newSpanID()
	} else {
		x.trace, x.entry = newTraceID(t.wideIDs)
		x.sampled = true
	}
	x.forward = newSpanID()
}

// inject writes the headers by which the service continues the trace: as a child
// of the CLIENT span.
func (t *tracing) inject(h http.Header, x *exchange) {
	if !x.traced {
		return
	}
	x.out = outgoing{spanContext: x.spanContext, state: x.state}
	x.out.span = x.forward
	if x.sampled {
		x.out.parent = x.entry
	}
	for _, p := range t.propagators {
		p.inject(h, &x.out)
	}
}

// end queues the spans of a request in the order in which they ended: the CLIENT span, if the edge forwarded
// the request, then the SERVER span.
func (t *tracing) end(x *exchange, r *http.Request) {
	if !x.traced || !x.sampled {
		return
	}
	spans := 1
	if !x.forwardEnd.IsZero() {
		spans = 2
	}
	request := requestTags{methodName(r.Method), shownURL(r.URL, t.wholeURLs), shownHost(r.Host)}
	t.queue.add(spans, func(i int, s *span) {
		s.trace = x.trace
		if i == spans-1 {
			t.serverSpan(s, x, &request)
		} else {
			t.clientSpan(s, x, &request)
		}
		s.number("http.status_code", int64(x.status))
		s.failed = x.status >= 500 // a client's mistake is not an error of the edge
	})
}

// requestTags adds the attributes that both spans have.
type requestTags struct{ method, url, host string }

func (t *requestTags) addTo(s *span) {
	s.text("http.method", t.method)
	s.text("http.url", t.url)
	s.text("http.host", t.host)
}

// serverSpan fills in the SERVER span, a child of the caller's span if there is one. Only the first span of a
// new trace has the sampler's attributes.
func (t *tracing) serverSpan(s *span, x *exchange, request *requestTags) {
	s.id, s.kind, s.name = x.entry, trace.SpanKindServer, x.entryName
	s.start, s.took = x.start, x.end.Sub(x.start)
	request.addTo(s)
	s.text("component", t.component)
	if x.continues {
		s.parent, s.remote = x.span, true
	} else {
		s.text("sampler.type", "const")
		s.boolean("sampler.param", true)
	}
	if x.other != (spanContext{}) {
		s.link = &x.other
	}
}

func (t *tracing) clientSpan(s *span, x *exchange, request *requestTags) {
	s.id, s.parent, s.kind, s.name = x.forward, x.entry, trace.SpanKindClient, x.route.spanName
	s.start, s.took = x.forwardStart, x.forwardEnd.Sub(x.forwardStart)
	request.addTo(s)
	s.text("traefik.service.name", x.route.written)
	s.text("traefik.router.name", x.route.name)
	s.exception = x.failure
}

// fail records the reason of a failed forward for the CLIENT span.
func (x *exchange) fail(err error) {
	x.failure = &exception{at: time.Now(), kind: fmt.Sprintf("%T", err), text: printable(cut(err.Error(), maxShownURL))}
}

var errBrokeOff = errors.New("the answer broke off")

// newTraceID returns ids as Jaeger's clients do: a trace id of 64 bits unless wide, and a root span whose id is
// the low half of its trace's id.
func newTraceID(wide bool) (t trace.TraceID, root trace.SpanID) {
	root = newSpanID()
	copy(t[8:], root[:])
	if wide {
		binary.BigEndian.PutUint64(t[:8], randomID())
	}
	return t, root
}

func newSpanID() (s trace.SpanID) {
	binary.BigEndian.PutUint64(s[:], randomID())
	return s
}

// randomID is never 0, which means no id.
func randomID() uint64 {
	for {
		if id := rand.Uint64(); id != 0 {
			return id
		}
	}
}
