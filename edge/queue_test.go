package edge

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeExporter takes messages as its function says, or all of them. A message of
// the form countingForm is as long as it has spans.
type fakeExporter struct {
	export func(ctx context.Context, n int) error
	taken  atomic.Int64
}

func (f *fakeExporter) send(ctx context.Context, message []byte) error {
	var err error
	if f.export != nil {
		err = f.export(ctx, len(message))
	}
	if err == nil {
		f.taken.Add(int64(len(message)))
	}
	return err
}

func (f *fakeExporter) close(context.Context) error { return nil }

// countingForm writes one byte for each span.
type countingForm struct{}

func (countingForm) headroom() int                       { return 3 }
func (countingForm) appendSpan(b []byte, _ *span) []byte { return append(b, 1) }
func (countingForm) finish(b []byte, _ int) []byte       { return b[3:] }

func newQueue(f *fakeExporter, log *slog.Logger) *spanQueue {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newSpanQueue(countingForm{}, f, log)
}

func addSpan(q *spanQueue) { q.add(1, func(int, *span) {}) }

func TestQueueBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		f := &fakeExporter{export: func(_ context.Context, n int) error {
			sizes = append(sizes, n)
			return nil
		}}
		q := newQueue(f, nil)
		for range batchSize + 1 {
			addSpan(q)
		}
		start := time.Now()
		synctest.Wait()
		if f.taken.Load() != batchSize {
			t.Errorf("%d spans sent at once, want a full batch", f.taken.Load())
		}
		time.Sleep(batchDelay) // fake time
		synctest.Wait()
		if f.taken.Load() != batchSize+1 || time.Since(start) != batchDelay {
			t.Errorf("%d spans after %v", f.taken.Load(), time.Since(start))
		}
		if err := q.shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestQueueRetries: the backend comes up a second after the edge.
func TestQueueRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		up := time.Now().Add(time.Second)
		f := &fakeExporter{export: func(context.Context, int) error {
			if time.Now().Before(up) {
				return errors.New("connection refused")
			}
			return nil
		}}
		q := newQueue(f, slog.New(slog.NewTextHandler(log, nil)))
		for range 10 {
			addSpan(q)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if q.exported.Load() != 10 || q.failed.Load() != 0 || q.lastError() != "" {
			t.Errorf("sent %d, failed %d, last error %q", q.exported.Load(), q.failed.Load(), q.lastError())
		}
		if text := log.String(); strings.Count(text, "spans cannot be sent") != 1 || strings.Count(text, "spans are sent again") != 1 {
			t.Errorf("log:\n%s", text)
		}
		_ = q.shutdown(context.Background())
	})
}

func TestQueueGivesUpAndCounts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		calls int64
	}{
		"transient": {errors.New("away"), maxAttempts},
		"permanent": {permanentError{errors.New("bad bytes")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				q := newQueue(&fakeExporter{export: func(context.Context, int) error {
					calls.Add(1)
					return test.err
				}}, nil)
				addSpan(q)
				time.Sleep(time.Minute)
				synctest.Wait()
				if calls.Load() != test.calls || q.failed.Load() != 1 || q.lastError() == "" {
					t.Errorf("%d calls, %d failed, last error %q", calls.Load(), q.failed.Load(), q.lastError())
				}
				_ = q.shutdown(context.Background())
			})
		})
	}
}

// TestQueueShutdown: a backend that hangs holds the end up no longer than the
// context says; every span is accounted for.
func TestQueueShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(&fakeExporter{export: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}}, nil)
		for range 3 * batchSize {
			addSpan(q)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		_ = q.shutdown(ctx)
		if took := time.Since(start); took != time.Second {
			t.Errorf("shutdown took %v", took)
		}
		if lost := q.failed.Load() + q.dropped.Load(); lost != 3*batchSize {
			t.Errorf("%d spans accounted for, want %d", lost, 3*batchSize)
		}
	})
}

// TestQueueReusesBuffers: however many spans pass, the queue keeps a few buffers,
// and a message is whole while the next one fills.
func TestQueueReusesBuffers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeExporter{}
		q := newQueue(f, nil)
		seen := map[*byte]bool{}
		for range 40 {
			for range batchSize {
				addSpan(q)
			}
			synctest.Wait()
			q.mu.Lock()
			seen[&q.filling.bytes[0]] = true
			q.mu.Unlock()
		}
		if f.taken.Load() != 40*batchSize || len(seen) > keptBuffers+1 {
			t.Errorf("%d spans sent from %d buffers", f.taken.Load(), len(seen))
		}
		_ = q.shutdown(context.Background())
	})
}

// TestQueueKeepsNoGiants: a batch is closed when its bytes are many, and the
// buffer of a giant span is not kept.
func TestQueueKeepsNoGiants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeExporter{}
		q := newSpanQueue(newThriftForm("s", nil), f, slog.New(slog.DiscardHandler))
		for range 3 {
			q.add(1, func(_ int, s *span) { s.name = strings.Repeat("x", 3*batchBytes) })
			synctest.Wait()
		}
		if f.taken.Load() < 9*batchBytes || len(q.spare) != 0 {
			t.Errorf("%d bytes sent, %d buffers kept", f.taken.Load(), len(q.spare))
		}
		_ = q.shutdown(context.Background())
	})
}

// TestQueueIsBoundedInBytes: while the backend hangs, long spans fill the queue
// before their number does.
func TestQueueIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newSpanQueue(newThriftForm("s", nil), &fakeExporter{export: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}}, slog.New(slog.DiscardHandler))
		const size, spans = 8 << 10, 4000
		for range spans {
			q.add(1, func(_ int, s *span) { s.name = strings.Repeat("x", size) })
		}
		synctest.Wait()
		if held := q.bytes; held < queueBytes/2 || held > queueBytes+2*size {
			t.Errorf("the queue holds %d bytes, want about %d", held, queueBytes)
		}
		if q.dropped.Load() < spans/2 {
			t.Errorf("%d of %d spans were dropped", q.dropped.Load(), spans)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = q.shutdown(ctx)
		if lost := q.dropped.Load() + q.failed.Load(); lost != spans || q.bytes != 0 || q.queued != 0 {
			t.Errorf("%d spans accounted for, want %d; %d bytes and %d spans are left", lost, spans, q.bytes, q.queued)
		}
	})
}

// TestHangingCollectorSlowsNothing fills the queue against a collector that
// takes connections and never answers: requests are served, drops are counted.
func TestHangingCollectorSlowsNothing(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tracing, err := newTracing(t.Context(), &Options{TraceExporter: "jaeger", JaegerEndpoint: "http://" + l.Addr().String(), ServiceName: "edge",
		Logger: slog.New(slog.DiscardHandler), Getenv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	e := &entryPoint{forwarder: &forwarder{log: slog.New(slog.DiscardHandler)}, tracing: tracing, stats: newTraffic(), log: slog.New(slog.DiscardHandler)}
	c, err := loadConfig("c.yaml", configFor("Host(`other`)"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	e.table.Store(newTable(c, &proxyDeps{stats: &registry{}, log: e.log}))
	const extra = 1000
	for range queueCapacity + batchSize + extra {
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://a/", nil))
	}
	if n := tracing.queue.exported.Load() + tracing.queue.failed.Load(); n > 0 {
		t.Errorf("%d spans left the queue: the requests waited for the exporter", n)
	}
	if dropped := tracing.queue.dropped.Load(); dropped < extra {
		t.Errorf("%d spans dropped, want at least %d", dropped, extra)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_ = tracing.shutdown(ctx)
	q := tracing.queue
	if sum := q.dropped.Load() + q.failed.Load(); sum != queueCapacity+batchSize+extra {
		t.Errorf("%d spans accounted for, want %d", sum, queueCapacity+batchSize+extra)
	}
}

func TestCollectorAnswers(t *testing.T) {
	t.Parallel()
	for status, permanent := range map[int]bool{400: true, 404: true, 413: true, 408: false, 429: false, 500: false, 503: false} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "because", status) })
		tracing, err := newTracing(t.Context(), &Options{TraceExporter: "jaeger", JaegerEndpoint: s.URL, Logger: slog.New(slog.DiscardHandler), Getenv: noEnv})
		if err != nil {
			t.Fatal(err)
		}
		err = tracing.queue.exporter.send(t.Context(), []byte("message"))
		var p permanentError
		if err == nil || errors.As(err, &p) != permanent || !strings.Contains(err.Error(), "because") {
			t.Errorf("status %d: error %v, permanent %v", status, err, !permanent)
		}
		_ = tracing.shutdown(t.Context())
	}
}
