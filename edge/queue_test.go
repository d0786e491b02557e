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

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// fakeExporter takes spans as its function says.
type fakeExporter struct {
	export func(ctx context.Context, n int) error
	taken  atomic.Int64
}

func (f *fakeExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := f.export(ctx, len(spans))
	if err == nil {
		f.taken.Add(int64(len(spans)))
	}
	return err
}

func (f *fakeExporter) Shutdown(context.Context) error { return nil }

func sampledSpan() sdktrace.ReadOnlySpan {
	return tracetest.SpanStub{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	})}.Snapshot()
}

func TestQueueBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		f := &fakeExporter{export: func(_ context.Context, n int) error {
			sizes = append(sizes, n)
			return nil
		}}
		q := newSpanQueue(f, slog.New(slog.DiscardHandler))
		for range batchSize + 1 {
			q.OnEnd(sampledSpan())
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
		if err := q.Shutdown(context.Background()); err != nil {
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
		q := newSpanQueue(f, slog.New(slog.NewTextHandler(log, nil)))
		for range 10 {
			q.OnEnd(sampledSpan())
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if q.exported.Load() != 10 || q.failed.Load() != 0 || q.lastError() != "" {
			t.Errorf("sent %d, failed %d, last error %q", q.exported.Load(), q.failed.Load(), q.lastError())
		}
		if text := log.String(); strings.Count(text, "spans cannot be sent") != 1 || strings.Count(text, "spans are sent again") != 1 {
			t.Errorf("log:\n%s", text)
		}
		_ = q.Shutdown(context.Background())
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
				q := newSpanQueue(&fakeExporter{export: func(context.Context, int) error {
					calls.Add(1)
					return test.err
				}}, slog.New(slog.DiscardHandler))
				q.OnEnd(sampledSpan())
				time.Sleep(time.Minute)
				synctest.Wait()
				if calls.Load() != test.calls || q.failed.Load() != 1 || q.lastError() == "" {
					t.Errorf("%d calls, %d failed, last error %q", calls.Load(), q.failed.Load(), q.lastError())
				}
				_ = q.Shutdown(context.Background())
			})
		})
	}
}

// TestQueueShutdown: a backend that hangs holds the end up no longer than the
// context says; every span is accounted for.
func TestQueueShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newSpanQueue(&fakeExporter{export: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}}, slog.New(slog.DiscardHandler))
		for range 3 * batchSize {
			q.OnEnd(sampledSpan())
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		_ = q.Shutdown(ctx)
		if took := time.Since(start); took != time.Second {
			t.Errorf("shutdown took %v", took)
		}
		if lost := q.failed.Load() + q.dropped.Load(); lost != 3*batchSize {
			t.Errorf("%d spans accounted for, want %d", lost, 3*batchSize)
		}
	})
}

// TestHangingCollectorSlowsNothing fills the queue against a collector that
// takes connections and never answers: requests go on, drops are counted.
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
	e := &entryPoint{tracing: tracing, stats: &traffic{}, metrics: newInstruments(), log: slog.New(slog.DiscardHandler)}
	c, err := loadConfig("c.yaml", configFor("Host(`other`)"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	e.table.Store(newTable(c, &proxyDeps{stats: &registry{}, log: e.log}))
	const extra = 1000
	start := time.Now()
	for range queueCapacity + batchSize + extra {
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://a/", nil))
	}
	if took := time.Since(start); took > exportTimeout-time.Second {
		t.Errorf("requests took %v: they waited for the exporter", took)
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
		err = tracing.queue.exporter.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{sampledSpan()})
		var p permanentError
		if err == nil || errors.As(err, &p) != permanent || !strings.Contains(err.Error(), "because") {
			t.Errorf("status %d: error %v, permanent %v", status, err, !permanent)
		}
		_ = tracing.shutdown(t.Context())
	}
}
