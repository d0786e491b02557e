package edge

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const uberTraceID = "uber-trace-id"

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

var _ propagation.TextMapPropagator = jaegerPropagator{}

func (jaegerPropagator) Fields() []string { return []string{uberTraceID} }

// Extract takes over the caller's context. A header that cannot be read counts
// as none: the trace then begins here.
func (jaegerPropagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	value := carrier.Get(uberTraceID)
	if value == "" {
		return ctx
	}
	sc, debug, err := parseUberTraceID(value)
	if err != nil {
		return ctx
	}
	if debug {
		ctx = context.WithValue(ctx, debugKey{}, true)
	}
	return trace.ContextWithRemoteSpanContext(ctx, sc)
}

type debugKey struct{}

// Inject writes the context of the current span.
func (jaegerPropagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	span := trace.SpanFromContext(ctx)
	sc := span.SpanContext()
	if !sc.IsValid() {
		return
	}
	flags := 0
	if sc.IsSampled() {
		flags |= flagSampled
		if ctx.Value(debugKey{}) != nil {
			flags |= flagDebug
		}
	}
	carrier.Set(uberTraceID, formatUberTraceID(sc.TraceID(), sc.SpanID(), parentOf(span), flags))
}

// parentOf returns the id of a span's parent; zero for a root, and for a span
// that is not recorded, whose parent nobody kept.
func parentOf(span trace.Span) trace.SpanID {
	if s, ok := span.(interface{ Parent() trace.SpanContext }); ok {
		return s.Parent().SpanID()
	}
	return trace.SpanID{}
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

// parseUberTraceID reads a header value, which may be URL-encoded. Ids may
// lack their leading zeros. The parent is ignored, whatever it is.
func parseUberTraceID(value string) (sc trace.SpanContext, debug bool, err error) {
	if strings.Contains(value, "%") {
		if value, err = url.QueryUnescape(value); err != nil {
			return sc, false, fmt.Errorf("read %s: %w", uberTraceID, err)
		}
	}
	parts := strings.Split(value, ":")
	if len(parts) != 4 {
		return sc, false, fmt.Errorf("read %s %q: expected 4 fields between colons", uberTraceID, value)
	}
	var t trace.TraceID
	var s trace.SpanID
	if err := parseID(t[:], parts[0]); err != nil {
		return sc, false, fmt.Errorf("read trace id %q: %w", parts[0], err)
	}
	if err := parseID(s[:], parts[1]); err != nil {
		return sc, false, fmt.Errorf("read span id %q: %w", parts[1], err)
	}
	flags, err := strconv.ParseUint(parts[3], 16, 8)
	if err != nil {
		return sc, false, fmt.Errorf("read flags %q: expected a hexadecimal number", parts[3])
	}
	debug = flags&flagDebug != 0
	var sampled trace.TraceFlags
	if debug || flags&flagSampled != 0 {
		sampled = trace.FlagsSampled
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: s, TraceFlags: sampled, Remote: true}), debug, nil
}

// parseID reads up to 2*len(id) hexadecimal digits, right-aligned. Zero is not
// an id.
func parseID(id []byte, digits string) error {
	if digits == "" || len(digits) > 2*len(id) {
		return fmt.Errorf("expected 1 to %d hexadecimal digits", 2*len(id))
	}
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	n, err := hex.Decode(id[len(id)-len(digits)/2:], []byte(digits))
	if err != nil || n != len(digits)/2 {
		return errors.New("expected hexadecimal digits")
	}
	for _, b := range id {
		if b != 0 {
			return nil
		}
	}
	return errors.New("the id is zero")
}
