package spans

import (
	"encoding/binary"
	"math"

	"etude/internal/wire"
)

// Field numbers of opentelemetry-proto (trace/v1, resource/v1, common/v1) that the translations write.
const (
	fieldResourceSpans wire.Number = 1 // TracesData
	fieldScopeSpans    wire.Number = 2 // ResourceSpans
	fieldScope         wire.Number = 1 // ScopeSpans
	scopeName          wire.Number = 1 // InstrumentationScope
	scopeVersion       wire.Number = 2

	FieldSpan          wire.Number = 2 // ScopeSpans
	FieldResource      wire.Number = 1 // ResourceSpans
	ResourceAttributes wire.Number = 1 // Resource

	TraceID    wire.Number = 1 // Span
	SpanID     wire.Number = 2
	TraceState wire.Number = 3
	ParentID   wire.Number = 4
	Name       wire.Number = 5
	Kind       wire.Number = 6
	Start      wire.Number = 7
	End        wire.Number = 8
	Attributes wire.Number = 9
	Events     wire.Number = 11
	Links      wire.Number = 13
	spanStatus wire.Number = 15

	EventTime       wire.Number = 1 // Event
	EventName       wire.Number = 2
	EventAttributes wire.Number = 3

	LinkTraceID    wire.Number = 1 // Link
	LinkSpanID     wire.Number = 2
	LinkAttributes wire.Number = 4

	statusMessage wire.Number = 2
	statusCode    wire.Number = 3

	keyName  wire.Number = 1 // KeyValue
	keyValue wire.Number = 2

	valueString wire.Number = 1 // AnyValue
	valueBool   wire.Number = 2
	valueInt    wire.Number = 3
	valueDouble wire.Number = 4
	valueBytes  wire.Number = 7
)

// Span kinds and status codes (trace/v1).
const (
	KindInternal = 1
	KindServer   = 2
	KindClient   = 3
	KindProducer = 4
	KindConsumer = 5

	StatusUnset = 0
	StatusOK    = 1
	StatusError = 2
)

// Writer appends the parts of OTLP spans.
type Writer struct{ wire.Builder }

// The methods below write attributes as fields of the open message. An AnyValue is a oneof, so even a zero
// value is written: its presence determines the type.

// AttrString writes a string attribute.
func (w *Writer) AttrString(field wire.Number, key, v string) {
	kv, value := w.openAttr(field, key)
	w.StringAlways(valueString, v)
	w.closeAttr(kv, value)
}

// AttrBool writes a bool attribute.
func (w *Writer) AttrBool(field wire.Number, key string, v bool) {
	kv, value := w.openAttr(field, key)
	n := uint64(0)
	if v {
		n = 1
	}
	w.VarintAlways(valueBool, n)
	w.closeAttr(kv, value)
}

// AttrInt writes an integer attribute.
func (w *Writer) AttrInt(field wire.Number, key string, v int64) {
	kv, value := w.openAttr(field, key)
	w.VarintAlways(valueInt, uint64(v))
	w.closeAttr(kv, value)
}

// AttrDouble writes a double attribute.
func (w *Writer) AttrDouble(field wire.Number, key string, v float64) {
	kv, value := w.openAttr(field, key)
	w.Fixed64Always(valueDouble, math.Float64bits(v))
	w.closeAttr(kv, value)
}

// AttrBytes writes a bytes attribute.
func (w *Writer) AttrBytes(field wire.Number, key, v string) {
	kv, value := w.openAttr(field, key)
	w.RawAlways(valueBytes, v)
	w.closeAttr(kv, value)
}

func (w *Writer) openAttr(field wire.Number, key string) (kv, value wire.Mark) {
	kv = w.Open(field)
	w.String(keyName, key)
	return kv, w.Open(keyValue)
}

func (w *Writer) closeAttr(kv, value wire.Mark) {
	w.Close(value)
	w.Close(kv)
}

// Status writes a Status unless it is empty.
func (w *Writer) Status(code uint64, message string) {
	if code == StatusUnset && message == "" {
		return
	}
	st := w.Open(spanStatus)
	w.String(statusMessage, message)
	w.Varint(statusCode, code)
	w.Close(st)
}

// WideID writes a 128-bit id, high bits first. It leaves out a zero id; validation then reports the missing id.
func (w *Writer) WideID(field wire.Number, high, low uint64) {
	if high == 0 && low == 0 {
		return
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	w.Bytes(field, id[:])
}

// ID writes a 64-bit id unless it is zero.
func (w *Writer) ID(field wire.Number, v uint64) {
	if v == 0 {
		return
	}
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], v)
	w.Bytes(field, id[:])
}
