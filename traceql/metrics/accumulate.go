package metrics

import (
	"context"

	"etude/trace"
	"etude/traceql/eval"
)

// This file turns rows into series.
//
// A metrics query computes one number for each series and slot from any number of spans. It works in two steps.
//
//  1. Run.Read, on any goroutine: the rows of one View become a Part. Its label numbers, groups and series are local to the View and found by arrays, not by maps: a text by its dictionary code, a pair of small numbers by its place in a table. Functions that count also count here.
//  2. accumulator.add, on one goroutine and in the order of the Views: the series of the
//     Part get numbers that hold for the whole query, and its counts or values are added
//     to the cells. This step costs a map access for each series of a View, not for
//     each span.
//
// Invariants: the number and the sum of a series do not depend on the order in which Views are read, because
// only step 2 assigns numbers and adds floats. A cell is at series*slots + slot, so cells only grow at the end.
// Memory is counted before it is allocated: a query with too many series ends before it has them.
//
// Locks: none. A Part belongs to its reader until it is passed to add, which returns its arrays to the pools of
// scratch.go.
//
// Rejected: adding in step 1 under a lock, because sums of floats would depend on the order; series numbers
// from one map for all Views, because its lock would be the bottleneck of the query; a map of counters by
// labels, because each span would cost a hash of all its labels.

// accumulator adds up Parts by series and slot.
type accumulator struct {
	groups
	cells
	q       *Query
	w       Window // as in spans
	lead    int    // as in spans
	memory  eval.Memory
	counted int // bytes of it
	ctx     context.Context
	poll    eval.Poll

	index  []int // series number -> place in the answer, after series()
	places []quantileGroup
	exact  []exactValue // see exact.go
}

func newAccumulator(s *spans) *accumulator {
	a := &accumulator{groups: newGroups(s.q), cells: cells{slots: s.w.Slots}, q: s.q, w: s.w, lead: s.lead, memory: s.memory, ctx: s.ctx, poll: eval.NewPoll(s.ctx)}
	if s.fromDisk() {
		a.groups.own()
	}
	return a
}

// Part is a query's result for one part of a snapshot. Its numbers of labels and series are local to this View,
// so that goroutines may read Views in any order.
type Part struct {
	view   int // the number of the part
	v      *trace.View
	slots  []int32
	args   numbers
	groups groups
	series []uint32 // of each row
	counts rowCounts
	values []float64 // of each row, when they are to be added up

	tally *eval.Tally // rows are scopes, each with a number of spans; nil when rows are spans

	to []uint32 // the number of each series in the accumulator, once it has been added
}

// free returns the arrays of a part to the pools and drops the observed rows.
func (p *Part) free(s *spans) {
	slotArrays.put(p.slots)
	if p.tally == nil {
		s.slots[p.view] = nil
		s.memory.Free(slotBytes * s.list[p.view].Spans)
		s.run.Release(p.view)
	}
	kindArrays.put(p.args.kind)
	bitArrays.put(p.args.bits)
	labelArrays.put(p.series)
	countArrays.put(p.counts.cells)
	valueArrays.put(p.values)
}

// Read opens a part and reads it. It returns nil if the query observes no row. Any goroutine may call it, once
// for each part.
func (r *Run) Read(n int) (*Part, error) {
	if p, err := r.readTally(r.reads[n]); p != nil || err != nil {
		return p, err
	}
	return r.readSpans(r.reads[n])
}

// readTally is Read for a part whose scopes are enough; nil when they are not.
func (r *Run) readTally(view int) (*Part, error) {
	s, q := &r.spans, r.q
	slot, one := s.oneSlot(view)
	if !one || !q.tallied {
		return nil, nil
	}
	t, err := s.run.Tally(view)
	if t == nil || err != nil {
		return nil, err
	}
	again, err := s.run.Repeated(view, s.observes)
	if err != nil || !again.Empty() {
		return nil, err
	}
	p := &Part{view: view, v: t.View, tally: t, slots: slotArrays.get(t.View.Spans())}
	for row := range p.slots {
		p.slots[row] = slot
	}
	clearOthers(t.Kept(), p.slots)
	p.groups = newGroups(q)
	p.series = q.group(s, p)
	p.count(s)
	return p, nil
}

func (r *Run) readSpans(view int) (*Part, error) {
	s, q := &r.spans, r.q
	if q.rowwise {
		if err := s.byColumn(view); err != nil {
			return nil, err
		}
	}
	p := &Part{view: view, slots: s.slots[view]}
	if p.slots == nil {
		return nil, nil
	}
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	if !q.rowwise {
		if err := s.run.OpenWhole(view); err != nil {
			return nil, err
		}
	}
	p.v = s.run.View(view)
	if q.arg != nil {
		p.args = q.argument(s, p, p.slots)
	}
	p.groups = newGroups(q)
	p.series = q.group(s, p)
	if q.buckets() {
		column := p.args.buckets(p.slots)
		p.groups.buckets.prepare(p.groups.first(len(q.by)), bucketNumbers)
		p.groups.buckets.joinRows(p.series, column, p.slots)
		labelArrays.put(column)
	}
	if q.sums() {
		p.values = p.args.floats(p.slots) // for add, because sums of floats depend on the order
	} else {
		p.count(s)
	}
	return p, nil
}

// group returns the number of each row's group.
func (q *Query) group(s *spans, p *Part) (group []uint32) {
	for i, x := range q.by {
		l := p.groups.labels[i]
		l.local = true
		var column []uint32
		if s.byTrace != nil && s.byTrace[i] != nil {
			column = tracedColumn(l, s.byTrace[i].values[p.view], p.slots)
		} else {
			column = labelColumn(p.reader(s, x), p.v, ownColumn(x), l, p.slots)
		}
		if i == 0 {
			group = column
			continue
		}
		p.groups.chain[i].prepare(p.groups.first(i), len(l.values))
		p.groups.chain[i].joinRows(group, column, p.slots)
		labelArrays.put(column)
	}
	if group == nil {
		group = labelArrays.zeroed(len(p.slots))
	}
	return group
}

func (p *Part) reader(s *spans, x eval.Operand) *eval.Reader {
	if p.tally != nil {
		return p.tally.Reader(x)
	}
	return s.run.Reader(p.view, x)
}

func tracedColumn(l *labels, values []eval.Value, slots []int32) []uint32 {
	out := labelArrays.zeroed(len(slots))
	for row, slot := range slots {
		if slot != noSlot {
			out[row] = l.number(values[row])
		}
	}
	return out
}

// count counts the rows of a part. It runs here, where goroutines read Views in parallel, unless there would be
// more counts than rows.
func (p *Part) count(s *spans) {
	first, last := s.w.slotsOf(&s.list[p.view])
	p.counts = rowCounts{from: first, slots: last + 1 - first}
	if p.tally != nil {
		p.counts.cells = countArrays.zeroed(p.groups.series())
		for row, slot := range p.slots {
			if slot != noSlot {
				p.counts.cells[p.series[row]] += p.tally.Spans[row]
			}
		}
		return
	}
	if n := p.groups.series() * p.counts.slots; n <= max(len(p.slots), 1<<10) {
		p.counts.cells = countArrays.zeroed(n)
		p.counts.add(p.series, p.slots, s.q.buckets())
	}
}

// add observes the spans of a View. The caller adds Views in order, so that sums and representatives are deterministic.
func (a *accumulator) add(s *spans, p *Part, pick *exemplars) error {
	p.to = a.join(&p.groups)
	if err := a.grow(); err != nil {
		return err
	}
	if err := pick.offer(s, p); err != nil {
		return err
	}
	switch {
	case a.q.exact:
		return a.addExact(p)
	case a.q.sums():
		a.addNumbers(p, joins[a.q.fn])
	case p.counts.cells == nil:
		a.addRows(p)
	default:
		a.addCounts(p)
	}
	return nil
}

// bytes returns the memory of the accumulator with the cells of all series, and of the answer.
func (a *accumulator) bytes() int {
	perCell := 8 + sampleBytes
	if a.q.sums() {
		perCell += 4
	}
	line := seriesBytes + (1+len(a.q.by))*attrBytes
	n := a.groups.bytes() + a.groups.series()*(line+a.slots*perCell)
	if lines := len(a.q.quantiles); lines > 0 {
		n += a.groups.first(len(a.q.by)) * lines * (line + a.slots*sampleBytes)
	}
	if len(a.q.second) > 0 {
		n += a.groups.series() * a.slots * rankedBytes
	}
	return n
}

// grow makes the cells of new series.
func (a *accumulator) grow() error {
	bytes, series := a.bytes(), a.groups.series()
	if err := a.memory.Take(bytes-a.counted, eval.Progress{Format: atSeries, A: series, B: a.slots - a.lead}); err != nil {
		return err
	}
	a.counted = bytes
	if !a.q.exact {
		a.cells.grow(series*a.slots, a.q.sums())
	}
	return nil
}
