package eval

import (
	"context"
	"slices"
)

// aggregate is count() or another aggregate with a comparison. It adds the value to each spanset as an
// attribute and keeps the spansets for which the comparison holds.
type aggregate struct {
	fn    string
	key   string // canonical text
	arg   expr   // nil for count
	op    string
	limit Value
}

func (a *aggregate) apply(r *Run, in []Spanset) ([]Spanset, error) {
	out := in[:0:0]
	for _, set := range in {
		if r.poll.Stop(1 + len(set.Spans)) {
			return nil, context.Cause(r.ctx)
		}
		v, ok := a.compute(r, set.Spans)
		if ok && Compare(a.op, v, a.limit) {
			out = append(out, Spanset{Spans: set.Spans, Attrs: append(slices.Clip(set.Attrs), Attr{a.key, v})})
		}
	}
	return out, nil
}

// compute returns the value over the spans; ok is false if no span has a value.
func (a *aggregate) compute(r *Run, spans []int32) (v Value, ok bool) {
	if a.arg == nil {
		return Value{Type: Int, Int: int64(len(spans))}, true
	}
	count := int64(0)
	for i, span := range spans {
		if i%pollEvery == pollEvery-1 && r.ctx.Err() != nil {
			return Value{}, false
		}
		x := a.arg.value(r.at(span))
		if !x.numeric() {
			continue
		}
		if count++; count == 1 {
			v = x
			continue
		}
		v = a.join(v, x)
	}
	if a.fn == "avg" && count > 0 {
		v = average(v, count)
	}
	return v, count > 0
}

func (a *aggregate) join(v, x Value) Value {
	switch a.fn {
	case "min":
		if compareNumbers("<", x, v) {
			return x
		}
		return v
	case "max":
		if compareNumbers(">", x, v) {
			return x
		}
		return v
	}
	if v.Type == x.Type && v.exact() {
		v.Int += x.Int
		return v
	}
	return Value{Type: Float, Float: v.Number() + x.Number()}
}

func average(sum Value, count int64) Value {
	if sum.Type == Duration {
		return Value{Type: Duration, Int: sum.Int / count}
	}
	return Value{Type: Float, Float: sum.Number() / float64(count)}
}
