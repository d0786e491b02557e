package api_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etude/api"
	"etude/query"
)

// TestMemoryLimitStatus: asking again would not help, so it is a 422.
func TestMemoryLimitStatus(t *testing.T) {
	t.Parallel()
	h := api.New(api.Options{Engine: query.New(loadSet(t, "small", metricsBase, 1), query.Options{MaxMemory: 100_000})})
	w := get(h, metricsTarget("query_range", "{ } | rate() by(trace:id)", "&step=1"))
	if text := w.Body.String(); w.Code != 422 || !strings.Contains(text, "--max-query-memory") {
		t.Errorf("%d %s, want 422 that names the limit", w.Code, text)
	}
	_, err := dialStream(t, h).ask(t.Context(), "MetricsQueryInstant", `{"query": "{ } | rate() by(span:id)", "start": "`+nanos(-60)+`", "end": "`+nanos(420)+`"}`)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gRPC: %v, want ResourceExhausted", err)
	}
}

// TestTooManyQueriesStatus: of five at a time one runs, one waits and three are
// told to come back.
func TestTooManyQueriesStatus(t *testing.T) {
	t.Parallel()
	source := newGated(nil)
	h := api.New(api.Options{Engine: query.New(source, query.Options{MaxConcurrent: 1, MaxWaiting: 1})})
	codes := make(chan int)
	for range 5 {
		go func() {
			w := get(h, "/api/search")
			if w.Code == 429 && !strings.Contains(w.Body.String(), "--max-waiting-queries") {
				t.Errorf("the limit is not named: %s", w.Body)
			}
			codes <- w.Code
		}()
	}
	for range 3 {
		if code := <-codes; code != 429 {
			t.Errorf("status %d, want 429", code)
		}
	}
	close(source.open)
	for range 2 {
		if code := <-codes; code != 200 {
			t.Errorf("status %d, want 200", code)
		}
	}
}

// TestLimitsAreLoggedSeldom: the first in a minute.
func TestLimitsAreLoggedSeldom(t *testing.T) {
	t.Parallel()
	table := bigTrace(2000, 10)
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := api.New(api.Options{Engine: query.New(table, query.Options{MaxMemory: 1000}), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for _, want := range []int{1, 1, 2} {
			if w := get(h, "/api/traces/7"); w.Code != 422 {
				t.Errorf("status %d", w.Code)
			}
			if n := strings.Count(log.String(), "--max-query-memory"); n != want {
				t.Errorf("%d lines, want %d:\n%s", n, want, log.String())
			}
			time.Sleep(40 * time.Second) // of the test's own clock
		}
	})
}
