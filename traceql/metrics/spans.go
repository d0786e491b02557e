package metrics

import (
	"context"
	"math/bits"
	"slices"

	"etude/trace"
	"etude/traceql/eval"
)

// spans finds the spans that a metrics query observes. Each span of each spanset
// that the pipeline yields counts once, when it starts within the window; the
// pipeline itself sees the whole trace.
type spans struct {
	ctx   context.Context
	run   *eval.Run
	q     *Query
	views []*trace.View
	w     Window // that of the answer with lead slots in front
	lead  int
	stats Stats

	memory eval.Memory

	// slots is the slot of each row of a View, noSlot for a row that is not
	// observed; nil for a View without any.
	slots [][]int32

	// Values that only whole traces know are computed while a trace is loaded, row
	// by row: the entries of by() that need it, the argument, compare()'s filter
	// and the root.
	byTrace  []*tracedLabels // one an entry of by(); nil for what columns know
	argTrace [][]eval.Value
	selected []eval.Mask
	roots    [][]rootOf
}

const noSlot = -1

// tracedLabels are labels computed trace by trace; values per View and row.
type tracedLabels struct{ values [][]eval.Value }

type rootOf struct{ name, service string }

// byColumn is the fast path, which fills slots of one View from masks of rows. A
// span that a client sent again into a newer View is observed once. Each View is
// on its own, so several may be looked at at a time.
func (s *spans) byColumn(view int) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	v := s.views[view]
	if !s.overlaps(v) {
		return nil
	}
	rows := s.run.Kept(view)
	if rows.Empty() {
		return nil
	}
	if again := s.run.Repeated(view); again != nil {
		rows = slices.Clone(rows)
		rows.AndNot(again)
	}
	if err := s.holdRows(view); err != nil {
		return err
	}
	s.slots[view] = slotsOf(v, rows, s.w)
	return nil
}

// overlaps tells whether some span of a View may start in the window.
func (s *spans) overlaps(v *trace.View) bool {
	from, to := v.Times()
	return v.Spans() > 0 && from <= s.w.End() && to >= s.w.Start
}

// slotsOf gives every row its slot.
func slotsOf(v *trace.View, rows eval.Mask, w Window) []int32 {
	slots := slotArrays.get(v.Spans())
	from, to := v.Times()
	if first, last := w.slotsOf(v); first == last && w.holds(from) && w.holds(to) {
		for row := range slots { // Fast path: much comes in a short time.
			slots[row] = int32(first)
		}
	} else {
		slotsByTime(v, w, slots)
	}
	clearOthers(rows, slots)
	return slots
}

// clearOthers takes the slot away from every row that is not in the set.
func clearOthers(rows eval.Mask, slots []int32) {
	for i, w := range rows {
		from := i << 6
		for others := ^w; others != 0; others &= others - 1 {
			if row := from + bits.TrailingZeros64(others); row < len(slots) {
				slots[row] = noSlot
			}
		}
	}
}

// slotsByTime looks at every start. Neighbours most often share a slot, so the
// division is done only when it changes.
func slotsByTime(v *trace.View, w Window, slots []int32) {
	slots = slots[:len(v.Start)]
	end := w.End()
	var lo, hi uint64 // of the slot last found
	slot := int32(noSlot)
	for row, t := range v.Start {
		if t <= lo || t > hi {
			if t == 0 {
				t = v.End[row] // see View.Began
			}
			if t <= w.Start || t > end {
				slots[row] = noSlot
				continue
			}
			n := (t - w.Start - 1) / w.Step
			lo, hi, slot = w.Start+n*w.Step, w.Start+(n+1)*w.Step, int32(n)
		}
		slots[row] = slot
	}
}

// byTrees is the general path, which fills slots of all Views: candidates are put
// together trace by trace and sent through the pipeline.
func (s *spans) byTrees() error {
	s.prepare()
	seen := map[trace.TraceID]bool{}
	var t eval.Trace
	for view, v := range s.views {
		done := 0
		for number := range s.run.Candidates(view).Rows {
			if done++; done%256 == 1 && s.ctx.Err() != nil {
				return context.Cause(s.ctx)
			}
			id := v.TraceIDs[number]
			if seen[id] || !s.run.Load(&t, id) {
				continue
			}
			if t.Split {
				seen[id] = true
			}
			if t.Start > s.w.End() || t.End < s.w.Start {
				continue
			}
			s.stats.Traces++
			s.stats.Spans += len(t.Spans)
			sets, err := s.run.Trace(&t)
			if err != nil {
				return err
			}
			for _, set := range sets {
				if err := s.observe(&t, set); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *spans) prepare() {
	s.byTrace = make([]*tracedLabels, len(s.q.by))
	for i, x := range s.q.by {
		if x.NeedsTrace() {
			s.byTrace[i] = &tracedLabels{make([][]eval.Value, len(s.views))}
		}
	}
	if s.q.arg != nil && s.q.arg.NeedsTrace() {
		s.argTrace = make([][]eval.Value, len(s.views))
	}
	if s.q.compare != nil {
		s.selected = make([]eval.Mask, len(s.views))
		s.roots = make([][]rootOf, len(s.views))
	}
}

// observe notes the spans of a spanset that start within the window.
func (s *spans) observe(t *eval.Trace, set eval.Spanset) error {
	for _, span := range set.Spans {
		ref := t.Spans[span]
		v := s.views[ref.View]
		start := v.Began(ref.Row)
		if !s.w.holds(start) {
			continue
		}
		if s.slots[ref.View] == nil {
			if err := s.holdRows(ref.View); err != nil {
				return err
			}
			s.makeRoom(ref.View)
		}
		s.slots[ref.View][ref.Row] = int32((start - s.w.Start - 1) / s.w.Step)
		s.noteTrace(t, span, ref)
	}
	return nil
}

// holdRows counts the memory of the rows of one View more.
func (s *spans) holdRows(view int) error {
	each := 4
	for _, l := range s.byTrace {
		if l != nil {
			each += valueBytes
		}
	}
	if s.argTrace != nil {
		each += valueBytes
	}
	if s.roots != nil {
		each += 2 * 16
	}
	n := s.views[view].Spans()
	return s.memory.Take(n*each, "the rows of %d spans more", n)
}

func (s *spans) makeRoom(view int) {
	n := s.views[view].Spans()
	s.slots[view] = slotArrays.get(n)
	for i := range s.slots[view] {
		s.slots[view][i] = noSlot
	}
	for _, l := range s.byTrace {
		if l != nil {
			l.values[view] = make([]eval.Value, n)
		}
	}
	if s.argTrace != nil {
		s.argTrace[view] = make([]eval.Value, n)
	}
	if s.q.compare != nil {
		s.selected[view] = eval.NewMask(n)
		s.roots[view] = make([]rootOf, n)
	}
}

// noteTrace computes for one span what needs its whole trace.
func (s *spans) noteTrace(t *eval.Trace, span int32, ref eval.Ref) {
	for i, l := range s.byTrace {
		if l != nil {
			l.values[ref.View][ref.Row] = s.run.Value(t, span, s.q.by[i])
		}
	}
	if s.argTrace != nil {
		s.argTrace[ref.View][ref.Row] = s.run.Value(t, span, *s.q.arg)
	}
	if s.q.compare != nil {
		s.q.compare.note(s, t, span, ref)
	}
}
