package query

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	// MaxTime is how long one query may take; default 30 s.
	MaxTime time.Duration
	// MaxConcurrent is how many queries run at a time, others wait; default 16.
	MaxConcurrent int
	// Observer is told how queries go; nil for nobody.
	Observer Observer
}

// Engine answers queries. Any number of goroutines may use it.
type Engine struct {
	src      Source
	maxTime  time.Duration
	slots    chan struct{}
	observer Observer

	mu    sync.Mutex
	infos map[*trace.View]*info // of Views that the source still hands out
}

// New returns an Engine over a source.
func New(src Source, o Options) *Engine {
	if o.MaxTime <= 0 {
		o.MaxTime = 30 * time.Second
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = 16
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	return &Engine{
		src:      src,
		maxTime:  o.MaxTime,
		slots:    make(chan struct{}, o.MaxConcurrent),
		observer: o.Observer,
		infos:    map[*trace.View]*info{},
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

// ErrTimeLimit is wrapped by the error of a query that took too long.
var ErrTimeLimit = errors.New("query time limit exceeded")

// begin waits for a free slot and bounds the time. Call end when done.
func (e *Engine) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.maxTime, fmt.Errorf("%w: the query ran longer than %s (query.Options.MaxTime); narrow it by time range or conditions", ErrTimeLimit, e.maxTime))
	end = func() { <-e.slots; cancel() }
	select {
	case e.slots <- struct{}{}: // Fast path: nearly always.
		return ctx, end, nil
	default:
	}
	defer e.observer.Stage(ctx, Waiting)()
	select {
	case e.slots <- struct{}{}:
		return ctx, end, nil
	case <-ctx.Done():
		cancel()
		return nil, nil, context.Cause(ctx)
	}
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
	views := e.src.Tables()
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

// views returns the Views with what is known about each.
func (e *Engine) views() ([]*trace.View, []*info) {
	views := e.src.Tables()
	infos := make([]*info, len(views))
	e.mu.Lock()
	defer e.mu.Unlock()
	current := make(map[*trace.View]*info, len(views))
	for i, v := range views {
		in, ok := e.infos[v]
		if !ok {
			in = newInfo(v)
		}
		current[v], infos[i] = in, in
	}
	e.infos = current
	return views, infos
}
