package metrics

import (
	"context"
	"slices"

	"etude/trace"
	"etude/traceql/eval"
)

// Stats is what a metrics query looked at.
type Stats struct {
	Traces, Spans int
}

// Bounds limit what a metrics query may give and keep, and say what is known.
type Bounds struct {
	Exemplars int         // of all series together, of as many traces
	Memory    eval.Memory // nil for no limit

	Places *eval.Places // what earlier queries over the same Tables have found; nil for nothing
}

// Run is a query over a fixed list of Views, older ones first. The caller drives it
// in this order, and may do the reading on several goroutines:
//
//  1. [Run.Gather], once;
//  2. [Run.Read] of each View below [Run.Parts], in any order and on any goroutine;
//  3. [Run.Add] of what Read has returned, in the order of the Views, on one
//     goroutine, so that sums and the numbers of series are the same every time;
//  4. [Run.Series].
//
// An error of any of them ends the Run.
type Run struct {
	spans
	a    *accumulator
	pick *exemplars
	sure []int // by View: the first slot that it or a later one may have
}

// Start begins a Run.
func (q *Query) Start(ctx context.Context, views []*trace.View, w Window, bounds Bounds) *Run {
	lead := q.lead(w)
	r := &Run{spans: spans{
		ctx: ctx, run: q.p.Start(ctx, views), q: q, views: views, w: w.led(lead), lead: lead,
		memory: eval.Unlimited(bounds.Memory), slots: make([][]int32, len(views)),
	}}
	r.run.Places, r.run.Memory = bounds.Places, r.memory
	r.a = newAccumulator(&r.spans)
	r.pick = newExemplars(w, bounds.Exemplars)
	r.sure = make([]int, len(views)+1)
	r.sure[len(views)] = w.Slots
	for i, v := range slices.Backward(views) {
		first, _ := w.slotsOf(v)
		r.sure[i] = min(r.sure[i+1], first)
	}
	return r
}

// Gather finds the spans of a query that columns alone do not decide, trace by trace.
func (r *Run) Gather() error {
	if !r.q.rowwise {
		return r.byTrees()
	}
	for _, v := range r.views {
		if r.overlaps(v) {
			r.stats.Spans += v.Spans()
		}
	}
	return nil
}

// Parts is how many Views there are to read: none for compare(), which has read all
// that it needs.
func (r *Run) Parts() int {
	if r.q.compare != nil {
		return 0
	}
	return len(r.views)
}

// Add counts the spans of a View. A nil Part has none.
func (r *Run) Add(p *Part) error {
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
	r.pick.attach(&r.spans, r.a, series)
	return r.finish(series), nil
}

func (r *Run) finish(series []Series) []Series {
	series = r.q.secondStages(r.ctx, series)
	sortSeries(r.ctx, series)
	return series
}

// Stats returns what the Run has looked at.
func (r *Run) Stats() Stats { return r.stats }

// Sure returns the slot below which all slots are complete once a View and all
// before it have been added. Views overlap in time as they like: a slot is complete
// when all Views to come begin after it.
func (r *Run) Sure(view int) int { return r.sure[view+1] }

// Cells is how many numbers [Run.Between] would copy.
func (r *Run) Cells() int { return len(r.a.values) }

// Between returns the samples of the slots from one on and below another, of what
// has been added. It changes nothing, and costs as much as an answer does.
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
