package write

import (
	"encoding/binary"

	"etude/internal/wire"
	"etude/otlp"
	"etude/store/block/layout"
	"etude/trace"
)

// extraWriter writes the EtudeExtra values of the traces of a row group. layout/extra.go has the form.
type extraWriter struct {
	g     *shredder
	b     []byte
	row   []byte
	codes []uint32 // distinct order codes of a trace and level
	seen  []uint64 // by order code: the round in which it occurred, and its position in codes
	round uint64
	flags bool // a span or link of the sources has flags
}

// begin prepares for a row group.
func (w *extraWriter) begin(g *shredder) {
	w.g, w.flags, w.round = g, false, 0
	for _, s := range g.plan.sources {
		w.flags = w.flags || s.flags != nil || s.lflag != nil
	}
	w.seen = zeroed(w.seen, g.orders.len())
}

// trace appends the value of trace i to w.b.
func (w *extraWriter) trace(i int) {
	g := w.g
	bounds := func(ends []int) (from, to int) {
		if i > 0 {
			from = ends[i-1]
		}
		return from, ends[i]
	}
	fromSpan, toSpan := 0, g.traces[i].spans
	if i > 0 {
		fromSpan = g.traces[i-1].spans
	}
	fromResource, toResource := bounds(g.resourceEnds)
	fromScope, toScope := bounds(g.scopeEnds)
	fromEvent, toEvent := bounds(g.eventEnds)
	fromLink, toLink := bounds(g.linkEnds)
	if w.flags {
		w.runs(layout.ExtraSpanFlags, g.rows[layout.OfSpan].at[fromSpan:toSpan], func(s *source) []uint32 { return s.flags })
		w.runs(layout.ExtraLinkFlags, g.rows[layout.OfLink].at[fromLink:toLink], func(s *source) []uint32 { return s.lflag })
	}
	w.resources(g.rows[layout.OfResource].at[fromResource:toResource])
	w.scopes(g.rows[layout.OfScope].at[fromScope:toScope])
	w.whole(trace.ResourceLevel, fromResource, toResource)
	w.whole(trace.SpanLevel, fromSpan, toSpan)
	w.whole(trace.EventLevel, fromEvent, toEvent)
	w.order(layout.ExtraResourceOrders, g.attrs[trace.ResourceLevel].orders[fromResource:toResource])
	w.order(layout.ExtraSpanOrders, g.attrs[trace.SpanLevel].orders[fromSpan:toSpan])
	w.order(layout.ExtraEventOrders, g.attrs[trace.EventLevel].orders[fromEvent:toEvent])
}

func (w *extraWriter) field(number wire.Number, content []byte) {
	b := wire.Builder{B: w.b}
	b.Bytes(number, content)
	w.b = b.B
}

// runs writes flags as pairs of a count and the flags. It writes nothing if all flags are zero.
func (w *extraWriter) runs(number wire.Number, places []place, column func(*source) []uint32) {
	w.row = w.row[:0]
	last, count, any := uint32(0), uint64(0), false
	var values []uint32
	for i, p := range places {
		if i == 0 || p.src != places[i-1].src {
			values = column(w.g.plan.sources[p.src])
		}
		flags := valueAt(values, p.row)
		any = any || flags != 0
		if count > 0 && flags != last {
			w.row = binary.AppendUvarint(binary.AppendUvarint(w.row, count), uint64(last))
			count = 0
		}
		last = flags
		count++
	}
	if any {
		w.row = binary.AppendUvarint(binary.AppendUvarint(w.row, count), uint64(last))
		w.field(number, w.row)
	}
}

// order writes the order codes of some rows. It leaves out rows without a code at the end.
func (w *extraWriter) order(number wire.Number, codes []uint32) {
	for len(codes) > 0 && codes[len(codes)-1] == 0 {
		codes = codes[:len(codes)-1]
	}
	if len(codes) == 0 {
		return
	}
	w.round++
	w.codes = w.codes[:0]
	for _, code := range codes {
		if code != 0 && w.seen[code]>>32 != w.round {
			w.codes = append(w.codes, code)
			w.seen[code] = w.round<<32 | uint64(len(w.codes))
		}
	}
	w.row = binary.AppendUvarint(w.row[:0], uint64(len(w.codes)))
	for _, code := range w.codes {
		w.row = append(w.row, w.g.orders.get(code)...)
	}
	for _, code := range codes {
		position := uint64(0)
		if code != 0 {
			position = uint64(uint32(w.seen[code]))
		}
		w.row = binary.AppendUvarint(w.row, position)
	}
	w.field(number, w.row)
}

func (w *extraWriter) resources(places []place) {
	for row, p := range places {
		v := w.g.plan.sources[p.src].v
		if schema, extra := v.ResourceSchemaURL[p.row], v.ResourceExtra[p.row]; schema != 0 || extra != 0 {
			w.fields(layout.ExtraResource, row, v.Text(schema), v.Text(extra))
		}
	}
}

func (w *extraWriter) scopes(places []place) {
	for row, p := range places {
		v := w.g.plan.sources[p.src].v
		if schema := v.ScopeSchemaURL[p.row]; schema != 0 {
			w.fields(layout.ExtraScope, row, v.Text(schema), "")
		}
	}
}

func (w *extraWriter) fields(number wire.Number, row int, schema, extra string) {
	b := wire.Builder{B: w.row[:0]}
	b.Varint(1, uint64(row))
	b.String(2, schema)
	b.String(3, extra)
	w.row = b.B
	w.field(number, w.row)
}

// whole writes the attribute lists of the rows that the schema cannot hold.
func (w *extraWriter) whole(l trace.Level, from, to int) {
	rows := w.g.attrs[l].whole
	for _, parent := range rows[firstNotBelow(rows, uint32(from)):] {
		if int(parent) >= to {
			return
		}
		p := w.g.rows[layout.OwnerOf[l]].at[parent]
		s := w.g.plan.sources[p.src]
		f := s.flat(l)
		b := wire.Builder{B: nil}
		b.Varint(1, uint64(l))
		b.Varint(2, uint64(int(parent)-from))
		for pos, end := f.Row(p.row); pos < end; pos++ {
			kv := b.Open(3)
			b.Raw(1, f.Columns[f.Cols[pos]].Key)
			value := b.Open(2)
			b.B = otlp.AppendValue(b.B, f.Value(&s.v.Strings, pos))
			b.Close(value)
			b.Close(kv)
		}
		w.field(layout.ExtraWhole, b.B)
	}
}

// firstNotBelow returns the first position in an ascending list that is not below n.
func firstNotBelow(all []uint32, n uint32) int {
	low, high := 0, len(all)
	for low < high {
		if mid := (low + high) / 2; all[mid] < n {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
