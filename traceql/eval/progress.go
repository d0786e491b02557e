package eval

import (
	"slices"

	"etude/trace"
)

// Progress is told, while Run goes from the oldest View to the newest, that the
// slots from one on and below another are complete. It returns whether it has
// taken their series; if not, they are offered again with more. Series may be
// called only before it returns, and costs as much as an answer does.
type Progress func(from, to int, series func() []Series) (taken bool)

// maxPartialCells bounds what is copied to tell progress: 2 MiB of numbers, some
// 20 MiB when they have become samples and text.
const maxPartialCells = 1 << 18

// teller tells progress; nil when nobody listens. Views overlap in time as they
// like: a slot is complete when all Views to come begin behind it.
type teller struct {
	m     *Metrics
	slots int
	least []int // by View: the first slot that it or a later one may have
	told  int
}

func newTeller(m *Metrics, views []*trace.View, w Window) *teller {
	if m.Progress == nil {
		return nil
	}
	t := &teller{m: m, slots: w.Slots, least: make([]int, len(views)+1)}
	t.least[len(views)] = t.slots
	for i, v := range slices.Backward(views) {
		first, _ := slotsIn(v, w)
		t.least[i] = min(t.least[i+1], first)
	}
	return t
}

// added is told that the accumulator has the spans of a View, nil when there are
// none. What is complete with the last one is the answer's to tell.
func (t *teller) added(a *accumulator, p *part) {
	if t == nil || p == nil {
		return
	}
	from, to := t.told, t.least[p.view+1]
	if to <= from || to >= t.slots || len(a.values) > maxPartialCells {
		return
	}
	if t.m.Progress(from, to, func() []Series { return t.window(a, from, to) }) {
		t.told = to
	}
}

// window returns the samples of some slots without a change to the accumulator.
func (t *teller) window(a *accumulator, from, to int) (out []Series) {
	b := *a
	b.values, b.counts = slices.Clone(a.values), slices.Clone(a.counts)
	series := t.m.secondStages(a.poll.ctx, b.series())
	sortSeries(a.poll.ctx, series)
	for _, s := range series {
		s.Samples = slices.DeleteFunc(s.Samples, func(x Sample) bool { return x.Slot < from || x.Slot >= to })
		if len(s.Samples) > 0 {
			out = append(out, s)
		}
	}
	return out
}
