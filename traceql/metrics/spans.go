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
	list  []trace.Part
	w     Window // the window of the answer, with lead slots before it
	lead  int
	stats Stats

	memory eval.Memory

	// slots has the slot of each row of a View: noSlot for a row that the query does not observe, nil for a
	// View without observed rows.
	slots [][]int32

	// byTree computes the values that need whole traces, row by row, while a trace is loaded: entries of by(),
	// the argument, compare()'s filter and the root.
	byTrace  []*tracedLabels // one an entry of by(); nil if columns have the values
	argTrace [][]eval.Value
	selected []eval.Mask
	roots    [][]rootOf
}

const noSlot = -1

// tracedLabels are labels computed trace by trace; values per View and row.
type tracedLabels struct{ values [][]eval.Value }

type rootOf struct{ name, service string }

// byColumn is the fast path, which fills slots of one View from masks of rows. It observes a span once even if
// a newer View repeats it. Each View is independent, so several goroutines may read Views at a time.
func (s *spans) byColumn(view int) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	open := s.run.Open
	if _, one := s.oneSlot(view); one {
		open = s.run.OpenTraces
	}
	if err := open(view); err != nil {
		return err
	}
	rows := s.run.Kept(view)
	if rows.Empty() {
		s.run.Release(view)
		return nil
	}
	again, err := s.run.Repeated(view, s.observes)
	if err != nil {
		return err
	}
	if again != nil {
		rows = slices.Clone(rows)
		rows.AndNot(again)
	}
	if err := s.holdRows(view); err != nil {
		return err
	}
	s.slots[view] = s.slotsOf(view, rows)
	return nil
}

// oneSlot returns the slot in which all spans of a part start, if it is one and in the window.
func (s *spans) oneSlot(part int) (slot int32, one bool) {
	p := &s.list[part]
	first, last := s.w.slotsOf(p)
	return int32(first), first == last && s.w.holds(p.MinStart) && s.w.holds(p.MaxEnd)
}

// observes reports whether a query that columns decide may observe a span of a part. The part may be closed.
func (s *spans) observes(part int) bool { return s.run.Covers(part) && !s.run.KeepsNone(part) }

// slotsOf gives every row its slot.
func (s *spans) slotsOf(view int, rows eval.Mask) []int32 {
	v := s.run.View(view)
	slots := slotArrays.get(v.Spans())
	if slot, one := s.oneSlot(view); one {
		for row := range slots { // Fast path: much comes in a short time.
			slots[row] = slot
		}
	} else {
		slotsByTime(v, s.w, slots)
	}
	clearOthers(rows, slots)
	return slots
}

// clearOthers removes the slot of every row outside of the set.
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

// slotsByTime reads every start. Neighbours most often share a slot, so it divides only if the slot changes.
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

// byTrees is the general path, which fills slots of all Views: it assembles candidates trace by trace and sends
// them through the pipeline.
func (s *spans) byTrees() error {
	s.prepare()
	seen := map[trace.TraceID]bool{}
	var t eval.Trace
	for part := range s.list {
		if s.run.Skips(part) {
			continue
		}
		if err := s.run.Open(part); err != nil {
			return err
		}
		sure, doubtful, err := s.run.Candidates(part)
		if err != nil {
			return err
		}
		ids, done := s.run.View(part).TraceIDs, 0
		for number := range eval.Union(sure, doubtful).Rows {
			if done++; done%256 == 1 && s.ctx.Err() != nil {
				return context.Cause(s.ctx)
			}
			id := ids[number]
			if seen[id] {
				continue
			}
			if sure == nil || !sure.Has(number) {
				if may, err := s.run.May(id); err != nil {
					return err
				} else if !may {
					continue
				}
			}
			if err := s.byTree(&t, id, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// byTree assembles a trace and sends it through the pipeline.
func (s *spans) byTree(t *eval.Trace, id trace.TraceID, seen map[trace.TraceID]bool) error {
	s.run.Trim()
	if found, err := s.run.Load(t, id); err != nil || !found {
		return err
	}
	if t.Split {
		seen[id] = true
	}
	if t.Start > s.w.End() || t.End < s.w.Start {
		return nil
	}
	s.stats.Traces++
	s.stats.Spans += len(t.Spans)
	sets, err := s.run.Trace(t)
	if err != nil {
		return err
	}
	for _, set := range sets {
		if err := s.observe(t, set); err != nil {
			return err
		}
	}
	return nil
}

func (s *spans) prepare() {
	s.byTrace = make([]*tracedLabels, len(s.q.by))
	for i, x := range s.q.by {
		if x.NeedsTrace() {
			s.byTrace[i] = &tracedLabels{make([][]eval.Value, len(s.list))}
		}
	}
	if s.q.arg != nil && s.q.arg.NeedsTrace() {
		s.argTrace = make([][]eval.Value, len(s.list))
	}
	if s.q.compare != nil {
		s.selected = make([]eval.Mask, len(s.list))
		s.roots = make([][]rootOf, len(s.list))
	}
}

// observe records the spans of a spanset that start within the window.
func (s *spans) observe(t *eval.Trace, set eval.Spanset) error {
	for _, span := range set.Spans {
		ref := t.Spans[span]
		start := t.View(ref).Began(ref.Row)
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

// slotBytes is the memory of one row's slot. It is in use until the row is added.
const slotBytes = 4

// holdRows counts the memory of the rows of another View.
func (s *spans) holdRows(view int) error {
	each := slotBytes
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
	n := s.list[view].Spans
	return s.memory.Take(n*each, eval.Progress{Format: "the rows of %d spans more", A: n})
}

// fromDisk reports whether the query closes parts before it ends.
func (s *spans) fromDisk() bool {
	return slices.ContainsFunc(s.list, func(p trace.Part) bool { return !p.Resident })
}

func (s *spans) makeRoom(view int) {
	n := s.list[view].Spans
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
