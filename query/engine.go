package query

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"etude/otlp"
	"etude/trace"
	"etude/traceql/eval"
)

// Source hands out the spans to read: immutable Views, the newest last.
type Source interface {
	Tables() []*trace.View
}

// Options bound what a query may use. Zero values mean the defaults.
type Options struct {
	// MaxTime is how long one query may take, waiting included; default 30 s.
	MaxTime time.Duration
	// MaxMemory is how many bytes one query may keep, of what grows with the
	// data: groups, labels and samples of metrics, traces found; default 512 MiB,
	// below 0 for no limit.
	MaxMemory int64
	// MaxConcurrent is how many queries run at a time, others wait; default 16.
	MaxConcurrent int
	// MaxWaiting is how many wait, more are refused; default 1000.
	MaxWaiting int
	// TempoStructure makes structural operators relate spans as Tempo 3.0.3 does:
	// only below a root that has arrived. By default the ids alone decide.
	TempoStructure bool
	// Running is called when a query begins to run, and done when it has ended; nil
	// for nobody.
	Running func() (done func())
	// Observer is told how queries go; nil for nobody.
	Observer Observer
}

// Engine answers queries. Any number of goroutines may use it.
type Engine struct {
	shelves  func(context.Context) []*shelf // what a context may read
	o        Options
	slots    chan struct{}
	waiting  atomic.Int64 // queries that want a slot and have none
	observer Observer
	repeats  eval.Repeats
	splits   eval.Splits
}

// New returns an Engine over a source.
func New(src Source, o Options) *Engine {
	if o.MaxTime <= 0 {
		o.MaxTime = 30 * time.Second
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = 512 << 20
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = 16
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 1000
	}
	if o.Running == nil {
		o.Running = func() func() { return func() {} }
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	only := []*shelf{newShelf(src)}
	return &Engine{
		shelves:  func(context.Context) []*shelf { return only },
		o:        o,
		slots:    make(chan struct{}, o.MaxConcurrent),
		observer: o.Observer,
	}
}

// InputError is a mistake of the caller: a query that does not parse, a limit
// exceeded. Its text is meant for them.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *InputError) Unwrap() error { return e.Err }

func inputErrorf(format string, args ...any) error {
	return &InputError{fmt.Errorf(format, args...)}
}

// Limits that a query meets. Errors wrap them and name the option, and the flag
// of etude backend that sets it.
var (
	ErrTimeLimit   = errors.New("query time limit exceeded")
	ErrMemoryLimit = errors.New("query memory limit exceeded")
	ErrBusy        = errors.New("too many queries")
)

// begin waits for a free slot and bounds the time. Call end when done.
func (e *Engine) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.o.MaxTime,
		fmt.Errorf("%w: the query ran longer than %s (query.Options.MaxTime, --max-query-time); narrow it by time range or conditions", ErrTimeLimit, e.o.MaxTime))
	if err := e.enter(ctx); err != nil {
		cancel()
		return nil, nil, err
	}
	done := e.o.Running()
	return ctx, func() { done(); <-e.slots; cancel() }, nil
}

func (e *Engine) enter(ctx context.Context) error {
	select {
	case e.slots <- struct{}{}: // Fast path: nearly always.
		return nil
	default:
	}
	if e.waiting.Add(1) > int64(e.o.MaxWaiting) {
		e.waiting.Add(-1)
		return fmt.Errorf("%w: %d run (query.Options.MaxConcurrent, --max-queries) and %d wait (MaxWaiting, --max-waiting-queries); ask again later",
			ErrBusy, e.o.MaxConcurrent, e.o.MaxWaiting)
	}
	defer e.waiting.Add(-1)
	defer e.observer.Stage(ctx, Waiting)()
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// memoryError is the error of a query that would keep more than it may.
func (e *Engine) memoryError(at, advice string) error {
	return fmt.Errorf("%w: the query keeps more than %d bytes (query.Options.MaxMemory, --max-query-memory) at %s; %s",
		ErrMemoryLimit, e.o.MaxMemory, at, advice)
}

// Trace returns the spans of a trace, each once, oldest View first; none when
// the trace is unknown.
func (e *Engine) Trace(ctx context.Context, id trace.TraceID) ([]otlp.Ref, error) {
	var done Work
	defer e.report(ctx, &done)
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	var t eval.Trace
	views := e.tables(ctx)
	done.Tables = len(views)
	if !t.Load(views, id) {
		return nil, nil
	}
	done.Results = len(t.Spans)
	spans := make([]otlp.Ref, len(t.Spans))
	for i, r := range t.Spans {
		spans[i] = otlp.Ref{View: t.View(r), Row: r.Row}
	}
	return spans, nil
}
