package metrics

import (
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// Query is a compiled metrics query. It is immutable.
type Query struct {
	p         *eval.Program
	fn        string
	by        []eval.Operand
	keys      []string // of by
	always    []bool   // of by: a missing value shows as the label "nil"
	arg       *eval.Operand
	quantiles []float64
	compare   *comparing
	second    []secondStage
	exact     bool // see exact.go
	rowwise   bool // columns decide everything: no whole trace is needed
	tallied   bool // scopes and resources do, and spans are only counted

	// Exemplars is the hint exemplars, -1 when it is not given.
	Exemplars int
}

// Compile translates a metrics query that package check has passed.
func Compile(from *syntax.Query) (*Query, error) {
	p, err := eval.Compile(from)
	if err != nil {
		return nil, err
	}
	m := from.Metrics
	q := &Query{p: p, fn: m.Func, quantiles: m.Quantiles, Exemplars: exemplarHint(from.Hints)}
	q.rowwise = p.RowWise()
	q.exact = q.fn == "quantile_over_time" && exactHint(from.Hints)
	for _, f := range m.By {
		q.by = append(q.by, q.operand(f))
		q.keys = append(q.keys, labelName(f))
		q.always = append(q.always, alwaysShown(f))
	}
	if m.Arg != nil {
		arg := q.operand(m.Arg)
		q.arg = &arg
	}
	if m.Compare != nil {
		q.compare = q.compileCompare(m.Compare)
		q.rowwise = false // it counts facts of whole traces
	}
	q.tallied = q.rowwise && q.arg == nil && q.untimed().OfScopes()
	for i := range m.Second {
		q.second = append(q.second, compileSecond(&m.Second[i]))
	}
	return q, nil
}

// RelateAsTempo is [eval.Program.RelateAsTempo] for the spans that the query
// observes.
func (q *Query) RelateAsTempo() { q.p.RelateAsTempo() }

func (q *Query) operand(f syntax.Field) eval.Operand {
	o := q.p.Operand(f)
	q.rowwise = q.rowwise && !o.NeedsTrace()
	return o
}

// exemplarHint reads with(exemplars=...): a number, or false for none.
func exemplarHint(hints []syntax.Hint) int {
	for _, h := range hints { // the first of a name counts
		if h.Name != "exemplars" {
			continue
		}
		switch {
		case h.Value.Type == syntax.LitInt && h.Value.Int >= 0:
			return int(min(h.Value.Int, 1<<20))
		case h.Value.Type == syntax.LitBool && h.Value.Int == 0:
			return 0
		}
		break
	}
	return -1
}

// buckets reports whether the function sorts values into buckets.
func (q *Query) buckets() bool {
	return q.fn == "histogram_over_time" || q.fn == "quantile_over_time" && !q.exact
}

// sums reports whether the function makes one number of the spans' numbers. All
// others count spans.
func (q *Query) sums() bool { return q.arg != nil && !q.buckets() }
