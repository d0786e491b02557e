package trace

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// TraceID is the 16-byte id that all spans of one trace share (OTLP
// Span.trace_id). All zero means no id.
type TraceID [16]byte

// SpanID is the 8-byte id of a span within its trace (OTLP Span.span_id). All
// zero means no id, as in the parent of a root span.
type SpanID [8]byte

// ErrIDTooLong is returned by [ParseTraceID] for more than 32 hex digits.
var ErrIDTooLong = errors.New("trace IDs can't be larger than 128 bits")

// String returns the id as 32 lower-case hex digits.
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the id in lower-case hex without leading zeros, as in Tempo's search answers. The zero id is
// "0".
func (id TraceID) Short() string {
	full := id.String()
	for i := 0; i < len(full)-1; i++ {
		if full[i] != '0' {
			return full[i:]
		}
	}
	return full[len(full)-1:]
}

// IsZero reports whether the id is absent.
func (id TraceID) IsZero() bool { return id == TraceID{} }

// String returns the id as 16 lower-case hex digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id is absent.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// ParseTraceID parses 1 to 32 hex digits of any case and pads them with zeros on the left, so that the 64-bit
// ids of Jaeger clients find their trace in either form. The error names the first invalid digit and its
// position from 1.
func ParseTraceID(s string) (TraceID, error) {
	var id TraceID
	if s == "" {
		return id, errors.New("trace ID is empty, want 1 to 32 hex digits")
	}
	for i, r := range s {
		if !isHex(r) {
			return id, fmt.Errorf("trace IDs can only contain hex characters: invalid character %q at position %d", r, i+1)
		}
	}
	if len(s) > 2*len(id) {
		return id, ErrIDTooLong
	}
	for i := range len(s) {
		digit := unhex(s[len(s)-1-i])
		id[len(id)-1-i/2] |= digit << (4 * (i % 2))
	}
	return id, nil
}

func isHex(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F'
}

// unhex returns the value of a digit that satisfies isHex.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
