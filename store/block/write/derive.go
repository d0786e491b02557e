package write

import (
	"fmt"
	"math"
	"sort"

	"github.com/parquet-go/parquet-go/format"

	"etude/store/block/layout"
	"etude/trace"
)

// Derived has the derived columns of a row group, computed again from the View that a reader made of it. Verify
// compares them with the stored columns.
type Derived struct {
	g      shredder
	leaves []*layout.Leaf
	data   columnData
}

// Derive shreds a View of every column. The caller passes the format and the dedicated columns of the block.
func Derive(v *trace.View, f layout.Format, dedicated []layout.Dedicated) (*Derived, error) {
	root, err := f.Layout(dedicated, true)
	if err != nil {
		return nil, err
	}
	d := &Derived{leaves: root.Leaves()}
	group := planGroup{spans: v.Spans()}
	for number, id := range v.TraceIDs {
		t := planTrace{id: id, number: uint32(number)}
		for range v.Rows(uint32(number)) {
			t.spans++
		}
		group.traces = append(group.traces, t)
	}
	d.g.begin(&plan{sources: []*source{newSource(v, 0)}}, trace.MaxRows, math.MaxInt)
	for l := range trace.Levels {
		d.g.own[l] = newOwnColumns(f, d.leaves, layout.OwnerOf[l])
	}
	groups := []planGroup{group}
	d.g.arrange(groups, func() {})
	d.g.load(&groups[0])
	return d, nil
}

// Bounds returns the least start and the greatest end of the traces.
func (d *Derived) Bounds() (start, end uint64) {
	for i, t := range d.g.traces {
		if i == 0 || t.start < start {
			start = t.start
		}
		end = max(end, t.end)
	}
	return start, end
}

// Columns returns the derived columns.
func (d *Derived) Columns() (some []*layout.Leaf) {
	for _, l := range d.leaves {
		if follows(l) {
			some = append(some, l)
		}
	}
	return some
}

// follows reports whether a column is derived from others.
func follows(l *layout.Leaf) bool {
	switch l.Of {
	case layout.OfTrace:
		return l.Field != layout.FieldIDText && l.Field != layout.FieldEtude
	case layout.OfSpan:
		switch l.Field {
		case layout.FieldParentLeft, layout.FieldLeft, layout.FieldRight, layout.FieldChildCount, layout.FieldRounded15, layout.FieldRounded60, layout.FieldRounded300, layout.FieldRounded3600:
			return true
		}
	}
	return l.Of == layout.OfScope && l.Field == layout.FieldSpanCount || l.Of == layout.OfStats && l.Field == layout.FieldService
}

// Values returns the values of a column as text.
func (d *Derived) Values(l *layout.Leaf) ([]string, error) {
	if err := d.g.fill(l, &d.data, &chunkDict{}); err != nil {
		return nil, err
	}
	values := make([]string, d.data.values(l))
	for i := range values {
		values[i] = d.data.shown(l, i)
	}
	return values, nil
}

func (c *columnData) shown(l *layout.Leaf, i int) string {
	switch {
	case l.Enc == format.RLEDictionary:
		return c.dict[c.codes[i]]
	case l.Typ == format.ByteArray:
		return string(c.bytes[c.offsets[i]:c.offsets[i+1]])
	case l.Typ == format.Int32:
		return fmt.Sprint(int64(c.i32[i]))
	}
	return fmt.Sprint(c.i64[i])
}

// Trace returns the trace that a value of a column belongs to.
func (d *Derived) Trace(l *layout.Leaf, i int) trace.TraceID {
	if l.Of == layout.OfTrace {
		return d.g.traces[i].id
	}
	return d.g.traces[d.traceOfSpan(i)].id
}

func (d *Derived) traceOfSpan(span int) int {
	return sort.Search(len(d.g.traces), func(i int) bool { return d.g.traces[i].spans > span })
}

// Rooted reports whether the trace of a span has a root.
func (d *Derived) Rooted(span int) bool {
	t := d.traceOfSpan(span)
	from := 0
	if t > 0 {
		from = d.g.traces[t-1].spans
	}
	for _, p := range d.g.rows[layout.OfSpan].at[from:d.g.traces[t].spans] {
		if d.g.plan.sources[p.src].v.Parent[p.row].IsZero() {
			return true
		}
	}
	return false
}

// Service is the ServiceStats entry of a service in a trace.
type Service struct {
	Number        int // number of the trace in the row group
	Trace         trace.TraceID
	Name          string
	Spans, Errors uint32
}

// Services returns the ServiceStats of all traces, trace by trace.
func (d *Derived) Services() (all []Service) {
	number := -1
	for i, s := range d.g.stats {
		if d.g.rows[layout.OfStats].rep[i] == 0 {
			number++
		}
		all = append(all, Service{number, d.g.traces[number].id, d.g.texts.get(s.service), s.spans, s.errors})
	}
	return all
}
