package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/jsonread"
	"etude/internal/wire"
)

// FromJSON turns an OTLP/JSON ExportTraceServiceRequest into protobuf bytes. As
// the OTLP specification asks: ids in hex, 64-bit integers as strings or
// numbers, enums as numbers or names, names in lowerCamelCase (snake_case is
// accepted too), unknown members ignored. Bytes that are not UTF-8 become U+FFFD. The
// result still has to pass [Validate]. The error is an *[Error] and names the member.
func FromJSON(text []byte) ([]byte, error) { return fromJSON(tracesData, text) }

// ValueFromJSON turns what [ValueToJSON] wrote, or any proto3 JSON of an AnyValue,
// into its bytes.
func ValueFromJSON(text []byte) ([]byte, error) { return fromJSON(anyValue, text) }

func fromJSON(m *message, text []byte) ([]byte, error) {
	if !validUTF8(text) {
		text = bytes.ToValidUTF8(text, replacement)
	}
	in, err := jsonread.New(text)
	if err != nil {
		return nil, &Error{Reason: "not JSON: " + err.Error()}
	}
	r := jsonReader{in: in}
	r.e.B = make([]byte, 0, len(text)/2)
	if err := r.message(m); err != nil {
		return nil, err
	}
	return r.e.B, nil
}

type jsonReader struct {
	in    *jsonread.Reader
	e     encoder
	depth int
}

func (r *jsonReader) message(m *message) error {
	if r.in.Peek() != '{' {
		return &Error{Reason: fmt.Sprintf("want an object (%s), got %s", m.name, r.in.Describe())}
	}
	if m == anyValue {
		r.depth++
		defer func() { r.depth-- }()
		if r.depth > MaxDepth {
			return &Error{Reason: fmt.Sprintf("values nest deeper than %d", MaxDepth)}
		}
	}
	_, _ = r.in.Open('{')
	for r.in.More() {
		if err := r.member(m, r.in.Key()); err != nil {
			return err
		}
	}
	return nil
}

func (r *jsonReader) member(m *message, name string) error {
	number, f := m.named(name)
	if f == nil || r.in.Peek() == 'n' { // null is the same as absent
		r.in.Skip()
		return nil
	}
	if !f.repeated {
		return under(name, r.value(number, f))
	}
	if r.in.Peek() != '[' {
		return under(name, &Error{Reason: "want a list, got " + r.in.Describe()})
	}
	_, _ = r.in.Open('[')
	for i := 0; r.in.More(); i++ {
		if err := r.value(number, f); err != nil {
			return under(fmt.Sprintf("%s[%d]", name, i), err)
		}
	}
	return nil
}

// named finds a field by its JSON name.
func (m *message) named(name string) (wire.Number, *field) {
	for n := range m.fields {
		if f := &m.fields[n]; f.form != 0 && (f.json == name || f.proto == name) {
			return wire.Number(n), f
		}
	}
	return 0, nil
}

// value writes one value. Members of a oneof are written even when zero.
func (r *jsonReader) value(number wire.Number, f *field) error {
	if f.form == formMessage {
		at := r.e.Open(number)
		err := r.message(f.message)
		r.e.Close(at)
		return err
	}
	switch f.form.wire() {
	case wireBytes:
		content, err := r.text(f)
		if err != nil {
			return err
		}
		r.e.B = protowire.AppendTag(r.e.B, number, protowire.BytesType)
		r.e.B = protowire.AppendBytes(r.e.B, content)
		return nil
	default:
		v, err := r.scalar(f)
		if err != nil {
			return err
		}
		r.number(number, f, v)
		return nil
	}
}

func (r *jsonReader) number(number wire.Number, f *field, v uint64) {
	switch f.form.wire() {
	case wireFixed64:
		r.e.B = protowire.AppendTag(r.e.B, number, protowire.Fixed64Type)
		r.e.B = protowire.AppendFixed64(r.e.B, v)
	case wireFixed32:
		r.e.B = protowire.AppendTag(r.e.B, number, protowire.Fixed32Type)
		r.e.B = protowire.AppendFixed32(r.e.B, uint32(v))
	default:
		r.e.B = protowire.AppendTag(r.e.B, number, protowire.VarintType)
		r.e.B = protowire.AppendVarint(r.e.B, v)
	}
}

// text reads a string and returns the bytes that it says.
func (r *jsonReader) text(f *field) ([]byte, error) {
	if r.in.Peek() != '"' {
		return nil, &Error{Reason: "want a string, got " + r.in.Describe()}
	}
	s, err := r.in.String()
	if err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	switch f.form {
	case formTraceID, formSpanID, formAnyID:
		return idValue(f, s)
	case formBytes:
		b, err := decodeBase64(s)
		if err != nil {
			return nil, &Error{Reason: fmt.Sprintf("not base64: %v", err)}
		}
		return b, nil
	}
	return []byte(s), nil
}

// idValue reads the hex digits of an id. [Validate] checks their number, because a wrong one costs only the
// span. An odd number of digits must also fail there.
func idValue(f *field, s string) ([]byte, error) {
	id, err := hex.DecodeString(s[:len(s)&^1])
	if odd := s[len(s)&^1:]; err != nil || odd != "" && strings.Trim(odd, "0123456789abcdefABCDEF") != "" {
		return nil, &Error{Reason: fmt.Sprintf("want %d hex digits, got %q", 2*f.size, jsonread.Cut(s))}
	}
	if len(s)%2 == 1 && len(id) == f.size {
		id = append(id, 0)
	}
	return id, nil
}

// decodeBase64 takes both alphabets, with and without padding, as proto3 JSON does.
func decodeBase64(s string) ([]byte, error) {
	enc := base64.StdEncoding
	if bytes.ContainsAny([]byte(s), "-_") {
		enc = base64.URLEncoding
	}
	if len(s)%4 != 0 {
		enc = enc.WithPadding(base64.NoPadding)
	}
	return enc.DecodeString(s)
}

// scalar reads a bool, or a number, which may be written as a string.
func (r *jsonReader) scalar(f *field) (uint64, error) {
	c := r.in.Peek()
	isBool, isNumber := c == 't' || c == 'f', c == '"' || c == '-' || c >= '0' && c <= '9'
	switch {
	case f.form == formBool && !isBool:
		return 0, &Error{Reason: "want true or false, got " + r.in.Describe()}
	case f.form != formBool && !isNumber:
		return 0, &Error{Reason: "want a number, got " + r.in.Describe()}
	}
	s, err := r.in.Scalar()
	if err != nil {
		return 0, &Error{Reason: err.Error()}
	}
	if f.form == formBool {
		return protowire.EncodeBool(c == 't'), nil
	}
	if f.form == formEnum {
		for n, name := range f.enum {
			if name == s {
				return uint64(n), nil
			}
		}
	}
	v, ok := parseNumber(f.form, s)
	if !ok {
		return 0, &Error{Reason: fmt.Sprintf("%q is not a %s", jsonread.Cut(s), numberName(f.form))}
	}
	return v, nil
}

func parseNumber(f form, s string) (uint64, bool) {
	switch f {
	case formDouble:
		v, err := strconv.ParseFloat(s, 64)
		return math.Float64bits(v), err == nil
	case formInt64, formSFixed64:
		return parseInt(s, 64)
	case formSInt32:
		v, ok := parseInt(s, 32)
		return protowire.EncodeZigZag(int64(v)), ok
	case formEnum:
		return parseInt(s, 32)
	case formFixed64, formUint64:
		return parseUint(s, 64)
	}
	return parseUint(s, 32)
}

// parseInt and parseUint also take whole numbers written like 1.5e3, as proto3
// JSON does.
func parseInt(s string, bits int) (uint64, bool) {
	v, err := strconv.ParseInt(s, 10, bits)
	if err == nil {
		return uint64(v), true
	}
	x, err := strconv.ParseFloat(s, 64)
	whole := err == nil && x == math.Trunc(x) && math.Abs(x) < 1<<63
	return uint64(int64(x)), whole && (bits == 64 || x == float64(int32(x)))
}

func parseUint(s string, bits int) (uint64, bool) {
	v, err := strconv.ParseUint(s, 10, bits)
	if err == nil {
		return v, true
	}
	signed, ok := parseInt(s, 64)
	return signed, ok && int64(signed) >= 0 && (bits == 64 || signed <= math.MaxUint32)
}

func numberName(f form) string {
	switch f {
	case formDouble:
		return "number"
	case formEnum:
		return "value of this enum, by name or number"
	case formInt64, formSFixed64:
		return "64-bit integer"
	case formSInt32:
		return "32-bit integer"
	case formFixed64, formUint64:
		return "64-bit unsigned integer"
	}
	return "32-bit unsigned integer"
}

// under puts a member's name before the path of an error.
func under(name string, err error) error {
	if e, ok := err.(*Error); ok && e != nil {
		e.Path = joinPath(name, e.Path)
		return e
	}
	return err
}
