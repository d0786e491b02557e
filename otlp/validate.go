package otlp

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"etude/internal/wire"
)

// MaxDepth is the greatest depth of nested attribute values.
const MaxDepth = 100

// Stats has the counts of [Validate].
type Stats struct {
	Spans    int // to store
	Rejected Rejected
	Mended   bool // a string was not UTF-8
}

// Error reports that a request is not OTLP or breaks one of its rules, and the place of the fault.
type Error struct {
	Path   string // e.g. resource_spans[0].scope_spans[0].spans[3].trace_id; "" for the whole request
	Reason string
	kind   kind
}

// kind is the scope of a fault: see mend.go.
type kind uint8

const (
	badField  kind = iota // the span, or the spans below it
	badText               // bytes of a string
	malformed             // the request
)

func (e *Error) Error() string { return "invalid OTLP request: " + e.where() }

func (e *Error) where() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// InvalidSpans marks the error as permanent: a retry of the same request never succeeds.
func (e *Error) InvalidSpans() bool { return true }

// Validate checks a whole ExportTraceServiceRequest: well-formed, strings UTF-8,
// every span with a trace id of 16 bytes and a span id of 8 bytes, neither zero
// (OTLP spec, Span). It returns the request to store: the payload itself when all
// of it is valid, else a copy without the spans that are not, and with U+FFFD for
// bytes that are not UTF-8. An error, which is an *[Error] and names the place,
// says that the payload is not protobuf.
func Validate(payload []byte) (valid []byte, stats Stats, err error) {
	var v validator
	bad := v.message(tracesData, payload, 0)
	switch {
	case bad == nil: // Fast path
		return payload, Stats{Spans: v.spans}, nil
	case bad.kind == malformed:
		return nil, Stats{}, bad
	}
	return mend(payload)
}

type validator struct {
	spans int
	quiet bool // Errors need no path. A path costs as much as the square of its depth.
}

// message returns the first error with its path from this message down.
func (v *validator) message(m *message, b []byte, depth int) *Error {
	if depth > MaxDepth {
		return &Error{Reason: fmt.Sprintf("values nest deeper than %d", MaxDepth)}
	}
	var seen uint32
	c := wire.Reader{Rest: b}
	if m == span {
		v.spans++
		if rest, ok := plainHead(b); ok { // Fast path
			c.Rest, seen = rest, span.required
		}
	}
	for {
		for m.attrs != 0 { // Fast path: most of a request is this.
			attr, rest, ok := plainField(c.Rest, m.attrs)
			if !ok || !plainValid(attr) {
				break
			}
			c.Rest = rest
		}
		if !c.Next() {
			break
		}
		f := m.field(c.Number, c.Type)
		if f == nil {
			continue
		}
		seen |= 1 << c.Number
		if f.form < formString {
			continue
		}
		if err := v.content(f, c.Data, depth); err != nil {
			if v.quiet {
				return err
			}
			err.Path = joinPath(step(m, f, b, len(b)-len(c.Rest)), err.Path)
			return err
		}
	}
	if c.Err != nil {
		return notProtobuf(m, "", len(b)-len(c.Rest))
	}
	if missing := m.required &^ seen; missing != 0 {
		return missingID(m, missing)
	}
	return nil
}

func (v *validator) content(f *field, data []byte, depth int) *Error {
	switch f.form {
	case formString:
		if !validUTF8(data) {
			return &Error{Reason: "string is not valid UTF-8", kind: badText}
		}
	case formTraceID, formSpanID:
		if len(data) != f.size {
			return &Error{Reason: fmt.Sprintf("%s must be %d bits, received %d bits", idNames(f), 8*f.size, 8*len(data))}
		}
		if isZero(data) {
			return &Error{Reason: fmt.Sprintf("%s must be %d bits and not all zero", idNames(f), 8*f.size)}
		}
	case formAnyID:
		if len(data) != 0 && len(data) != f.size {
			return &Error{Reason: fmt.Sprintf("must be empty or %d bits, received %d bits", 8*f.size, 8*len(data))}
		}
	case formMessage:
		if f.message == keyValue && plainValid(data) { // Fast path
			return nil
		}
		if f.message == anyValue {
			depth++
		}
		return v.message(f.message, data, depth)
	}
	return nil
}

func notProtobuf(m *message, path string, offset int) *Error {
	return &Error{Path: path, Reason: fmt.Sprintf("bytes at offset %d of this %s are not protobuf", offset, m.name), kind: malformed}
}

// plainHead skips the beginning of a span that has the common form, and is valid.
func plainHead(b []byte) (rest []byte, ok bool) {
	var h spanHead
	rest = h.read(b)
	return rest, len(rest) < len(b) && !isZero(h.traceID) && !isZero(h.spanID) && validUTF8(h.name)
}

// plainValid reports whether an attribute has the common form, and is valid.
func plainValid(b []byte) bool {
	if _, _, ok := shortText(b); ok && isASCII(b) {
		return true
	}
	key, value, ok := plainAttribute(b)
	if !ok || !validUTF8(key) {
		return false
	}
	if text, ok := plainText(value); ok {
		return validUTF8(text)
	}
	_, _, ok = plainNumber(value)
	return ok
}

// validUTF8 is utf8.Valid with a fast path for the ASCII of most strings.
func validUTF8(b []byte) bool { return isASCII(b) || utf8.Valid(b) }

// isASCII tests eight bytes at once; the last eight may be tested twice.
func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	if len(b) < 8 {
		for _, c := range b {
			if c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	var bits uint64
	for i := 0; i+8 <= len(b); i += 8 {
		bits |= binary.LittleEndian.Uint64(b[i:])
	}
	return (bits|binary.LittleEndian.Uint64(b[len(b)-8:]))&high == 0
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func idNames(f *field) string {
	if f.form == formTraceID {
		return "trace ids"
	}
	return "span ids"
}

func missingID(m *message, missing uint32) *Error {
	for n := range m.fields {
		if f := &m.fields[n]; missing&(1<<n) != 0 {
			return &Error{Path: f.proto, Reason: fmt.Sprintf("%s must be %d bits, received 0 bits", idNames(f), 8*f.size)}
		}
	}
	return nil
}

// step names a field of a message, with its position among its like when it is
// repeated. It counts only now, so that good input need not.
func step(m *message, f *field, b []byte, end int) string {
	if !f.repeated {
		return f.proto
	}
	c, n := wire.Reader{Rest: b[:end]}, -1
	for c.Next() {
		if m.field(c.Number, c.Type) == f {
			n++
		}
	}
	return fmt.Sprintf("%s[%d]", f.proto, n)
}

func joinPath(head, tail string) string {
	return strings.Trim(head+"."+tail, ".")
}
