package otlp

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/trace"
)

// AppendTraces appends the spans as an encoded TracesData to dst. Spans of one
// resource and scope come together, in the order given; resource, scope and
// status are written even when empty, because readers of Tempo's answers rely
// on them.
func AppendTraces(dst []byte, spans []Ref) []byte {
	s := Stream{Step: func([]byte) ([]byte, error) { return nil, nil }}
	out, _ := s.small(dst, spans, math.MaxInt) // without a limit there is no error
	return out
}

// encoder writes protobuf. A message is written between begin and end, which
// puts the length in when it is known.
type encoder struct{ b []byte }

func (e *encoder) begin(number protowire.Number) int {
	e.b = protowire.AppendTag(e.b, number, protowire.BytesType)
	return len(e.b)
}

func (e *encoder) end(at int) {
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(e.b)-at))
	e.b = slices.Insert(e.b, at, length[:n]...)
}

func (e *encoder) bytes(number protowire.Number, b []byte) {
	if len(b) > 0 {
		e.b = protowire.AppendTag(e.b, number, protowire.BytesType)
		e.b = protowire.AppendBytes(e.b, b)
	}
}

func (e *encoder) text(number protowire.Number, s string) {
	if s != "" {
		e.b = protowire.AppendTag(e.b, number, protowire.BytesType)
		e.b = protowire.AppendString(e.b, s)
	}
}

func (e *encoder) varint(number protowire.Number, v uint64) {
	if v != 0 {
		e.b = protowire.AppendTag(e.b, number, protowire.VarintType)
		e.b = protowire.AppendVarint(e.b, v)
	}
}

func (e *encoder) fixed64(number protowire.Number, v uint64) {
	if v != 0 {
		e.b = protowire.AppendTag(e.b, number, protowire.Fixed64Type)
		e.b = protowire.AppendFixed64(e.b, v)
	}
}

func (e *encoder) fixed32(number protowire.Number, v uint32) {
	if v != 0 {
		e.b = protowire.AppendTag(e.b, number, protowire.Fixed32Type)
		e.b = protowire.AppendFixed32(e.b, v)
	}
}

func (e *encoder) resource(v *trace.View, number uint32) {
	e.attributes(1, &v.ResourceAttrs, number)
	e.varint(2, uint64(v.ResourceDropped[number]))
	e.b = append(e.b, v.Text(v.ResourceExtra[number])...)
}

func (e *encoder) scope(v *trace.View, number uint32) {
	e.text(1, v.Text(v.ScopeName[number]))
	e.text(2, v.Text(v.ScopeVersion[number]))
	e.attributes(3, &v.ScopeAttrs, number)
	e.varint(4, uint64(v.ScopeDropped[number]))
}

func (e *encoder) span(v *trace.View, row uint32) {
	e.bytes(1, v.TraceIDs[v.Trace[row]][:])
	e.bytes(2, v.SpanID[row][:])
	e.text(3, v.Text(v.TraceState.Get(row)))
	if parent := v.Parent[row]; !parent.IsZero() {
		e.bytes(4, parent[:])
	}
	e.text(5, v.Text(v.Name[row]))
	e.varint(6, uint64(v.Kind[row]))
	e.fixed64(7, v.Start[row])
	e.fixed64(8, v.End[row])
	e.attributes(9, &v.SpanAttrs, row)
	e.varint(10, uint64(v.DroppedAttrs.Get(row)))
	for event, to := v.Events(row); event < to; event++ {
		e.event(v, event)
	}
	e.varint(12, uint64(v.DroppedEvents.Get(row)))
	for link, to := v.Links(row); link < to; link++ {
		e.link(v, link)
	}
	e.varint(14, uint64(v.DroppedLinks.Get(row)))
	at := e.begin(15)
	e.text(2, v.Text(v.StatusMessage.Get(row)))
	e.varint(3, uint64(v.Status[row]))
	e.end(at)
	e.fixed32(16, v.Flags.Get(row))
}

func (e *encoder) event(v *trace.View, event uint32) {
	at := e.begin(11)
	e.fixed64(1, v.EventTime[event])
	e.text(2, v.Text(v.EventName[event]))
	e.attributes(3, &v.EventAttrs, event)
	e.varint(4, uint64(v.EventDropped.Get(event)))
	e.end(at)
}

func (e *encoder) link(v *trace.View, link uint32) {
	at := e.begin(13)
	if id := v.LinkTraceID[link]; !id.IsZero() {
		e.bytes(1, id[:])
	}
	if id := v.LinkSpanID[link]; !id.IsZero() {
		e.bytes(2, id[:])
	}
	e.text(3, v.Text(v.LinkState.Get(link)))
	e.attributes(4, &v.LinkAttrs, link)
	e.varint(5, uint64(v.LinkDropped.Get(link)))
	e.fixed32(6, v.LinkFlags.Get(link))
	e.end(at)
}

func (e *encoder) attributes(number protowire.Number, a *trace.Attrs, row uint32) {
	for key, value := range a.Of(row) {
		at := e.begin(number)
		e.text(1, key)
		inner := e.begin(2)
		e.b = AppendValue(e.b, value)
		e.end(inner)
		e.end(at)
	}
}

// AppendValue appends a value as an encoded AnyValue message.
func AppendValue(b []byte, v trace.Value) []byte {
	switch v.Type {
	case trace.String:
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		return protowire.AppendString(b, v.Str())
	case trace.Bool:
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		return protowire.AppendVarint(b, protowire.EncodeBool(v.Bool()))
	case trace.Int:
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		return protowire.AppendVarint(b, uint64(v.Int()))
	case trace.Double:
		b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
		return protowire.AppendFixed64(b, v.Bits())
	case trace.Bytes:
		b = protowire.AppendTag(b, 7, protowire.BytesType)
		return protowire.AppendString(b, v.Str())
	case trace.Array, trace.KVList:
		return append(b, v.Str()...)
	}
	return b
}
