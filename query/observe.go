package query

import "context"

// Stage is a part of the work on a query.
type Stage string

// The stages, in their order. Not every query has all of them.
const (
	Waiting    Stage = "wait"     // for other queries to end
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

// Observer is notified of queries and their stages, to measure and trace them. Its
// methods are called on the query's goroutine, with the context that the caller
// of the Engine gave or one made from it.
type Observer interface {
	// Stage is called when a stage begins, and the function that it returns when the
	// stage ends.
	Stage(context.Context, Stage) (end func())
	// Done is called once for each query, also for one that has failed.
	Done(context.Context, Work)
}

// unobserved is the Observer of an Engine that has none.
type unobserved struct{}

func (unobserved) Stage(context.Context, Stage) func() { return func() {} }
func (unobserved) Done(context.Context, Work)          {}

// report is deferred, so that it runs however a query ends. It does not report a part of another query.
func (e *Engine) report(ctx context.Context, done *Work) {
	if j, ok := ctx.Value(jobKey{}).(*Job); ok && j.inner {
		return
	}
	e.observer.Done(ctx, *done)
}
