package query

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"etude/trace"
	"etude/traceql/eval"
)

// Job is one query from its admission until the caller has written its answer. It has the query's time, memory
// and place among the running queries. Methods of the Engine that get its context are part of it.
//
// While the reader of the answer is slow, the Job lends its place to other queries, so that a slow reader does
// not block them. It keeps its memory, which is in use.
type Job struct {
	e      *Engine
	ctx    jobContext
	cancel context.CancelCauseFunc
	timer  *time.Timer
	memory memory
	open   jobRoom

	mu      sync.Mutex
	waits   bool   // the Job waits for the reader, so it may lend its place
	lent    bool   // the place is lent
	done    func() // ends what Options.Running has begun
	lending *time.Timer
	learn   []*trace.View // Views whose texts a pattern has searched

	advice string // advice on how to request less
	inner  bool   // queries with the Job's context are parts of it and have no report of their own
}

// jobContext is a context with its Job and a deadline. It is one allocation instead of three.
type jobContext struct {
	context.Context
	job *Job
	end time.Time
}

type jobKey struct{}

func (c *jobContext) Value(key any) any {
	if key == (jobKey{}) {
		return c.job
	}
	return c.Context.Value(key)
}

func (c *jobContext) Deadline() (time.Time, bool) { return c.end, true }

// lendAfter is how long the reader may take for a piece of the answer before the Job lends its place.
const lendAfter = 20 * time.Millisecond

// Begin waits for a place among the running queries. It limits the time and memory of all work with the Job's
// context. The caller must call End after it has written the answer.
func (e *Engine) Begin(ctx context.Context) (*Job, error) {
	j := &Job{e: e}
	j.ctx.job, j.ctx.end = j, time.Now().Add(e.o.MaxTime)
	if end, ok := ctx.Deadline(); ok && end.Before(j.ctx.end) {
		j.ctx.end = end // the caller's own
	}
	j.ctx.Context, j.cancel = context.WithCancelCause(ctx)
	j.timer = time.AfterFunc(e.o.MaxTime, j.tooLong)
	if err := e.enter(&j.ctx); err != nil {
		e.ended(err)
		j.stop()
		return nil, err
	}
	j.memory.begin(e.o.MaxMemory, &e.pool, j)
	j.open.room, j.open.job = &e.room, j
	j.done = e.o.Running()
	return j, nil
}

func (j *Job) stop() {
	j.timer.Stop()
	j.cancel(context.Canceled)
}

// tooLong ends the Job at its time limit.
func (j *Job) tooLong() {
	j.cancel(fmt.Errorf("%w: the query ran longer than %s (query.Options.MaxTime, --max-query-time); narrow it by time range or conditions", ErrTimeLimit, j.e.o.MaxTime))
}

// begin returns the Job of a context, or begins one. The caller must call end.
func (e *Engine) begin(ctx context.Context) (j *Job, end func(), err error) {
	if j, ok := ctx.Value(jobKey{}).(*Job); ok && j.e == e {
		return j, func() {}, nil
	}
	if j, err = e.Begin(ctx); err != nil {
		return nil, nil, err
	}
	return j, j.End, nil
}

// Context is done when the time is over, the memory limit is exceeded, or the caller has cancelled.
func (j *Job) Context() context.Context { return &j.ctx }

// Err returns the reason why the Job must end, or nil.
func (j *Job) Err() error {
	if j.ctx.Err() == nil {
		return nil
	}
	return context.Cause(&j.ctx)
}

// Hold counts n bytes of the answer; a negative n frees bytes. The format with its one or two numbers describes
// the progress.
func (j *Job) Hold(n int, format string, numbers ...int) error {
	at := eval.Progress{Format: format, A: numbers[0]}
	if len(numbers) > 1 {
		at.B = numbers[1]
	}
	if err := j.memory.Take(n, at); err != nil {
		return context.Cause(&j.ctx)
	}
	return nil
}

// Deadline returns the end of the query's time.
func (j *Job) Deadline() time.Time { return j.ctx.end }

// Write calls f, which sends a piece of the answer to its reader. If f takes long, the Job lends its place
// until f returns.
func (j *Job) Write(f func() error) error {
	j.mu.Lock()
	j.waits = true
	if j.lending == nil {
		j.lending = time.AfterFunc(lendAfter, j.lend)
	} else {
		j.lending.Reset(lendAfter)
	}
	j.mu.Unlock()
	err := f()
	j.lending.Stop()
	j.mu.Lock()
	j.waits = false
	lent := j.lent
	j.mu.Unlock()
	if !lent {
		return err
	}
	if back := j.e.enter(&j.ctx); back != nil {
		return errors.Join(err, back)
	}
	j.mu.Lock()
	j.lent, j.done = false, j.e.o.Running()
	j.mu.Unlock()
	return err
}

func (j *Job) lend() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waits && !j.lent {
		j.lent = true
		j.done()
		<-j.e.slots
	}
}

// End releases the place and the memory.
func (j *Job) End() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.lent {
		j.lent = true
		j.done()
		<-j.e.slots
	}
	j.memory.Close()
	j.open.close()
	if err := j.Err(); err != nil {
		j.e.ended(err)
	}
	j.stop()
	j.e.prepare(j.learn)
}

// tooMuch ends the Job at a memory limit.
func (j *Job) tooMuch(m *memoryError) {
	if m.shared {
		j.cancel(fmt.Errorf("%w: all queries together keep more than %d bytes (query.Options.MaxTotalMemory, --max-queries-memory), this one at %s; ask again later, or for less",
			ErrMemoryBusy, m.limit, m.at))
		return
	}
	j.cancel(fmt.Errorf("%w: the query keeps more than %d bytes (query.Options.MaxMemory, --max-query-memory) at %s; %s",
		ErrMemoryLimit, m.limit, m.at, j.advise()))
}

// tooOpen ends the Job when it has too much of the blocks in memory at a time.
func (j *Job) tooOpen() {
	j.cancel(fmt.Errorf("%w: the query reads more than %d bytes of stored spans at a time (a multiple of query.Options.MaxMemory, --max-query-memory), as those of one large trace; %s",
		ErrMemoryLimit, j.open.room.limit, j.advise()))
}

func (j *Job) advise() string {
	if j.advice == "" {
		return "ask for less"
	}
	return j.advice
}
