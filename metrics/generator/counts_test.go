package generator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// countQueries are what the page asks for the numbers that it shows as counts, by
// the place; its own tests keep them the same as what it asks.
func countQueries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "page", "src", "testdata", "counts.json"))
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	if err := json.Unmarshal(text, &queries); err != nil {
		t.Fatal(err)
	}
	if len(queries) < 6 {
		t.Fatalf("%d queries", len(queries))
	}
	return queries
}

// TestPageCounts: in the first minute of six requests, at any second and over a
// restart, a count that the page shows is how many there were at the last
// collection, not what increase() extrapolates it to.
func TestPageCounts(t *testing.T) {
	t.Parallel()
	queries := countQueries(t)
	db := openDatabase(t)
	synctest.Test(t, func(t *testing.T) {
		source := &memoryStore{}
		sent, failed := 0, 0
		check := func() {
			t.Helper()
			if sent == 0 {
				return
			}
			at, n, share := time.Now(), float64(sent), float64(failed)/float64(sent)
			for name, want := range map[string]map[string]float64{
				"services":      {"shop ": n, "web ": n},
				"errors":        {"shop ": share, "web ": 0},
				"operations":    {"buy SPAN_KIND_SERVER ": n},
				"service graph": {"web shop ": n},
				"overflow":      {"": 0},
			} {
				by := map[string][]string{"services": {"service"}, "errors": {"service"}, "operations": {"span_name", "span_kind"}, "service graph": {"client", "server"}}[name]
				if got := db.query(at, queries[name], by...); !maps.Equal(got, want) {
					t.Errorf("%s after %d requests: %v, want %v", name, sent, got, want)
				}
			}
		}
		for process, requests := range [][]int{{1, 2, 0, 3}, {4, 0, 1}} {
			time.Sleep(2 * time.Second) // the time that a restart takes
			g, err := New(Options{Source: source, Appended: source.Appended, Out: db, Instance: "host", Processors: []Processor{SpanMetrics, ServiceGraphs}})
			if err != nil {
				t.Fatal(err)
			}
			for round, count := range requests {
				errors := 0
				for i := range count {
					status := ""
					if i == 2 {
						status, errors = "status=error", errors+1
					}
					source.add(t, spansOf(t, fmt.Sprintf("trace=%x span=1 service=web kind=client name=ask took=20ms\ntrace=%[1]x span=2 parent=1 service=shop kind=server name=buy took=10ms %[2]s", 1+process*1000+round*100+i, status))...)
				}
				for range 15 {
					check()
					time.Sleep(time.Second)
				}
				if err := g.Collect(context.Background(), time.Now()); err != nil {
					t.Fatal(err)
				}
				sent, failed = sent+count, failed+errors
			}
		}
		check()
		// Neighbouring steps of a heat map share no span and lose none.
		for offset := range 15 {
			sum := 0.0
			for at := time.Now().Add(time.Duration(offset) * time.Second); time.Since(at) < 5*time.Minute; at = at.Add(-15 * time.Second) {
				sum += db.query(at, queries["buckets"], "le")["+Inf "]
			}
			if math.Abs(sum-float64(sent)) > 1e-9 {
				t.Errorf("the columns of the heat map hold %v spans, want %d", sum, sent)
			}
		}
		// Plain increase() extrapolates, so it must give another count: otherwise this test could not fail.
		plain := strings.ReplaceAll(queries["services"], " anchored", "")
		if got := db.query(time.Now().Add(10*time.Second), plain, "service")["shop "]; got == float64(sent) {
			t.Errorf("increase() alone is exact: %v", got)
		}
	})
}
