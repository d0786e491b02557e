package metrics

import (
	"etude/trace"
	"etude/traceql/eval"
)

// lead is how many slots in front of the window are looked at as well. Their
// samples are in no answer. But recorded answers of functions that count list a
// series, all zero, for labels, a bucket or a value in compare() that only the slot
// in front has, and choose the values that come most often with that slot counted.
func (q *Query) lead(w Window) int {
	if w.Instant || w.Start < w.Step || q.compare == nil && (q.sums() || q.fn == "quantile_over_time") {
		return 0
	}
	return 1
}

// ownColumn returns the type of the only column that by() reads of an attribute, nil
// for no such bound: in by() Tempo reads what has another type, such as a status
// code sent as text, as missing.
func ownColumn(o eval.Operand) *trace.Type {
	if t, ok := o.OwnColumn(); ok {
		return &t
	}
	return nil
}
