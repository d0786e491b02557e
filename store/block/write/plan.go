package write

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"etude/trace"
)

// place is a row of one of the sources.
type place struct{ src, row uint32 }

// plan assigns spans to blocks and row groups: traces ascend by id, and a row group has whole traces. A trace
// that is too large for one row group continues in a further block: layers[0] is the block with all traces,
// layers[1] has the second part of the giant traces, and so on.
type plan struct {
	sources []*source
	most    int // bytes of a row group
	layers  [][]planGroup
}

// planGroup is a row group: its traces in order.
type planGroup struct {
	traces       []planTrace
	spans, bytes int
	from         int // number of its first span in the block; see spread
}

// fits reports whether a row group may have so many spans and bytes. A single span always fits.
func (p *plan) fits(spans, bytes int) bool {
	return spans <= 1 || spans <= trace.MaxRows && bytes <= p.most
}

// planTrace is the part of a trace that one block has.
type planTrace struct {
	id     trace.TraceID
	number uint32 // number in the only source that has the trace
	src    int32  // that source; -1 if several sources have it or the part has only some spans: then rows lists them
	spans  int
	bytes  int // see weights
	rows   []place
}

// found is a trace in a source.
type found struct {
	id     trace.TraceID
	src    uint32
	number uint32
}

// newPlan orders the traces of all sources. Sources come in the order of arrival. The spans of a trace keep it.
func newPlan(sources []*source, most int) *plan {
	p := &plan{sources: sources, most: most}
	n := 0
	for _, s := range sources {
		n += len(s.v.TraceIDs)
	}
	all := make([]found, 0, n)
	for i, s := range sources {
		for number, id := range s.v.TraceIDs {
			all = append(all, found{id, uint32(i), uint32(number)})
		}
	}
	all = sorted(all)
	traces := make([]planTrace, 0, n)
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].id == all[from].id {
			to++
		}
		t := p.join(all[from:to])
		from = to
		pieces := p.split(t)
		traces = append(traces, pieces[0])
		for i, piece := range pieces[1:] {
			p.addLayer(i+1, piece)
		}
	}
	if len(p.layers) == 0 {
		p.layers = append(p.layers, nil)
	}
	p.layers[0] = p.groups(traces)
	return p
}

// sorted returns traces by id and source. It compares the first eight bytes of most ids only.
func sorted(all []found) []found {
	type key struct {
		id uint64
		at uint32 // in all
	}
	keys := make([]key, len(all))
	for i := range all {
		keys[i] = key{binary.BigEndian.Uint64(all[i].id[:]), uint32(i)}
	}
	slices.SortFunc(keys, func(a, b key) int {
		switch {
		case a.id < b.id:
			return -1
		case a.id > b.id:
			return 1
		}
		x, y := &all[a.at], &all[b.at]
		return cmp.Or(bytes.Compare(x.id[:], y.id[:]), cmp.Compare(x.src, y.src))
	})
	ordered := make([]found, len(all))
	for i, k := range keys {
		ordered[i] = all[k.at]
	}
	return ordered
}

// join merges the sources' parts of a trace and leaves out repeated spans.
func (p *plan) join(parts []found) planTrace {
	first := parts[0]
	t := planTrace{id: first.id, number: first.number, src: int32(first.src)}
	if len(parts) == 1 { // Fast path
		s, weight := p.sources[first.src], newScale()
		for row := range s.v.Rows(first.number) {
			t.spans++
			weight.add(s, 0, row)
		}
		t.bytes = weight.bytes
		return t
	}
	t.src = -1
	weight := newScale()
	for i, part := range parts {
		v := p.sources[part.src].v
		for row := range v.Rows(part.number) {
			if !p.had(parts[:i], v, row) {
				t.rows = append(t.rows, place{part.src, row})
				weight.add(p.sources[part.src], int(part.src), row)
			}
		}
	}
	t.spans, t.bytes = len(t.rows), weight.bytes
	return t
}

// had reports whether one of the earlier parts has the span.
func (p *plan) had(earlier []found, v *trace.View, row uint32) bool {
	for _, e := range earlier {
		if p.sources[e.src].v.HasSpan(e.number, v.SpanID[row], v.Kind[row], v.Start[row]) {
			return true
		}
	}
	return false
}

// split cuts a trace into pieces that fit a row group, at least one.
func (p *plan) split(t planTrace) (pieces []planTrace) {
	if p.fits(t.spans, t.bytes) { // Fast path
		return []planTrace{t}
	}
	rows, from, weight := p.rows(&t, nil), 0, newScale()
	piece := func(to, bytes int) {
		pieces = append(pieces, planTrace{id: t.id, src: -1, spans: to - from, bytes: bytes, rows: rows[from:to:to]})
		from, weight = to, newScale()
	}
	for i, at := range rows {
		before := weight.bytes
		weight.add(p.sources[at.src], int(at.src), at.row)
		if !p.fits(i+1-from, weight.bytes) {
			piece(i, before)
			weight.add(p.sources[at.src], int(at.src), at.row)
		}
	}
	piece(len(rows), weight.bytes)
	return pieces
}

// rows appends the places of the spans of a trace.
func (p *plan) rows(t *planTrace, dst []place) []place {
	if t.src < 0 {
		return append(dst, t.rows...)
	}
	for row := range p.sources[t.src].v.Rows(t.number) {
		dst = append(dst, place{uint32(t.src), row})
	}
	return dst
}

func (p *plan) addLayer(layer int, t planTrace) {
	for len(p.layers) <= layer {
		p.layers = append(p.layers, nil)
	}
	p.layers[layer] = append(p.layers[layer], groupOf(t))
}

func groupOf(t planTrace) planGroup {
	return planGroup{traces: []planTrace{t}, spans: t.spans, bytes: t.bytes}
}

// groups cuts traces into row groups of about the same size.
func (p *plan) groups(traces []planTrace) (all []planGroup) {
	total := 0
	for i := range traces {
		total += traces[i].spans
	}
	if total == 0 {
		return nil
	}
	most := total/((total+trace.MaxRows-1)/trace.MaxRows) + 1
	from, spans, bytes := 0, 0, 0
	for i := range traces {
		t := &traces[i]
		if spans > 0 && (spans >= most || !p.fits(spans+t.spans, bytes+t.bytes)) {
			all = append(all, planGroup{traces: traces[from:i:i], spans: spans, bytes: bytes})
			from, spans, bytes = i, 0, 0
		}
		spans, bytes = spans+t.spans, bytes+t.bytes
	}
	return append(all, planGroup{traces: traces[from:], spans: spans, bytes: bytes})
}
