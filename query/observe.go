package query

import "context"

// Stage is a part of the work on a query.
type Stage string

// The stages, in their order. Not every query has all of them.
const (
	Waiting    Stage = "wait"     // waiting for other queries to end
	Parsing    Stage = "parse"    // from text to a program
	Planning   Stage = "plan"     // which Tables to read, in which order
	Evaluating Stage = "evaluate" // over the Tables
)

// Work describes a finished query. Unknown numbers are 0.
type Work struct {
	Query   string // as it was asked; empty when it is not TraceQL
	Tables  int    // the parts of the snapshot
	Spans   int    // inspected
	Results int    // traces, series, names, values, or spans of one trace
}

// Observer receives queries and their stages, to measure and trace them. The Engine calls its methods on the
// query's goroutine, with the caller's context or one derived from it.
type Observer interface {
	// The Engine calls Stage when a stage begins, and the function that it returns when the stage ends.
	Stage(context.Context, Stage) (end func())
	// The Engine calls Done once for each query, also for a failed one.
	Done(context.Context, Work)
}

// unobserved is the Observer of an Engine that has none.
type unobserved struct{}

func (unobserved) Stage(context.Context, Stage) func() { return func() {} }
func (unobserved) Done(context.Context, Work)          {}

// The query defers report, so that it runs even after an error or a panic. It does not report a part of another query.
func (e *Engine) report(ctx context.Context, done *Work) {
	if j, ok := ctx.Value(jobKey{}).(*Job); ok && j.inner {
		return
	}
	e.observer.Done(ctx, *done)
}
