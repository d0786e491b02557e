package metrics

import (
	"etude/trace"
	"etude/traceql/eval"
)

// Need declares the columns that the query reads: rows of each part, and whole, which includes rows, of assembled
// traces. See [eval.NewParts].
func (q *Query) Need() (rows, whole *trace.Need) {
	whole = q.p.Need()
	if q.compare != nil {
		eval.DeclareRoot(whole)
		whole.Columns |= trace.Names | trace.Kinds | trace.Statuses | trace.StatusMessages | trace.ScopeNames | trace.ScopeVersions
		for _, l := range []trace.Level{trace.SpanLevel, trace.ResourceLevel, trace.ScopeLevel} {
			whole.AllKeys[l] = true
		}
	}
	if !q.rowwise {
		return whole, whole
	}
	rows = q.untimed()
	rows.Columns |= trace.Starts
	return rows, whole
}

// untimed declares the columns that a query which columns decide reads of a part all of whose spans start in one slot.
func (q *Query) untimed() *trace.Need {
	n := q.p.RowNeed()
	q.p.DeclareOperands(n)
	return n
}
