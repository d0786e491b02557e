package query

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"etude/trace"
	"etude/traceql/eval"
)

// Options bound what a query may use. Zero values mean the defaults.
type Options struct {
	// MaxTime is how long one query may take, waiting included; default 30 s.
	MaxTime time.Duration
	// MaxMemory is how many bytes one query may keep, counting everything that grows with the data: groups, labels
	// and samples of metrics, traces found, spans of a trace, the answer's text; default 512 MiB, below 0 for no
	// limit.
	MaxMemory int64
	// MaxTotalMemory is how many bytes all queries may keep together; default
	// 1 GiB, below 0 for no limit. A query that would go beyond is refused.
	MaxTotalMemory int64
	// MaxFacts is how many bytes of facts about parts all queries may cache for later queries; default 64 MiB.
	MaxFacts int64
	// MaxTraceSpans is how many spans an answer that holds a whole trace may have;
	// of a larger trace it holds those that start first. Default 200,000, below 0
	// for no limit.
	MaxTraceSpans int
	// MaxMetricsRange is the longest time range of a metrics query; default 744 h.
	MaxMetricsRange time.Duration
	// MaxConcurrent is how many queries run at a time, others wait; default 16.
	MaxConcurrent int
	// MaxWaiting is how many wait, more are refused; default 1000.
	MaxWaiting int
	// TempoStructure makes structural operators relate spans as Tempo 3.0.3 does:
	// only below a root that has arrived. By default the ids alone decide.
	TempoStructure bool
	// Running is called when a query begins to run, and done when it has ended; nil
	// for none.
	Running func() (done func())
	// Observer is notified of queries; nil for none.
	Observer Observer
}

// Engine answers queries. Any number of goroutines may use it.
type Engine struct {
	sources    func(context.Context) []trace.Source // the sources that a context may read
	facts      *factCache
	everything *trace.Need // of whole traces; read only
	o          Options
	slots      chan struct{}
	waiting    atomic.Int64 // queries that want a slot and have none
	observer   Observer
	places     eval.Places
	pool       pool // the memory that all queries keep
	hits       [len(limitNames)]atomic.Int64
	partial    atomic.Int64
}

// Stats counts how often queries met a bound since the Engine was made.
type Stats struct {
	Memory  int64            // bytes that the queries that run keep now
	Facts   int64            // bytes of cached facts about parts, see Options.MaxFacts
	Limits  map[string]int64 // queries that ended at a limit, by its name: time, memory, total_memory, waiting
	Partial int64            // whole traces of which an answer held a part
}

// limitNames are the names of the limits in the order in which ended has them.
var limitNames = [...]string{"time", "memory", "total_memory", "waiting"}

// Stats returns the counts.
func (e *Engine) Stats() Stats {
	s := Stats{Memory: e.pool.inUse(), Facts: e.facts.used(), Limits: map[string]int64{}, Partial: e.partial.Load()}
	for i, name := range limitNames {
		s.Limits[name] = e.hits[i].Load()
	}
	return s
}

// ended counts a query that ended at a limit.
func (e *Engine) ended(err error) {
	for i, limit := range [...]error{ErrTimeLimit, ErrMemoryLimit, ErrMemoryBusy, ErrBusy} {
		if errors.Is(err, limit) {
			e.hits[i].Add(1)
		}
	}
}

// New returns an Engine over a source.
func New(src trace.Source, o Options) *Engine {
	if o.MaxTime <= 0 {
		o.MaxTime = 30 * time.Second
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = 512 << 20
	}
	if o.MaxTotalMemory == 0 {
		o.MaxTotalMemory = 1 << 30
	}
	if o.MaxFacts <= 0 {
		o.MaxFacts = 64 << 20
	}
	if o.MaxTraceSpans == 0 {
		o.MaxTraceSpans = 200_000
	}
	if o.MaxMetricsRange <= 0 {
		o.MaxMetricsRange = 744 * time.Hour
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
	only := []trace.Source{src}
	return &Engine{
		sources:    func(context.Context) []trace.Source { return only },
		facts:      newFactCache(o.MaxFacts),
		everything: trace.Everything(),
		o:          o,
		slots:      make(chan struct{}, o.MaxConcurrent),
		observer:   o.Observer,
		pool:       pool{limit: max(0, o.MaxTotalMemory)},
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
	ErrMemoryBusy  = errors.New("queries use all of their memory")
	ErrBusy        = errors.New("too many queries")
)

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
