package metrics

import (
	"slices"

	"etude/traceql/eval"
)

// sampleFilter keeps the samples for which a comparison with a number holds.
type sampleFilter struct {
	op    string
	limit eval.Value
}

// newSampleFilter converts a duration to seconds, the unit of samples.
func newSampleFilter(op string, limit eval.Value) sampleFilter {
	x := limit.Number()
	if limit.Type == eval.Duration {
		x /= 1e9
	}
	return sampleFilter{op, eval.Number(x)}
}

func (f sampleFilter) holds(x float64) bool {
	return eval.Compare(f.op, eval.Number(x), f.limit)
}

func (f sampleFilter) apply(p *eval.Poll, series []Series) (out []Series) {
	for _, s := range series {
		if p.Stop(len(s.Samples)) {
			return nil
		}
		s.Samples = slices.DeleteFunc(s.Samples, func(x Sample) bool { return !f.holds(x.Value) })
		s.Exemplars = slices.DeleteFunc(s.Exemplars, func(x Exemplar) bool { return x.Counted || !f.holds(x.Value) })
		if len(s.Samples) > 0 {
			out = append(out, s)
		}
	}
	return out
}
