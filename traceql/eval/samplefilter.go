package eval

import "slices"

// sampleFilter keeps the samples for which a comparison with a number holds.
type sampleFilter struct {
	op    string
	limit Value
}

// newSampleFilter takes a duration in seconds, which is what samples are in.
func newSampleFilter(op string, limit Value) sampleFilter {
	x := limit.float()
	if limit.Type == Duration {
		x /= 1e9
	}
	return sampleFilter{op, Value{Type: Float, Float: x}}
}

func (f sampleFilter) holds(x float64) bool {
	return compareNumbers(f.op, Value{Type: Float, Float: x}, f.limit)
}

func (f sampleFilter) apply(p *poll, series []Series) (out []Series) {
	for _, s := range series {
		if p.stop(len(s.Samples)) {
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
