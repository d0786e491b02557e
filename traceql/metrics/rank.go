package metrics

import (
	"cmp"
	"context"
	"slices"

	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// secondStage works on the finished series of a metrics query. After the query is cancelled it may return anything.
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
	// Labels break ties, so sort the series by labels first.
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
