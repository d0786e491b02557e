package write

import (
	"bytes"
	"slices"

	"etude/trace"
)

// place is a row of one of the sources.
type place struct{ src, row uint32 }

// plan assigns spans to blocks and row groups: traces ascend by id, and a row group has whole traces. A trace
// of more spans than a row group may have continues in a further block: layers[0] is the block with all traces,
// layers[1] has the second part of the giant traces, and so on.
type plan struct {
	sources []*source
	layers  [][]planGroup
}

// planGroup is a row group: its traces in order.
type planGroup struct {
	traces []planTrace
	spans  int
}

// planTrace is the part of a trace that one block has.
type planTrace struct {
	id     trace.TraceID
	number uint32 // number in the only source that has the trace
	src    int32  // that source; -1 if several sources have it or the part has only some spans: then rows lists them
	spans  int
	rows   []place
}

// found is a trace in a source.
type found struct {
	id     trace.TraceID
	src    uint32
	number uint32
}

// newPlan orders the traces of all sources. Sources come in the order of arrival. The spans of a trace keep it.
func newPlan(sources []*source) *plan {
	p := &plan{sources: sources}
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
	slices.SortFunc(all, func(a, b found) int {
		if c := bytes.Compare(a.id[:], b.id[:]); c != 0 {
			return c
		}
		return int(a.src) - int(b.src)
	})
	traces := make([]planTrace, 0, n)
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].id == all[from].id {
			to++
		}
		t := p.join(all[from:to])
		from = to
		for layer := 0; t.spans > trace.MaxRows; layer++ {
			head := p.cut(&t, trace.MaxRows)
			if layer == 0 {
				traces = append(traces, head)
			} else {
				p.addLayer(layer, head)
			}
			if t.spans <= trace.MaxRows {
				p.addLayer(layer+1, t)
				t.spans = 0
			}
		}
		if t.spans > 0 {
			traces = append(traces, t)
		}
	}
	if len(p.layers) == 0 {
		p.layers = append(p.layers, nil)
	}
	p.layers[0] = groups(traces)
	return p
}

// join merges the sources' parts of a trace and leaves out repeated spans.
func (p *plan) join(parts []found) planTrace {
	first := parts[0]
	t := planTrace{id: first.id, number: first.number, src: int32(first.src)}
	if len(parts) == 1 { // Fast path
		for range p.sources[first.src].v.Rows(first.number) {
			t.spans++
		}
		return t
	}
	t.src = -1
	for i, part := range parts {
		v := p.sources[part.src].v
		for row := range v.Rows(part.number) {
			if !p.had(parts[:i], v, row) {
				t.rows = append(t.rows, place{part.src, row})
			}
		}
	}
	t.spans = len(t.rows)
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

// cut takes the first n spans off a trace.
func (p *plan) cut(t *planTrace, n int) planTrace {
	if t.src >= 0 {
		t.rows = p.rows(t, nil)
		t.src = -1
	}
	head := planTrace{id: t.id, src: -1, spans: n, rows: t.rows[:n:n]}
	t.rows, t.spans = t.rows[n:], t.spans-n
	return head
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
	p.layers[layer] = append(p.layers[layer], planGroup{[]planTrace{t}, t.spans})
}

// groups cuts traces into row groups of about the same size.
func groups(traces []planTrace) (all []planGroup) {
	total := 0
	for i := range traces {
		total += traces[i].spans
	}
	if total == 0 {
		return nil
	}
	most := total/((total+trace.MaxRows-1)/trace.MaxRows) + 1
	from, spans := 0, 0
	for i := range traces {
		more := traces[i].spans
		if spans > 0 && (spans+more > trace.MaxRows || spans >= most) {
			all = append(all, planGroup{traces[from:i:i], spans})
			from, spans = i, 0
		}
		spans += more
	}
	return append(all, planGroup{traces[from:], spans})
}
