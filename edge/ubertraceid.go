package edge

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

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

// extract takes a header that cannot be read, or comes more than once, for none.
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

// parseUberTraceID reads a header value, which may be URL-encoded. Ids may
// lack their leading zeros. The parent is ignored, whatever it is.
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
