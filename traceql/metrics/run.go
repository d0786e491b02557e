package metrics

import (
	"context"
	"slices"

	"etude/traceql/eval"
)

// Stats counts the data that a metrics query inspected.
type Stats struct {
	Traces, Spans int
}

// Bounds limit the answer and the memory of a metrics query.
type Bounds struct {
	Exemplars int         // of all series together, of as many traces
	Memory    eval.Memory // nil for no limit
}

// Run is a query over the parts of a snapshot, older ones first. The caller drives it in this order, and may
// read on several goroutines:
//
//  1. [Run.Gather], once;
//  2. [Run.Read] of each part below [Run.Parts], in any order and on any goroutine;
//  3. [Run.Add] of what Read has returned, in the order of the parts, on one
//     goroutine, so that sums and the numbers of series are the same every time;
//  4. [Run.Series].
//
// An error of any of them ends the Run.
type Run struct {
	spans
	a    *accumulator
	pick *exemplars
	// reads are the numbers of the parts to read; sure has, for each of them, the first
	// slot that it or a later one may have.
	reads, sure []int
}

// Start begins a Run.
func (q *Query) Start(ctx context.Context, parts *eval.Parts, w Window, bounds Bounds) *Run {
	lead, list := q.lead(w), parts.List()
	r := &Run{spans: spans{
		ctx: ctx, run: q.p.Start(ctx, parts), q: q, list: list, w: w.led(lead), lead: lead,
		memory: eval.Unlimited(bounds.Memory), slots: make([][]int32, len(list)),
	}}
	if q.rowwise {
		parts.ByPage(q.untimed)
	}
	r.run.Within(r.w.Start, r.w.End(), false)
	r.a = newAccumulator(&r.spans)
	r.pick = newExemplars(w, bounds.Exemplars)
	return r
}

// Gather finds the parts to read. For a query that columns alone do not decide, it also finds the spans, trace
// by trace.
func (r *Run) Gather() error {
	if !r.q.rowwise {
		if err := r.byTrees(); err != nil {
			return err
		}
	}
	for part := range r.list {
		switch {
		case !r.q.rowwise && r.slots[part] == nil, r.q.rowwise && !r.observes(part):
			continue
		case r.q.rowwise:
			r.stats.Spans += r.list[part].Spans
		}
		r.reads = append(r.reads, part)
	}
	r.sure = make([]int, len(r.reads)+1)
	r.sure[len(r.reads)] = r.w.Slots - r.lead
	for i, part := range slices.Backward(r.reads) {
		first, _ := r.w.slotsOf(&r.list[part])
		r.sure[i] = min(r.sure[i+1], max(0, first-r.lead))
	}
	return nil
}

// Parts returns the number of parts to read, without the ruled-out ones. It is 0 for compare(), because Gather
// has read all that compare() needs.
func (r *Run) Parts() int {
	if r.q.compare != nil {
		return 0
	}
	return len(r.reads)
}

// Add counts the spans of a part. A nil Part has none.
func (r *Run) Add(p *Part) error {
	if p != nil && p.tally != nil && r.pick.looksAt(&r.list[p.view]) { // Only spans are exemplars.
		view := p.view
		p.free(&r.spans)
		var err error
		if p, err = r.readSpans(view); err != nil {
			return err
		}
	}
	if p == nil {
		return nil
	}
	if err := r.a.add(&r.spans, p, r.pick); err != nil {
		return err
	}
	p.free(&r.spans)
	return nil
}

// Series returns the answer, in order.
func (r *Run) Series() ([]Series, error) {
	if r.q.compare != nil {
		return r.q.compare.count(&r.spans)
	}
	series := r.a.series()
	if err := r.pick.attach(&r.spans, r.a, series); err != nil {
		return nil, err
	}
	return r.finish(series), nil
}

func (r *Run) finish(series []Series) []Series {
	series = r.q.secondStages(r.ctx, series)
	sortSeries(r.ctx, series)
	return series
}

// Stats returns the counts of the data that the Run has inspected.
func (r *Run) Stats() Stats { return r.stats }

// Sure returns the slot below which all slots are complete once a part and all before it have been added. Parts
// may overlap in time: a slot is complete when all following parts begin after it.
func (r *Run) Sure(n int) int { return r.sure[n+1] }

// Cells returns the number of values that [Run.Between] would copy.
func (r *Run) Cells() int { return len(r.a.values) }

// Between returns the samples of the added parts in a range of slots. It changes nothing, and costs as much as
// an answer.
func (r *Run) Between(from, to int) (out []Series) {
	b := *r.a
	b.values, b.counts = slices.Clone(b.values), slices.Clone(b.counts)
	for _, s := range r.finish(b.series()) {
		s.Samples = slices.DeleteFunc(s.Samples, func(x Sample) bool { return x.Slot < from || x.Slot >= to })
		if len(s.Samples) > 0 {
			out = append(out, s)
		}
	}
	return out
}
