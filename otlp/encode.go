package otlp

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
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

// encoder writes OTLP messages.
type encoder struct{ wire.Builder }

func (e *encoder) resource(v *trace.View, number uint32) {
	e.attributes(1, &v.ResourceAttrs, number)
	e.Varint(2, uint64(v.ResourceDropped[number]))
	e.B = append(e.B, v.Text(v.ResourceExtra[number])...)
}

func (e *encoder) scope(v *trace.View, number uint32) {
	e.Raw(1, v.Text(v.ScopeName[number]))
	e.Raw(2, v.Text(v.ScopeVersion[number]))
	e.attributes(3, &v.ScopeAttrs, number)
	e.Varint(4, uint64(v.ScopeDropped[number]))
}

func (e *encoder) span(v *trace.View, row uint32) {
	e.Bytes(1, v.TraceIDs[v.Trace[row]][:])
	e.Bytes(2, v.SpanID[row][:])
	e.Raw(3, v.Text(v.TraceState.Get(row)))
	if parent := v.Parent[row]; !parent.IsZero() {
		e.Bytes(4, parent[:])
	}
	e.Raw(5, v.Text(v.Name[row]))
	e.Varint(6, uint64(v.Kind[row]))
	e.Fixed64(7, v.Start[row])
	e.Fixed64(8, v.End[row])
	e.attributes(9, &v.SpanAttrs, row)
	e.Varint(10, uint64(v.DroppedAttrs.Get(row)))
	for event, to := v.Events(row); event < to; event++ {
		e.event(v, event)
	}
	e.Varint(12, uint64(v.DroppedEvents.Get(row)))
	for link, to := v.Links(row); link < to; link++ {
		e.link(v, link)
	}
	e.Varint(14, uint64(v.DroppedLinks.Get(row)))
	at := e.Open(15)
	e.Raw(2, v.Text(v.StatusMessage.Get(row)))
	e.Varint(3, uint64(v.Status[row]))
	e.Close(at)
	e.Fixed32(16, v.Flags.Get(row))
}

func (e *encoder) event(v *trace.View, event uint32) {
	at := e.Open(11)
	e.Fixed64(1, v.EventTime[event])
	e.Raw(2, v.Text(v.EventName[event]))
	e.attributes(3, &v.EventAttrs, event)
	e.Varint(4, uint64(v.EventDropped.Get(event)))
	e.Close(at)
}

func (e *encoder) link(v *trace.View, link uint32) {
	at := e.Open(13)
	if id := v.LinkTraceID[link]; !id.IsZero() {
		e.Bytes(1, id[:])
	}
	if id := v.LinkSpanID[link]; !id.IsZero() {
		e.Bytes(2, id[:])
	}
	e.Raw(3, v.Text(v.LinkState.Get(link)))
	e.attributes(4, &v.LinkAttrs, link)
	e.Varint(5, uint64(v.LinkDropped.Get(link)))
	e.Fixed32(6, v.LinkFlags.Get(link))
	e.Close(at)
}

func (e *encoder) attributes(number wire.Number, a *trace.Attrs, row uint32) {
	for key, value := range a.Of(row) {
		at := e.Open(number)
		e.Raw(1, key)
		inner := e.Open(2)
		e.B = AppendValue(e.B, value)
		e.Close(inner)
		e.Close(at)
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
