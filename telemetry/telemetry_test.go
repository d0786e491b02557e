package telemetry

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// empty is the Source of parts that count nothing.
func empty(func(Sample)) {}

// scrape returns the lines of /metrics that begin with a prefix.
func scrape(t *testing.T, tel *Telemetry, prefix string) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var b strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestMetricsAreClean(t *testing.T) {
	t.Parallel()
	tel := New(empty)
	tel.Expect("search")
	tel.Query("search", false)(200, "")
	problems, err := testutil.GatherAndLint(tel.registry, ownNames(t, tel)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// ownNames leaves the runtime's and the process's metrics to their authors.
func ownNames(t *testing.T, tel *Telemetry) (names []string) {
	families, err := tel.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "etude_") {
			names = append(names, f.GetName())
		}
	}
	if len(names) < 7 {
		t.Fatalf("only %q", names)
	}
	return names
}

func TestQueries(t *testing.T) {
	t.Parallel()
	tel := New(empty)
	tel.Expect("search")
	end := tel.Query("search", true)
	tel.Query("search", false)(200, "")
	for status, n := range map[int]int{404: 1, 400: 2, 499: 3, 504: 4, 500: 5} {
		for range n {
			tel.Query("search", false)(status, "")
		}
	}
	tel.Inspected(7)
	const want = `etude_queries_in_flight{kind="search",protocol="grpc"} 1
etude_queries_in_flight{kind="search",protocol="http"} 0
etude_queries_total{kind="search",outcome="canceled",protocol="grpc"} 0
etude_queries_total{kind="search",outcome="canceled",protocol="http"} 3
etude_queries_total{kind="search",outcome="failed",protocol="grpc"} 0
etude_queries_total{kind="search",outcome="failed",protocol="http"} 5
etude_queries_total{kind="search",outcome="not_found",protocol="grpc"} 0
etude_queries_total{kind="search",outcome="not_found",protocol="http"} 1
etude_queries_total{kind="search",outcome="ok",protocol="grpc"} 0
etude_queries_total{kind="search",outcome="ok",protocol="http"} 1
etude_queries_total{kind="search",outcome="refused",protocol="grpc"} 0
etude_queries_total{kind="search",outcome="refused",protocol="http"} 2
etude_queries_total{kind="search",outcome="timed_out",protocol="grpc"} 0
etude_queries_total{kind="search",outcome="timed_out",protocol="http"} 4
`
	if got := scrape(t, tel, "etude_queries_"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	end(200, "771a728620b4bd35")
	if got := scrape(t, tel, "etude_query_duration_seconds_count"); !strings.Contains(got, `protocol="grpc"} 1`) || !strings.Contains(got, `protocol="http"} 16`) {
		t.Errorf("durations:\n%s", got)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	tel.Metrics().ServeHTTP(w, r)
	if exemplar := ` # {traceID="771a728620b4bd35"} `; strings.Count(w.Body.String(), exemplar) != 1 {
		t.Errorf("want one exemplar %s in\n%s", exemplar, w.Body)
	}
	if got := scrape(t, tel, "etude_query_inspected"); got != "etude_query_inspected_spans_total 7\n" {
		t.Errorf("got %s", got)
	}
}

func TestDurationsAreSeconds(t *testing.T) {
	t.Parallel()
	tel := New(empty)
	tel.Acknowledged(1500 * time.Microsecond)
	tel.Synced(250 * time.Millisecond)
	tel.Sealed(2 * time.Second)
	tel.Cut(4 * time.Second)
	for name, sum := range map[string]string{"append": "0.0015", "sync": "0.25", "seal": "2", "cut": "4"} {
		if got, want := scrape(t, tel, "etude_store_"+name+"_duration_seconds_sum"), "etude_store_"+name+"_duration_seconds_sum "+sum+"\n"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// BenchmarkObserve is what a payload pays for being measured.
func BenchmarkObserve(b *testing.B) {
	tel := New(empty)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tel.Acknowledged(3 * time.Millisecond)
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				tel.Acknowledged(3 * time.Millisecond)
			}
		})
	})
}
