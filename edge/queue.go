package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	queueCapacity = 4096 // spans waiting to be sent
	batchSize     = 512  // spans in one message
	batchDelay    = 200 * time.Millisecond
	exportTimeout = 5 * time.Second
	retryDelay    = 250 * time.Millisecond // doubles up to maxRetryDelay
	maxRetryDelay = 4 * time.Second
	maxAttempts   = 8 // of one message, about 20 s
)

// spanQueue takes ended spans and sends them in the background. A request
// never waits for it: when the queue is full the span is dropped and counted.
//
// The SDK's batch processor would do, but for three things: it does not tell
// how many it dropped, it does not keep spans for a backend that starts a
// moment later than the edge, and it holds them for 5 s.
type spanQueue struct {
	exporter sdktrace.SpanExporter
	log      *slog.Logger
	spans    chan sdktrace.ReadOnlySpan
	stop     chan struct{} // closed by Shutdown
	hurry    context.Context
	cancel   context.CancelFunc // ends exports and waits of the worker
	done     chan struct{}      // closed when the worker has ended
	once     sync.Once

	exported atomic.Int64
	dropped  atomic.Int64 // never sent: queue full, or stopped
	failed   atomic.Int64 // sent, and not taken
	failing  atomic.Pointer[string]
}

func newSpanQueue(exporter sdktrace.SpanExporter, log *slog.Logger) *spanQueue {
	q := &spanQueue{
		exporter: exporter, log: log,
		spans: make(chan sdktrace.ReadOnlySpan, queueCapacity),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	q.hurry, q.cancel = context.WithCancel(context.Background())
	go q.work()
	return q
}

// OnStart does nothing: spans are of interest when they end.
func (q *spanQueue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd queues the span, or drops it.
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	select {
	case q.spans <- s:
	default:
		q.dropped.Add(1)
	}
}

// ForceFlush is not needed here: batches leave within batchDelay.
func (q *spanQueue) ForceFlush(context.Context) error { return nil }

// Shutdown sends what is queued until the context ends, then drops the rest.
// Spans must not end after it is called.
func (q *spanQueue) Shutdown(ctx context.Context) error {
	var err error
	q.once.Do(func() {
		close(q.stop)
		release := context.AfterFunc(ctx, q.cancel)
		defer release()
		<-q.done
		q.cancel()
		err = q.exporter.Shutdown(context.WithoutCancel(ctx))
		if n := q.dropped.Load() + q.failed.Load(); n > 0 {
			q.log.Warn("spans lost", "dropped", q.dropped.Load(), "refused", q.failed.Load(), "sent", q.exported.Load())
		}
	})
	return err
}

// work is the only goroutine that exports: batches leave in order.
func (q *spanQueue) work() {
	defer close(q.done)
	batch := make([]sdktrace.ReadOnlySpan, 0, batchSize)
	for {
		batch = q.collect(batch[:0])
		if len(batch) == 0 {
			return
		}
		q.send(batch)
		clear(batch) // the spans are garbage from here on
	}
}

// collect waits for a first span, then for more until the batch is full or
// batchDelay has passed. After stop it takes what is there. An empty batch
// means the end.
func (q *spanQueue) collect(batch []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	select {
	case s := <-q.spans:
		batch = append(batch, s)
	case <-q.stop:
		return q.rest(batch)
	}
	timer := time.NewTimer(batchDelay)
	defer timer.Stop()
	for len(batch) < batchSize {
		select {
		case s := <-q.spans:
			batch = append(batch, s)
		case <-timer.C:
			return batch
		case <-q.stop:
			return q.rest(batch)
		}
	}
	return batch
}

func (q *spanQueue) rest(batch []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	for len(batch) < batchSize {
		select {
		case s := <-q.spans:
			batch = append(batch, s)
		default:
			return batch
		}
	}
	return batch
}

// permanentError is an export that will never succeed.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// send exports one batch. A backend that is away gets a few more chances,
// while new spans wait in the queue; at the end there is only one.
func (q *spanQueue) send(batch []sdktrace.ReadOnlySpan) {
	delay := retryDelay
	for attempt := 1; ; attempt++ {
		if q.hurry.Err() != nil {
			q.dropped.Add(int64(len(batch)))
			return
		}
		ctx, cancel := context.WithTimeout(q.hurry, exportTimeout)
		err := q.exporter.ExportSpans(ctx, batch)
		cancel()
		if err == nil {
			q.exported.Add(int64(len(batch)))
			q.recovered()
			return
		}
		q.trouble(err)
		var permanent permanentError
		if attempt == maxAttempts || errors.As(err, &permanent) || !q.wait(delay) {
			q.failed.Add(int64(len(batch)))
			return
		}
		delay = min(2*delay, maxRetryDelay)
	}
}

// wait reports whether it makes sense to try again.
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

// trouble logs the first of a row of failures; the rest would say the same.
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

// lastError is why spans cannot be sent at the moment, or empty.
func (q *spanQueue) lastError() string {
	if text := q.failing.Load(); text != nil {
		return *text
	}
	return ""
}
