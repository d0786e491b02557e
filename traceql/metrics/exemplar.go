package metrics

import (
	"math"

	"etude/trace"
	"etude/traceql/eval"
)

// exemplars selects spans as examples of a series: at most one per trace. It divides the window into equal
// parts and selects at most two spans in each. It takes the first spans, so that the same query gives the same
// answer.
type exemplars struct {
	w      Window
	taken  []uint8 // one per part
	left   int     // number of parts that are not full
	perNs  float64 // parts per nanosecond
	lo, hi uint64  // times within one full part
	traces map[trace.TraceID]bool
	picked []picked
}

type picked struct {
	ref    eval.Ref
	id     trace.TraceID
	start  uint64
	series uint32
	slot   int32
	value  float64
}

const exemplarsPerPart = 2

func newExemplars(w Window, limit int) *exemplars {
	e := &exemplars{w: w, traces: map[trace.TraceID]bool{}}
	if limit > 0 {
		e.left = max(1, limit/exemplarsPerPart)
		e.taken = make([]uint8, e.left)
		e.perNs = float64(e.left) / float64(w.End()-w.Start)
	}
	return e
}

// looksAt reports whether a span of a part may be picked.
func (e *exemplars) looksAt(p *trace.Part) bool {
	// Fast path: all of them are in a full part.
	return e.left > 0 && (p.MinStart < e.lo || p.MaxEnd >= e.hi)
}

// offer reads the observed rows of a View.
func (e *exemplars) offer(s *spans, p *Part) error {
	if !e.looksAt(&s.list[p.view]) {
		return nil
	}
	if err := s.run.Open(p.view); err != nil { // with the times
		return err
	}
	v := s.run.View(p.view)
	for row, start := range v.Start[:len(p.slots)] {
		if e.lo <= start && start < e.hi {
			continue // Fast path: neighbours are in one part.
		}
		slot := p.slots[row]
		if slot < int32(s.lead) { // noSlot as well
			continue
		}
		if start == 0 {
			start = v.End[row] // see View.Began
		}
		part := min(int(float64(start-e.w.Start)*e.perNs), len(e.taken)-1)
		if e.taken[part] >= exemplarsPerPart {
			// Two nanoseconds less are sure to be in the part, however floats
			// are rounded.
			e.lo, e.hi = start, e.w.Start+uint64(max(2, float64(part+1)/e.perNs))-2
			continue
		}
		id := v.TraceIDs[v.Trace[row]]
		if e.traces[id] {
			continue
		}
		e.traces[id] = true
		one := picked{ref: eval.Ref{View: p.view, Row: uint32(row)}, id: id, start: start, series: p.to[p.series[row]], slot: slot - int32(s.lead)}
		if s.q.arg != nil {
			one.value = p.args.at(row)
		}
		e.picked = append(e.picked, one)
		if e.taken[part]++; e.taken[part] == exemplarsPerPart {
			if e.left--; e.left == 0 {
				return nil
			}
		}
	}
	return nil
}

// attach adds the exemplars to their series.
func (e *exemplars) attach(s *spans, a *accumulator, series []Series) (err error) {
	for _, p := range e.picked {
		x := Exemplar{TraceID: p.id, Start: p.start, Slot: int(p.slot), Value: p.value}
		if x.Attrs, err = s.exemplarAttrs(p); err != nil {
			return err
		}
		at := a.index[p.series]
		if a.q.fn == "quantile_over_time" {
			at = a.places[at].nearest(p.value)
		} else if a.counts == nil {
			x.Counted = true
			x.Value = sampleAt(series[at].Samples, x.Slot)
		}
		series[at].Exemplars = append(series[at].Exemplars, x)
	}
	return nil
}

// nearest returns the place of the series whose quantile over the whole window
// is nearest to a value.
func (g *quantileGroup) nearest(x float64) int {
	best := 0
	for i, q := range g.overall {
		if math.Abs(q-x) < math.Abs(g.overall[best]-x) {
			best = i
		}
	}
	return g.first + best
}

func sampleAt(samples []Sample, slot int) float64 {
	for _, s := range samples {
		if s.Slot == slot {
			return s.Value
		}
	}
	return 0
}

// exemplarAttrs returns the values that the query reads of a span, named as in a query.
func (s *spans) exemplarAttrs(p picked) ([]eval.Attr, error) {
	s.run.Trim()
	var t eval.Trace
	if found, err := s.run.Load(&t, p.id); err != nil || !found {
		return nil, err
	}
	span := s.run.SpanAt(&t, p.ref)
	if span < 0 {
		return nil, nil
	}
	return s.run.Reads(&t, int32(span)), nil
}
