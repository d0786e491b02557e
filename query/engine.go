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

// Options limit the resources of queries. Zero values mean the defaults.
type Options struct {
	// MaxTime is the longest time of one query, including its wait for a place; default 30 s.
	MaxTime time.Duration
	// MaxMemory is the most bytes that one query may keep. It counts everything that grows with the data:
	// groups, labels and samples of metrics, traces found, spans of a trace, the answer's text; default 512
	// MiB, below 0 for no limit.
	MaxMemory int64
	// MaxTotalMemory is the most bytes that all queries may keep together; default 1 GiB, below 0 for no limit.
	// The engine ends a query that would exceed it.
	MaxTotalMemory int64
	// MaxFacts is the most bytes of facts about parts that the engine caches for later queries; default 64 MiB.
	MaxFacts int64
	// MaxTraceSpans is the most spans of an answer with a whole trace. An answer with a larger trace has the
	// spans that start first. Default 200,000, below 0 for no limit.
	MaxTraceSpans int
	// MaxMetricsRange is the longest time range of a metrics query; default 744 h.
	MaxMetricsRange time.Duration
	// MaxConcurrent is the most queries that run at a time; the others wait; default 16.
	MaxConcurrent int
	// MaxWaiting is the most queries that wait; the engine refuses more; default 1000.
	MaxWaiting int
	// TempoStructure makes structural operators relate spans as Tempo 3.0.3 does: only below a root that has
	// arrived. By default only the ids decide.
	TempoStructure bool
	// The engine calls Running when a query begins to run, and done when the query has ended; nil for none.
	Running func() (done func())
	// The engine reports queries to Observer; nil for none.
	Observer Observer
}

// Engine answers queries. Any number of goroutines may use it.
type Engine struct {
	sources    func(context.Context) []trace.Source // the sources that a context may read
	facts      *factCache
	everything *trace.Need // of whole traces; read only
	o          Options
	slots      chan struct{}
	waiting    atomic.Int64 // queries that wait for a slot
	observer   Observer
	places     eval.Places
	pool       pool // the memory that all queries keep
	room       room // the parts on disk that all queries have open
	hits       [len(limitNames)]atomic.Int64
	partial    atomic.Int64
	preparing  atomic.Bool // see prepare
}

// Stats counts how often queries reached a limit since New.
type Stats struct {
	Memory  int64            // bytes that running queries keep now
	Facts   int64            // bytes of cached facts about parts, see Options.MaxFacts
	Limits  map[string]int64 // queries that ended at a limit, by its name: time, memory, total_memory, waiting
	Partial int64            // answers with only a part of a whole trace
}

// limitNames are the names of the limits, in the order of the field ended.
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
		room:       newRoom(o.MaxMemory),
	}
}

// InputError is a mistake of the caller, such as a malformed query or too large a limit. Its text is written
// for the caller.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *InputError) Unwrap() error { return e.Err }

func inputErrorf(format string, args ...any) error {
	return &InputError{fmt.Errorf(format, args...)}
}

// Limits that a query can reach. Errors wrap them and name the option and its flag of etude backend.
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
