package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// The queue between requests and the backend has these invariants:
//
//   - A request never waits for the backend. It holds one lock while it writes its two spans as bytes. If the queue is full, it drops them.
//   - Spans become bytes at once, in a buffer that a later batch reuses. So a request leaves no garbage.
//   - One goroutine sends, so batches leave in order; it holds the lock only to
//     take a batch.
//
// Locks: mu protects the batches. A request holds it while it writes its spans; the worker holds it while it
// takes or returns a batch, never while it sends.
//
// Rejected: OpenTelemetry's SDK with its batch processor. Its spans cost 25 allocations and some 10 us per
// request. It does not report how many spans it dropped, loses spans when the backend starts a moment after the
// edge, and delays spans by 5 s.

const (
	queueCapacity = 4096    // spans waiting to be sent
	queueBytes    = 8 << 20 // approximate bound of the memory of waiting spans
	batchSize     = 512     // spans in one message
	batchBytes    = 1 << 20 // a larger message takes no more spans
	batchDelay    = 200 * time.Millisecond
	exportTimeout = 5 * time.Second
	retryDelay    = 250 * time.Millisecond // doubles up to maxRetryDelay
	maxRetryDelay = 4 * time.Second
	maxAttempts   = 8 // of one message, about 20 s
	keptBuffers   = 2 // one that fills and one that the worker sends; more are garbage
)

// form turns spans into the bytes of a message.
type form interface {
	// headroom returns the number of bytes that finish needs before the first span.
	headroom() int
	appendSpan(b []byte, s *span) []byte
	// finish completes the message: it writes the head into the room before the spans. The message shares the bytes.
	finish(b []byte, spans int) []byte
}

// exporter sends messages to the backend.
type exporter interface {
	send(ctx context.Context, message []byte) error
	close(ctx context.Context) error
}

// batch is one message in the making.
type batch struct {
	bytes []byte
	spans int
}

// spanQueue takes ended spans and sends them in the background.
type spanQueue struct {
	form     form
	exporter exporter
	log      *slog.Logger

	mu      sync.Mutex
	scratch span     // of the request that holds the lock
	filling *batch   // takes spans
	full    []*batch // oldest first
	spare   []*batch
	queued  int // spans in filling and full
	bytes   int // of these spans

	wake   chan struct{} // holds one token if there are spans to send
	stop   chan struct{} // closed by shutdown
	hurry  context.Context
	cancel context.CancelFunc // ends exports and waits of the worker
	done   chan struct{}      // closed when the worker has ended
	once   sync.Once

	exported atomic.Int64
	dropped  atomic.Int64 // spans never sent: queue full, or stopped
	failed   atomic.Int64 // spans sent, and refused or lost
	failing  atomic.Pointer[string]
}

func newSpanQueue(f form, e exporter, log *slog.Logger) *spanQueue {
	q := &spanQueue{
		form: f, exporter: e, log: log,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	q.filling = q.emptyBatch()
	q.hurry, q.cancel = context.WithCancel(context.Background())
	go q.work()
	return q
}

// emptyBatch returns an empty batch, if possible a reused one. The caller holds the lock.
func (q *spanQueue) emptyBatch() *batch {
	if n := len(q.spare); n > 0 {
		b := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return b
	}
	return &batch{bytes: make([]byte, q.form.headroom(), q.form.headroom()+64<<10)}
}

// add calls fill for each span of a request and writes it, or drops all of them if
// the queue is full.
func (q *spanQueue) add(spans int, fill func(i int, s *span)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queued+spans > queueCapacity || q.bytes >= queueBytes {
		q.dropped.Add(int64(spans))
		return
	}
	b := q.filling
	before := len(b.bytes)
	for i := range spans {
		q.scratch = span{}
		fill(i, &q.scratch)
		b.bytes = q.form.appendSpan(b.bytes, &q.scratch)
	}
	q.scratch = span{} // releases its strings
	first := b.spans == 0
	b.spans += spans
	q.queued += spans
	q.bytes += len(b.bytes) - before
	if b.spans >= batchSize || len(b.bytes) >= batchBytes {
		q.full, q.filling = append(q.full, b), q.emptyBatch()
	} else if !first {
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// length returns the number of waiting spans.
func (q *spanQueue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queued
}

// shutdown sends the queued spans until the context ends, then drops the others. No span may end after the call
// of shutdown.
func (q *spanQueue) shutdown(ctx context.Context) error {
	var err error
	q.once.Do(func() {
		close(q.stop)
		release := context.AfterFunc(ctx, q.cancel)
		defer release()
		<-q.done
		q.cancel()
		err = q.exporter.close(context.WithoutCancel(ctx))
		if n := q.dropped.Load() + q.failed.Load(); n > 0 {
			q.log.Warn("spans lost", "dropped", q.dropped.Load(), "refused", q.failed.Load(), "sent", q.exported.Load())
		}
	})
	return err
}

// work is the only goroutine that exports.
func (q *spanQueue) work() {
	defer close(q.done)
	for b := q.next(); b != nil; b = q.next() {
		q.send(q.form.finish(b.bytes, b.spans), b.spans)
		q.release(b)
	}
}

// next returns the next batch to send: a full one at once, or a partial one after batchDelay. After stop it
// returns the remaining batches without delay, then nil.
func (q *spanQueue) next() *batch {
	var over <-chan time.Time
	for {
		b, waiting := q.pop(false)
		if b != nil {
			return b
		}
		if waiting && over == nil {
			timer := time.NewTimer(batchDelay)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-q.wake:
		case <-over:
			b, _ := q.pop(true)
			return b
		case <-q.stop:
			b, _ := q.pop(true)
			return b
		}
	}
}

// pop removes the oldest full batch. Without one, and if partial is true, it removes the batch that requests
// fill. waiting reports whether that batch has spans.
func (q *spanQueue) pop(partial bool) (b *batch, waiting bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.full) > 0:
		b, q.full = q.full[0], q.full[1:]
	case partial && q.filling.spans > 0:
		b, q.filling = q.filling, q.emptyBatch()
	default:
		return nil, q.filling.spans > 0
	}
	q.queued -= b.spans
	q.bytes -= len(b.bytes) - q.form.headroom()
	return b, false
}

// release gives a batch's buffer to the next one. It leaves an unusually large buffer to the garbage collector.
func (q *spanQueue) release(b *batch) {
	if cap(b.bytes) > 2*batchBytes {
		return
	}
	b.bytes, b.spans = b.bytes[:q.form.headroom()], 0
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.spare) < keptBuffers {
		q.spare = append(q.spare, b)
	}
}

// permanentError is an error that a retry cannot fix.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// send exports one message. If the backend cannot be reached, send retries up to
// maxAttempts times, while new spans wait in the queue. After stop it does not retry.
func (q *spanQueue) send(message []byte, spans int) {
	delay := retryDelay
	for attempt := 1; ; attempt++ {
		if q.hurry.Err() != nil {
			q.dropped.Add(int64(spans))
			return
		}
		ctx, cancel := context.WithTimeout(q.hurry, exportTimeout)
		err := q.exporter.send(ctx, message)
		cancel()
		if err == nil {
			q.exported.Add(int64(spans))
			q.recovered()
			return
		}
		q.trouble(err)
		var permanent permanentError
		if attempt == maxAttempts || errors.As(err, &permanent) || !q.wait(delay) {
			q.failed.Add(int64(spans))
			return
		}
		delay = min(2*delay, maxRetryDelay)
	}
}

// wait waits before a retry. It reports whether send should retry.
func (q *spanQueue) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.stop:
		return false
	}
}

// trouble records the error for the dashboard. It logs only the first failure after a success.
func (q *spanQueue) trouble(err error) {
	text := err.Error()
	if q.failing.Swap(&text) == nil {
		q.log.Warn("spans cannot be sent; trying on in the background", "error", err)
	}
}

func (q *spanQueue) recovered() {
	if q.failing.Swap(nil) != nil {
		q.log.Info("spans are sent again")
	}
}

// lastError returns the reason why the worker cannot send spans now, or "".
func (q *spanQueue) lastError() string {
	if text := q.failing.Load(); text != nil {
		return *text
	}
	return ""
}
