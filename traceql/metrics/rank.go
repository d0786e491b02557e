package metrics

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// secondStage works on the finished series of a metrics query. It may return
// anything once the query has been given up.
type secondStage interface {
	apply(p *eval.Poll, series []Series) []Series
}

func (q *Query) secondStages(ctx context.Context, series []Series) []Series {
	p := eval.NewPoll(ctx)
	for _, stage := range q.second {
		if ctx.Err() != nil {
			return nil
		}
		series = stage.apply(&p, series)
	}
	return series
}

func compileSecond(s *syntax.SecondStage) secondStage {
	if s.Func == "" {
		return newSampleFilter(s.Op, eval.Literal(s.Value))
	}
	return ranking{top: s.Func == "topk", k: int(min(s.K, 1<<30))}
}

// ranking is topk(k) or bottomk(k): in each slot the k largest or smallest
// samples stay. Different slots may keep different series.
type ranking struct {
	top bool
	k   int
}

func (r ranking) apply(p *eval.Poll, series []Series) []Series {
	if len(series) <= r.k {
		return series
	}
	// Ties are settled by the labels, so the series are brought in order first.
	order := slices.Clone(series)
	slices.SortStableFunc(order, func(a, b Series) int {
		if r.top {
			return compareLabels(a.Labels, b.Labels)
		}
		return compareLabels(b.Labels, a.Labels)
	})
	type ranked struct {
		series int
		sample Sample
	}
	slots := map[int][]ranked{}
	for i := range order {
		if p.Stop(len(order[i].Samples)) {
			return nil
		}
		for _, s := range order[i].Samples {
			slots[s.Slot] = append(slots[s.Slot], ranked{i, s})
		}
		order[i].Samples = nil
	}
	for _, all := range slots {
		if p.Stop(len(all)) {
			return nil
		}
		slices.SortStableFunc(all, func(a, b ranked) int {
			if r.top {
				return cmp.Compare(b.sample.Value, a.sample.Value)
			}
			return cmp.Compare(a.sample.Value, b.sample.Value)
		})
		for _, x := range all[:min(r.k, len(all))] {
			order[x.series].Samples = append(order[x.series].Samples, x.sample)
		}
	}
	return keepFilled(order)
}

// keepFilled drops series without samples and orders the samples of the others.
func keepFilled(series []Series) (out []Series) {
	for _, s := range series {
		if len(s.Samples) > 0 {
			slices.SortFunc(s.Samples, func(a, b Sample) int { return cmp.Compare(a.Slot, b.Slot) })
			out = append(out, s)
		}
	}
	return out
}

// compareLabels is the order in which topk prefers series that tie: label by
// label by the text of strings, by name, by type and value, the higher ones first.
func compareLabels(a, b []eval.Attr) int {
	for i := range min(len(a), len(b)) {
		x, y := &a[i], &b[i]
		if c := cmp.Or(strings.Compare(rankText(x.Value), rankText(y.Value)), strings.Compare(x.Key, y.Key),
			cmp.Compare(typeRank(y.Value.Type), typeRank(x.Value.Type)), compareSame(y.Value, x.Value)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// rankText is the text of what answers show as text.
func rankText(v eval.Value) string {
	switch v.Type {
	case eval.String, eval.Duration, eval.Status, eval.Kind, eval.Nil:
		return v.Text()
	}
	return ""
}

// typeRank orders types as Tempo numbers them.
func typeRank(t eval.Type) int {
	return slices.Index([]eval.Type{eval.Nil, eval.Int, eval.Float, eval.String, eval.Bool, eval.Duration, eval.Status, eval.Kind}, t)
}

// compareSame orders floats by their bits as Tempo does, so that all negative ones
// come after all others.
func compareSame(a, b eval.Value) int {
	if a.Type == eval.Float {
		return cmp.Compare(math.Float64bits(a.Float), math.Float64bits(b.Float))
	}
	return cmp.Compare(a.Int, b.Int)
}
