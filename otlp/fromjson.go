package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
)

// FromJSON turns an OTLP/JSON ExportTraceServiceRequest into protobuf bytes. As
// the OTLP specification asks: ids in hex, 64-bit integers as strings or
// numbers, enums as numbers or names, names in lowerCamelCase (snake_case is
// taken too), unknown members ignored. Bytes that are not UTF-8 become U+FFFD. The
// result still has to pass [Validate]. The error is an *[Error] and names the member.
func FromJSON(text []byte) ([]byte, error) { return fromJSON(tracesData, text) }

func fromJSON(m *message, text []byte) ([]byte, error) {
	if !validUTF8(text) {
		text = bytes.ToValidUTF8(text, replacement)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	r := jsonReader{d: d}
	r.e.B = make([]byte, 0, len(text)/2)
	if err := r.top(m); err != nil {
		return nil, err
	}
	return r.e.B, nil
}

type jsonReader struct {
	d     *json.Decoder
	e     encoder
	depth int
}

func (r *jsonReader) top(m *message) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	if err := r.message(m, token); err != nil {
		return err
	}
	if _, err := r.d.Token(); err != io.EOF {
		return &Error{Reason: fmt.Sprintf("more than one JSON value, the second at offset %d", r.d.InputOffset())}
	}
	return nil
}

func (r *jsonReader) token() (json.Token, error) {
	token, err := r.d.Token()
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, &Error{Reason: fmt.Sprintf("JSON ends too early, at offset %d", r.d.InputOffset())}
	case err != nil:
		return nil, &Error{Reason: fmt.Sprintf("not JSON at offset %d: %v", r.d.InputOffset(), err)}
	}
	return token, nil
}

// message reads an object whose first token has been read.
func (r *jsonReader) message(m *message, first json.Token) error {
	if first != json.Delim('{') {
		return &Error{Reason: fmt.Sprintf("want an object (%s), got %s", m.name, describe(first))}
	}
	if m == anyValue {
		r.depth++
		defer func() { r.depth-- }()
		if r.depth > MaxDepth {
			return &Error{Reason: fmt.Sprintf("values nest deeper than %d", MaxDepth)}
		}
	}
	for {
		token, err := r.token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok { // '}'
			return nil
		}
		if err := r.member(m, name); err != nil {
			return err
		}
	}
}

func (r *jsonReader) member(m *message, name string) error {
	number, f := m.named(name)
	if f == nil {
		return r.skip()
	}
	token, err := r.token()
	if err != nil {
		return under(name, err)
	}
	if token == nil { // null is the same as absent
		return nil
	}
	if !f.repeated {
		return under(name, r.value(number, f, token))
	}
	if token != json.Delim('[') {
		return under(name, &Error{Reason: "want a list, got " + describe(token)})
	}
	for i := 0; ; i++ {
		token, err := r.token()
		if err != nil {
			return under(name, err)
		}
		if token == json.Delim(']') {
			return nil
		}
		if err := r.value(number, f, token); err != nil {
			return under(fmt.Sprintf("%s[%d]", name, i), err)
		}
	}
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

// skip passes over the value of an unknown member.
func (r *jsonReader) skip() error {
	for depth := 0; ; {
		token, err := r.token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// value writes one value. Members of a oneof are written even when zero.
func (r *jsonReader) value(number wire.Number, f *field, token json.Token) error {
	if f.form == formMessage {
		at := r.e.Open(number)
		err := r.message(f.message, token)
		r.e.Close(at)
		return err
	}
	switch f.form.wire() {
	case wireBytes:
		content, err := textValue(f, token)
		if err != nil {
			return err
		}
		r.e.B = protowire.AppendTag(r.e.B, number, protowire.BytesType)
		r.e.B = protowire.AppendBytes(r.e.B, content)
		return nil
	default:
		v, err := numberValue(f, token)
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

func textValue(f *field, token json.Token) ([]byte, error) {
	s, ok := token.(string)
	if !ok {
		return nil, &Error{Reason: "want a string, got " + describe(token)}
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

// idValue reads the hex digits of an id. Whether there are as many as there must
// be is for [Validate] to say, since it costs the span alone; half a byte too many
// or too few must look wrong to it.
func idValue(f *field, s string) ([]byte, error) {
	id, err := hex.DecodeString(s[:len(s)&^1])
	if odd := s[len(s)&^1:]; err != nil || odd != "" && strings.Trim(odd, "0123456789abcdefABCDEF") != "" {
		return nil, &Error{Reason: fmt.Sprintf("want %d hex digits, got %q", 2*f.size, clipText(s))}
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

func numberValue(f *field, token json.Token) (uint64, error) {
	if f.form == formBool {
		b, ok := token.(bool)
		if !ok {
			return 0, &Error{Reason: "want true or false, got " + describe(token)}
		}
		return protowire.EncodeBool(b), nil
	}
	var s string
	switch token := token.(type) {
	case json.Number:
		s = token.String()
	case string:
		s = token
	default:
		return 0, &Error{Reason: "want a number, got " + describe(token)}
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
		return 0, &Error{Reason: fmt.Sprintf("%q is not a %s", clipText(s), numberName(f.form))}
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

func describe(token json.Token) string {
	switch token := token.(type) {
	case nil:
		return "null"
	case json.Delim:
		if token == '[' {
			return "a list"
		}
		return "an object"
	case string:
		return fmt.Sprintf("the string %q", clipText(token))
	case json.Number:
		return "the number " + clipText(token.String())
	default:
		return fmt.Sprint(token)
	}
}

// clipText keeps a quotation in an error short.
func clipText(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// under puts a member's name before the path of an error.
func under(name string, err error) error {
	if e, ok := err.(*Error); ok && e != nil {
		e.Path = joinPath(name, e.Path)
		return e
	}
	return err
}
