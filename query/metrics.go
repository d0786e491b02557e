package query

import (
	"context"
	"time"

	"etude/traceql/metrics"
)

// MetricsRequest is a TraceQL metrics query. Start and End are unix nanoseconds.
// Step is the distance of samples in nanoseconds, 0 for the default; an instant
// query has no samples in time and no Step.
type MetricsRequest struct {
	Query      string
	Start, End uint64
	Step       uint64
	Instant    bool

	Exemplars int // at most; 0 for the default of 100
	MaxSeries int // 0 for no limit

	// The query calls Progress, unless nil, from the oldest spans to the newest, with a range of complete slots
	// of the window. Progress reports whether it has used their series. If not, the next call offers them again
	// with more. Progress may call series only before it returns; each call costs as much as an answer.
	// compare() reports no progress.
	Progress func(w metrics.Window, from, to int, series func() []metrics.Series) (taken bool)

	// The query calls Parts, unless nil, with the number of parts (blocks and tables) that it has read or ruled
	// out, and the number of all parts. compare() does not call it.
	Parts func(done, total int)
}

// Limits of metrics queries.
const (
	MaxExemplars = 100
	MaxSteps     = 10_000
	MaxStep      = 24 * time.Hour
)

// MetricsResult is the answer to a metrics query. Partial reports whether series are missing or may be missing.
type MetricsResult struct {
	Series  []metrics.Series
	Window  metrics.Window
	Partial bool
	Stats   metrics.Stats
}

// Metrics computes a metrics query. An error in the request is an [*InputError].
func (e *Engine) Metrics(ctx context.Context, req MetricsRequest) (*MetricsResult, error) {
	done := Work{Query: req.Query}
	defer e.report(ctx, &done)
	q, err := e.compileMetrics(ctx, req.Query)
	if err != nil {
		return nil, err
	}
	w, err := metricsWindow(req, e.o.MaxMetricsRange)
	if err != nil {
		return nil, err
	}
	j, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	ctx, j.advice = j.Context(), "group by fewer values, or take a larger step or a shorter range"
	out := &MetricsResult{Window: w}
	snap, err := e.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	evaluated := e.observer.Stage(ctx, Evaluating)
	read := e.parts(j, snap, q.Need)
	defer read.Close()
	run := q.Start(ctx, read, w, metrics.Bounds{Exemplars: exemplarLimit(q, req), Memory: &j.memory})
	out.Series, err = drive(run, &teller{w: w, listener: req.Progress, parts: req.Parts, total: len(snap.Parts())})
	out.Stats = run.Stats()
	evaluated()
	done.Tables, done.Spans, done.Results = len(snap.Parts()), out.Stats.Spans, len(out.Series)
	switch {
	case ctx.Err() != nil: // long work ended early
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	if req.MaxSeries > 0 && len(out.Series) >= req.MaxSeries {
		out.Series, out.Partial = out.Series[:req.MaxSeries], true
	}
	return out, nil
}

// drive reads the Views of a Run several at a time and adds them in order.
func drive(run *metrics.Run, tell *teller) ([]metrics.Series, error) {
	if err := run.Gather(); err != nil {
		return nil, err
	}
	view := 0
	if run.Parts() > 0 {
		tell.left(run.Parts())
	}
	err := readAhead(run.Parts(), run.Read, func(p *metrics.Part) error {
		if err := run.Add(p); err != nil {
			return err
		}
		if p != nil {
			tell.added(run, view)
		}
		view++
		tell.left(run.Parts() - view)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return run.Series()
}

func (e *Engine) compileMetrics(ctx context.Context, text string) (*metrics.Query, error) {
	defer e.observer.Stage(ctx, Parsing)()
	q, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if q.Metrics == nil {
		return nil, inputErrorf("not a metrics query")
	}
	m, err := metrics.Compile(q)
	if err != nil {
		return nil, &InputError{err}
	}
	if e.o.TempoStructure {
		m.RelateAsTempo()
	}
	return m, nil
}

// exemplarLimit returns the hint's number, otherwise the request's, otherwise the default.
func exemplarLimit(m *metrics.Query, req MetricsRequest) int {
	switch {
	case req.Instant || m.Exemplars == 0:
		return 0
	case m.Exemplars > 0:
		return min(m.Exemplars, MaxExemplars)
	case req.Exemplars > 0:
		return min(req.Exemplars, MaxExemplars)
	}
	return MaxExemplars
}

// metricsWindow cuts time into slots; an instant query has one slot. Longest is that of its range.
func metricsWindow(req MetricsRequest, longest time.Duration) (w metrics.Window, err error) {
	start, end := req.Start, req.End
	switch {
	case end < start || req.Instant && end == start:
		return w, inputErrorf("end must be greater than start")
	case end-start > uint64(longest):
		return w, inputErrorf("metrics query time range exceeds the maximum allowed duration of %s", longest)
	case req.Instant:
		return metrics.Window{Start: start, Step: end - start, Slots: 1, Instant: true}, nil
	}
	step := req.Step
	if step == 0 {
		step = DefaultStep(end - start)
	}
	if step > uint64(MaxStep) {
		return w, inputErrorf("step of %s exceeds the maximum of %s", time.Duration(min(step, 1<<62)), MaxStep)
	}
	if (end-start)/step > MaxSteps {
		least := time.Duration((end - start) / MaxSteps)
		return w, inputErrorf("step of %s is too small, minimum step for given range is %s", time.Duration(step), least)
	}
	w.Step = step
	w.Start, w.Slots = widened(start, end, step)
	return w, nil
}

// DefaultStep is the step for a range, both in nanoseconds: about 240 samples.
func DefaultStep(length uint64) uint64 {
	share := time.Duration(length / 240)
	if time.Duration(length) < time.Minute {
		const fine = 50 * time.Millisecond
		return uint64(max(fine, share/fine*fine))
	}
	for _, unit := range []time.Duration{time.Hour, 5 * time.Minute, time.Minute, 15 * time.Second, 5 * time.Second, time.Second} {
		if share > unit {
			return uint64(share / unit * unit)
		}
	}
	return uint64(time.Second)
}
