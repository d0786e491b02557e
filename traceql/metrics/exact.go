package metrics

import (
	"cmp"
	"context"
	"math"
	"slices"

	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// quantile_over_time(...) with (exact=true) computes quantiles from the values themselves: the value at rank
// ceil(q*N) of the N values of a slot. It keeps every value. Without the hint the function keeps one count for
// each power of two and estimates.

// exactValue is a value of a series in a slot.
type exactValue struct {
	series uint32
	slot   int32
	x      float64
}

const exactBytes = 2 * 16 // with the copy that is sorted

// exactHint reports whether the hint exact=true is given; the first of a name counts.
func exactHint(hints []syntax.Hint) bool {
	for _, h := range hints {
		if h.Name == "exact" {
			return h.Value.Type == syntax.LitBool && h.Value.Int != 0
		}
	}
	return false
}

// addExact keeps the values of a part.
func (a *accumulator) addExact(p *Part) error {
	n := 0
	for _, slot := range p.slots {
		if slot != noSlot {
			n++
		}
	}
	if err := a.memory.Take(n*exactBytes, eval.Progress{Format: "the values of %d spans more", A: n}); err != nil {
		return err
	}
	a.exact = slices.Grow(a.exact, n)
	for row, slot := range p.slots {
		if slot != noSlot {
			a.exact = append(a.exact, exactValue{p.to[p.series[row]], slot, p.values[row]})
		}
	}
	return nil
}

// exactQuantiles returns the quantiles of each series with values.
func (a *accumulator) exactQuantiles() (out []Series) {
	values := slices.Clone(a.exact)
	if !sortExact(a.ctx, values) {
		return nil
	}
	a.index = make([]int, max(1, a.groups.series()))
	for len(values) > 0 {
		n := values[0].series
		end := endOf(values, func(v exactValue) bool { return v.series == n })
		out = append(out, a.exactSeries(n, values[:end], len(out))...)
		values = values[end:]
	}
	return out
}

// exactSeries returns the quantiles of one series. Its values are sorted by slot and size.
func (a *accumulator) exactSeries(n uint32, values []exactValue, first int) []Series {
	a.index[n] = len(a.places)
	g := quantileGroup{first: first}
	base := a.groupLabels(n)
	out := make([]Series, len(a.q.quantiles))
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = v.x
	}
	slices.Sort(all)
	for i, q := range a.q.quantiles {
		out[i] = Series{Labels: append(slices.Clip(base), attr("p", eval.Number(q))), Samples: make([]Sample, a.slots)}
		for slot := range out[i].Samples {
			out[i].Samples[slot].Slot = slot
		}
		g.overall = append(g.overall, all[rankOf(q, len(all))])
	}
	for len(values) > 0 {
		slot := values[0].slot
		end := endOf(values, func(v exactValue) bool { return v.slot == slot })
		for i, q := range a.q.quantiles {
			out[i].Samples[slot].Value = values[rankOf(q, end)].x
		}
		values = values[end:]
	}
	a.places = append(a.places, g)
	return out
}

// rankOf returns the index of a quantile among n sorted values.
func rankOf(q float64, n int) int { return int(max(1, math.Ceil(q*float64(n)))) - 1 }

// endOf returns how many values from the first on satisfy alike.
func endOf(values []exactValue, alike func(exactValue) bool) int {
	n := slices.IndexFunc(values, func(v exactValue) bool { return !alike(v) })
	if n < 0 {
		return len(values)
	}
	return n
}

// sortExact orders values by series, slot and size. It returns false when the
// context is done.
func sortExact(ctx context.Context, values []exactValue) bool {
	p, given := eval.NewPoll(ctx), false
	slices.SortFunc(values, func(x, y exactValue) int {
		if given = given || p.Stop(1); given {
			return 0
		}
		return cmp.Or(cmp.Compare(x.series, y.series), cmp.Compare(x.slot, y.slot), cmp.Compare(x.x, y.x))
	})
	return !given
}
