package edge

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// A trace travels from process to process in headers, and there are two common ones: traceparent of the W3C,
// which every OpenTelemetry SDK reads by default, and uber-trace-id of Jaeger and Traefik 2. A service reads
// one of them. So the edge reads and writes both, unless OTEL_PROPAGATORS selects others: a service that finds
// only the other header would begin a second trace.
//
// If a request has several of these headers, the first propagator of the list with a readable header decides:
// by default traceparent before uber-trace-id. If another header names a different trace, the SERVER span links
// to that trace, so that neither is lost. All outgoing headers name the same trace.

// Names of headers in the form in which net/http keeps them.
const (
	headerUberTraceID = "Uber-Trace-Id"
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
)

// defaultPropagators applies if OTEL_PROPAGATORS is empty.
const defaultPropagators = "tracecontext,jaeger"

// spanContext is the trace context of a request's headers: the trace's id, the parent of a new span, and
// whether the trace is recorded.
type spanContext struct {
	trace   trace.TraceID
	span    trace.SpanID
	sampled bool
	debug   bool // Jaeger's debug flag: the trace is recorded regardless of samplers
}

// outgoing is the trace context in the headers of a forwarded request.
type outgoing struct {
	spanContext
	parent trace.SpanID // of the span; zero if the span is not recorded
	state  bool         // the incoming tracestate belongs to this trace
}

// propagator reads and writes one header, or one set of them.
type propagator interface {
	// extract returns the trace context of the headers. ok is false if they have none, or none that is readable.
	extract(h http.Header) (spanContext, bool)
	inject(h http.Header, o *outgoing)
}

// newPropagators parses the list of OTEL_PROPAGATORS. It accepts all names of the specification.
func newPropagators(list string) (all []propagator, err error) {
	for name := range strings.SplitSeq(cmp.Or(strings.TrimSpace(list), defaultPropagators), ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "", "baggage": // the edge adds nothing to baggage, so the header passes unchanged
		case "none":
			return nil, nil
		case "jaeger":
			all = append(all, jaegerPropagator{})
		case "tracecontext":
			all = append(all, traceContextPropagator{})
		default:
			p, err := autoprop.TextMapPropagator(name)
			if err != nil {
				return nil, fmt.Errorf("unknown propagator %q in OTEL_PROPAGATORS: use a list of tracecontext, baggage, b3, b3multi, jaeger, xray, ottrace, or none", name)
			}
			all = append(all, libraryPropagator{p})
		}
	}
	return all, nil
}

// received combines the trace headers of a request.
type received struct {
	spanContext
	other     spanContext // another trace that a header named; zero if there is none
	state     bool        // the trace comes from traceparent, so tracestate belongs to it
	continues bool        // false: the trace begins here
}

// extractAll applies the rule above.
func extractAll(all []propagator, h http.Header) (r received) {
	for _, p := range all {
		c, ok := p.extract(h)
		if !ok {
			continue
		}
		_, isParent := p.(traceContextPropagator)
		switch {
		case !r.continues:
			r.spanContext, r.continues, r.state = c, true, isParent
		case c.trace == r.trace:
			r.debug = r.debug || c.debug && r.sampled
			r.state = r.state || isParent
		case r.other == spanContext{}:
			r.other = c
		}
	}
	return r
}

// traceContextPropagator reads and writes traceparent (W3C Trace Context, 3.2). tracestate passes unchanged.
// The edge drops it if it drops its traceparent.
type traceContextPropagator struct{}

func (traceContextPropagator) extract(h http.Header) (spanContext, bool) {
	values := h[headerTraceparent]
	if len(values) != 1 {
		return spanContext{}, false
	}
	return parseTraceparent(values[0])
}

func (traceContextPropagator) inject(h http.Header, o *outgoing) {
	b := make([]byte, 0, 55)
	b = hex.AppendEncode(append(b, "00-"...), o.trace[:])
	b = hex.AppendEncode(append(b, '-'), o.span[:])
	if o.sampled {
		b = append(b, "-01"...)
	} else {
		b = append(b, "-00"...)
	}
	h[headerTraceparent] = []string{string(b)}
	if !o.state {
		delete(h, headerTracestate)
	}
}

// parseTraceparent reads {version}-{trace-id}-{parent-id}-{flags}, all in lower-case hexadecimal. Of future
// versions it reads these four fields.
func parseTraceparent(value string) (c spanContext, ok bool) {
	value = strings.Trim(value, " \t")
	if len(value) < 55 || value[2] != '-' || value[35] != '-' || value[52] != '-' {
		return c, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], value[:2]) || !lowerHex(c.trace[:], value[3:35]) || !lowerHex(c.span[:], value[36:52]) || !lowerHex(flags[:], value[53:55]) {
		return spanContext{}, false
	}
	if version[0] == 0xff || version[0] == 0 && len(value) != 55 || len(value) > 55 && value[55] != '-' || !c.trace.IsValid() || !c.span.IsValid() {
		return spanContext{}, false
	}
	c.sampled = flags[0]&1 != 0
	return c, true
}

// lowerHex decodes lower-case digits that fill b.
func lowerHex(b []byte, digits string) bool {
	for i := range b {
		high, low := digits[2*i], digits[2*i+1]
		c, ok := unhex(digits[2*i:])
		if !ok || high >= 'A' && high <= 'F' || low >= 'A' && low <= 'F' {
			return false
		}
		b[i] = c
	}
	return true
}

// libraryPropagator uses OpenTelemetry's own code, for headers that are off by default. It allocates memory.
type libraryPropagator struct{ propagation.TextMapPropagator }

func (p libraryPropagator) extract(h http.Header) (spanContext, bool) {
	sc := trace.SpanContextFromContext(p.Extract(context.Background(), propagation.HeaderCarrier(h)))
	return spanContext{trace: sc.TraceID(), span: sc.SpanID(), sampled: sc.IsSampled()}, sc.IsValid()
}

func (p libraryPropagator) inject(h http.Header, o *outgoing) {
	config := trace.SpanContextConfig{TraceID: o.trace, SpanID: o.span}
	if o.sampled {
		config.TraceFlags = trace.FlagsSampled
	}
	p.Inject(trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(config)), propagation.HeaderCarrier(h))
}

// Bits of the last field of uber-trace-id.
const (
	flagSampled = 1
	flagDebug   = 2
)

// jaegerPropagator reads and writes the header uber-trace-id,
//
//	{trace-id}:{span-id}:{parent-span-id}:{flags}
//
// as Jaeger's own clients and Traefik 2 write it: a trace id of 64 bits has 16
// digits, and the parent is a real id. OpenTelemetry's propagator of the same
// name prints 32 digits always and the parent as 0.
type jaegerPropagator struct{}

// extract ignores a header that is unreadable or repeated.
func (jaegerPropagator) extract(h http.Header) (spanContext, bool) {
	values := h[headerUberTraceID]
	if len(values) != 1 {
		return spanContext{}, false
	}
	c, err := parseUberTraceID(values[0])
	return c, err == nil
}

func (jaegerPropagator) inject(h http.Header, o *outgoing) {
	flags := 0
	if o.sampled {
		flags |= flagSampled
		if o.debug {
			flags |= flagDebug
		}
	}
	h[headerUberTraceID] = []string{formatUberTraceID(o.trace, o.span, o.parent, flags)}
}

func formatUberTraceID(t trace.TraceID, s, parent trace.SpanID, flags int) string {
	b := make([]byte, 0, 68)
	if [8]byte(t[:8]) != [8]byte{} {
		b = hex.AppendEncode(b, t[:8])
	}
	b = append(hex.AppendEncode(b, t[8:]), ':')
	b = append(hex.AppendEncode(b, s[:]), ':')
	b = append(hex.AppendEncode(b, parent[:]), ':')
	return string(strconv.AppendInt(b, int64(flags), 16))
}

// parseUberTraceID reads a header value, which may be URL-encoded. Ids may lack their leading zeros. It ignores
// the parent.
func parseUberTraceID(value string) (c spanContext, err error) {
	if strings.Contains(value, "%") {
		if value, err = url.QueryUnescape(value); err != nil {
			return c, fmt.Errorf("read uber-trace-id: %w", err)
		}
	}
	id, rest, _ := strings.Cut(value, ":")
	span, rest, _ := strings.Cut(rest, ":")
	_, last, found := strings.Cut(rest, ":")
	if !found {
		return c, fmt.Errorf("read uber-trace-id %q: expected 4 fields between colons", value)
	}
	var read spanContext
	if err := parseID(read.trace[:], id); err != nil {
		return c, fmt.Errorf("read trace id %q: %w", id, err)
	}
	if err := parseID(read.span[:], span); err != nil {
		return c, fmt.Errorf("read span id %q: %w", span, err)
	}
	flags, err := strconv.ParseUint(last, 16, 8)
	if err != nil {
		return c, fmt.Errorf("read flags %q: expected a hexadecimal number", last)
	}
	read.debug = flags&flagDebug != 0
	read.sampled = read.debug || flags&flagSampled != 0
	return read, nil
}

// parseID reads up to 2*len(id) hexadecimal digits, right-aligned. Zero is not
// an id.
func parseID(id []byte, digits string) error {
	if digits == "" || len(digits) > 2*len(id) {
		return fmt.Errorf("expected 1 to %d hexadecimal digits", 2*len(id))
	}
	zero := true
	for i := range len(digits) {
		d := hexDigit(digits[len(digits)-1-i])
		if d > 15 {
			return errors.New("expected hexadecimal digits")
		}
		id[len(id)-1-i/2] |= d << (4 * (i % 2))
		zero = zero && d == 0
	}
	if zero {
		return errors.New("the id is zero")
	}
	return nil
}
