package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"

	"etude/internal/wire"
)

// Dialect is a way to write spans as JSON.
type Dialect struct {
	// HexIDs writes trace and span ids in hex, as OTLP/JSON wants; else in base64
	// like any bytes, as Tempo's trace answers do.
	HexIDs bool
	// EnumNames writes SPAN_KIND_SERVER for 2, as proto3 JSON does; OTLP/JSON
	// wants the number.
	EnumNames bool
	// Top is the name of the list of resource spans; "" for resourceSpans.
	Top string
}

// The dialects in use: OTLPJSON is the OTLP specification's ("JSON Protobuf
// Encoding"); TempoJSON that of Tempo's v2 trace answers, TempoBatches that of v1.
var (
	OTLPJSON     = Dialect{HexIDs: true}
	TempoJSON    = Dialect{EnumNames: true}
	TempoBatches = Dialect{EnumNames: true, Top: "batches"}
)

// ToJSON appends an encoded TracesData as a JSON object. The bytes must be valid,
// as those of [AppendTraces] and those that passed [Validate] are. Members that
// have their zero value are left out when the bytes leave them out.
func ToJSON(dst, traces []byte, d Dialect) []byte {
	w := jsonWriter{b: dst, d: d}
	w.message(tracesData, traces)
	return w.b
}

// ResourceToJSON, ScopeToJSON and SpanToJSON append one encoded message as a JSON
// object.
func ResourceToJSON(dst, b []byte, d Dialect) []byte { return messageToJSON(dst, resource, b, d) }

// ScopeToJSON is like [ResourceToJSON].
func ScopeToJSON(dst, b []byte, d Dialect) []byte { return messageToJSON(dst, scope, b, d) }

// SpanToJSON is like [ResourceToJSON].
func SpanToJSON(dst, b []byte, d Dialect) []byte { return messageToJSON(dst, span, b, d) }

func messageToJSON(dst []byte, m *message, b []byte, d Dialect) []byte {
	w := jsonWriter{b: dst, d: d}
	w.message(m, b)
	return w.b
}

type jsonWriter struct {
	b []byte
	d Dialect
}

func (w *jsonWriter) message(m *message, b []byte) {
	w.b = append(w.b, '{')
	if m.oneof {
		if f, c := lastField(m, b); f != nil {
			w.name(f, true)
			w.value(f, &c)
		}
	} else {
		w.fields(m, b)
	}
	w.b = append(w.b, '}')
}

// fields writes the members in the order of the fields' first appearance. Bytes
// from elsewhere may scatter a repeated field, or give a single one twice.
func (w *jsonWriter) fields(m *message, b []byte) {
	var seen uint32
	c := wire.Reader{Rest: b}
	for c.Next() {
		f := m.field(c.Number, c.Type)
		if f == nil || seen&(1<<c.Number) != 0 {
			continue
		}
		w.name(f, seen == 0)
		seen |= 1 << c.Number
		if f.repeated {
			w.list(m, f, c)
		} else {
			at := lastOf(m, f, c)
			w.value(f, &at)
		}
	}
}

func (w *jsonWriter) name(f *field, first bool) {
	if !first {
		w.b = append(w.b, ',')
	}
	name := f.json
	if f.message == resourceSpans && w.d.Top != "" {
		name = w.d.Top
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *jsonWriter) list(m *message, f *field, c wire.Reader) {
	w.b = append(w.b, '[')
	w.value(f, &c)
	for c.Next() {
		if m.field(c.Number, c.Type) == f {
			w.b = append(w.b, ',')
			w.value(f, &c)
		}
	}
	w.b = append(w.b, ']')
}

// lastOf returns a cursor on the field as it finally is: the last occurrence, or
// for a message all of them merged.
func lastOf(m *message, f *field, c wire.Reader) wire.Reader {
	at := c
	for c.Next() {
		if m.field(c.Number, c.Type) == f {
			data := at.Data
			at = c
			if f.form == formMessage {
				at.Data = merge(data, c.Data)
			}
		}
	}
	return at
}

func (w *jsonWriter) value(f *field, c *wire.Reader) {
	switch f.form {
	case formMessage:
		w.message(f.message, c.Data)
	case formString:
		w.string(c.Data)
	case formBytes:
		w.base64(c.Data)
	case formTraceID, formSpanID, formAnyID:
		w.id(c.Data)
	case formBool:
		w.b = strconv.AppendBool(w.b, c.Value != 0)
	case formVarint, formFixed32:
		w.b = strconv.AppendUint(w.b, uint64(uint32(c.Value)), 10)
	case formInt64:
		w.b = append(w.b, '"')
		w.b = strconv.AppendInt(w.b, int64(c.Value), 10)
		w.b = append(w.b, '"')
	case formFixed64:
		w.b = append(w.b, '"')
		w.b = strconv.AppendUint(w.b, c.Value, 10)
		w.b = append(w.b, '"')
	case formDouble:
		w.double(math.Float64frombits(c.Value))
	case formEnum:
		w.enum(f, int32(c.Value))
	}
}

func (w *jsonWriter) string(b []byte) {
	quoted, err := json.Marshal(string(b))
	if err != nil { // a string always marshals
		quoted = []byte(`""`)
	}
	w.b = append(w.b, quoted...)
}

func (w *jsonWriter) base64(b []byte) {
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, b)
	w.b = append(w.b, '"')
}

func (w *jsonWriter) id(b []byte) {
	if !w.d.HexIDs {
		w.base64(b)
		return
	}
	w.b = append(w.b, '"')
	w.b = hex.AppendEncode(w.b, b)
	w.b = append(w.b, '"')
}

func (w *jsonWriter) double(v float64) {
	switch {
	case math.IsNaN(v):
		w.b = append(w.b, `"NaN"`...)
	case math.IsInf(v, 1):
		w.b = append(w.b, `"Infinity"`...)
	case math.IsInf(v, -1):
		w.b = append(w.b, `"-Infinity"`...)
	default:
		// encoding/json's form: shortest, exponent only for extremes.
		number, _ := json.Marshal(v)
		w.b = append(w.b, number...)
	}
}

func (w *jsonWriter) enum(f *field, v int32) {
	if !w.d.EnumNames || v < 0 || int(v) >= len(f.enum) {
		w.b = strconv.AppendInt(w.b, int64(v), 10)
		return
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, f.enum[v]...)
	w.b = append(w.b, '"')
}

// ValueToJSON appends an encoded AnyValue as proto3 JSON.
func ValueToJSON(dst, value []byte) []byte { return messageToJSON(dst, anyValue, value, OTLPJSON) }
