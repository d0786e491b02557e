package eval

import (
	"context"

	"etude/trace"
)

// spans finds the spans that a metrics query observes. Each span of each spanset
// that the pipeline yields counts once, when it starts within the window; the
// pipeline itself sees the whole trace.
type spans struct {
	*Run
	m     *Metrics
	w     Window // that of the answer with lead slots in front
	lead  int
	stats Stats

	memory *Memory

	// slots is the slot of each row of a View, noSlot for a row that is not
	// observed; nil for a View without any.
	slots [][]int32

	// What only whole traces know is computed while they are at hand, row by
	// row: the entries of by() that need it, the argument, compare()'s filter
	// and the root.
	byTrace  []*tracedLabels // one an entry of by(); nil for what columns know
	argTrace [][]Value
	selected []Mask
	roots    [][]rootOf
}

const noSlot = -1

// tracedLabels are labels computed trace by trace; values per View and row.
type tracedLabels struct{ values [][]Value }

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
	rows := s.rows(view)
	if rows.Empty() {
		return nil
	}
	if again := s.repeated(view); again != nil {
		rows = rows.clone()
		rows.andNot(again)
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

// slotsIn returns the first and the last slot that a View may have a span in;
// w.Slots and one less when it has none.
func slotsIn(v *trace.View, w Window) (first, last int) {
	from, to := v.Times()
	if v.Spans() == 0 || from > w.End() || to <= w.Start {
		return w.Slots, w.Slots - 1
	}
	if from > w.Start {
		first = int((from - w.Start - 1) / w.Step)
	}
	return first, int((min(to, w.End()) - w.Start - 1) / w.Step)
}

// rows returns the rows of a View that every stage keeps.
func (s *spans) rows(view int) Mask {
	rows := fullMask(s.views[view].Spans())
	for _, st := range s.p.stages {
		if st, ok := st.(spansetStage); ok {
			rows.and(s.rowsOf(st.node, view))
		}
	}
	return rows
}

func (s *spans) rowsOf(n node, view int) Mask {
	if o, ok := n.(*logical); ok {
		rows := s.rowsOf(o.l, view).clone()
		rows.or(s.rowsOf(o.r, view))
		return rows
	}
	return s.bind(view).mask(int(n.(pick)))
}

// slotsOf gives every row its slot.
func slotsOf(v *trace.View, rows Mask, w Window) []int32 {
	slots := slotArrays.get(v.Spans())
	from, to := v.Times()
	if first, last := slotsIn(v, w); first == last && w.holds(from) && w.holds(to) {
		for row := range slots { // Fast path: much comes in a short time.
			slots[row] = int32(first)
		}
	} else {
		slotsByTime(v, w, slots)
	}
	rows.clearOthers(slots)
	return slots
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
	var t Trace
	for view, v := range s.views {
		done := 0
		for number := range s.Candidates(view).Rows {
			if done++; done%256 == 1 && s.ctx.Err() != nil {
				return context.Cause(s.ctx)
			}
			id := v.TraceIDs[number]
			if seen[id] || !s.Load(&t, id) {
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
			sets, err := s.Trace(&t)
			if err != nil {
				return err
			}
			for _, set := range sets {
				if err := s.observe(set); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *spans) prepare() {
	s.byTrace = make([]*tracedLabels, len(s.m.by))
	for i, x := range s.m.by {
		if x.needs().trace {
			s.byTrace[i] = &tracedLabels{make([][]Value, len(s.views))}
		}
	}
	if s.m.arg != nil && s.m.arg.needs().trace {
		s.argTrace = make([][]Value, len(s.views))
	}
	if s.m.compare != nil {
		s.selected = make([]Mask, len(s.views))
		s.roots = make([][]rootOf, len(s.views))
	}
}

// observe notes the spans of a spanset that start within the window.
func (s *spans) observe(set Spanset) error {
	for _, span := range set.Spans {
		ref := s.t.Spans[span]
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
		s.noteTrace(span, ref)
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
			l.values[view] = make([]Value, n)
		}
	}
	if s.argTrace != nil {
		s.argTrace[view] = make([]Value, n)
	}
	if s.m.compare != nil {
		s.selected[view] = newMask(n)
		s.roots[view] = make([]rootOf, n)
	}
}

// noteTrace computes for one span what needs its whole trace.
func (s *spans) noteTrace(span int32, ref Ref) {
	for i, l := range s.byTrace {
		if l != nil {
			l.values[ref.View][ref.Row] = s.m.by[i].value(s.at(span))
		}
	}
	if s.argTrace != nil {
		s.argTrace[ref.View][ref.Row] = s.m.arg.value(s.at(span))
	}
	if s.m.compare != nil {
		s.m.compare.note(s, span, ref)
	}
}
