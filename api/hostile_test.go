package api_test

import (
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"etude/api"
	"etude/internal/testkit"
	"etude/query"
)

// TestHostileMillionSpans asks for a trace of a million spans in every form, four
// at a time, and for what searches and metrics may make of it. The heap grows by
// what the queries are allowed, and by as much again until it is collected.
func TestHostileMillionSpans(t *testing.T) {
	testkit.Hostile(t)
	const allowed = 512 << 20
	var parts views
	for part := range 10 {
		parts = append(parts, bigTracePart(part*100_000, 100_000, 60)...)
	}
	e := query.New(parts, query.Options{MaxTime: time.Hour, MaxTraceSpans: -1, MaxTotalMemory: allowed})
	h := api.New(api.Options{Engine: e})
	debug.FreeOSMemory()
	before := heap()
	var peak atomic.Uint64
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak.Store(max(peak.Load(), heap()))
			case <-done:
				return
			}
		}
	})
	forms := map[string][]string{
		"sets":    {"/api/search?q=" + url.QueryEscape("{ } | by(span:id)")},
		"tree":    {"/api/search?spss=100&q=" + url.QueryEscape("{ } >> { span.text != nil } | select(span.text)")},
		"groups":  {metricsTarget("query_range", "{ } | rate() by(span:id)", "")},
		"compare": {metricsTarget("query", "{ } | compare({ span.n > 7 })", "")},
		"names":   {"/api/v2/search/tags?q=" + url.QueryEscape("{ nestedSetLeft > 3 }")},
	}
	for name, form := range wholeForms {
		forms[name] = form
	}
	for name, form := range forms {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				m := &meter{header: http.Header{}}
				h.ServeHTTP(m, request(form))
				if m.status != 200 && m.status != 422 && m.status != 429 {
					t.Errorf("%s: status %d", name, m.status)
				}
			})
		}
		all.Wait()
		if left := e.Stats().Memory; left != 0 {
			t.Errorf("%s: %d bytes are counted afterwards", name, left)
		}
	}
	close(done)
	watch.Wait()
	grown := peak.Load() - before
	t.Logf("the heap grew by %d MiB at most, of %d MiB that queries may keep; limits met: %v", grown>>20, allowed>>20, e.Stats().Limits)
	if grown > 3*allowed {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
