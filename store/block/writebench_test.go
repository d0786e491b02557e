package block

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"

	"etude/bench"
	"etude/otlp"
	"etude/trace"
)

// benchViews returns sealed Tables with the spans of `etude bench ingest`, in its order.
func benchViews(b testing.TB, tables int) (views []*trace.View) {
	b.Helper()
	var mu sync.Mutex
	table := trace.NewTable()
	done := func() {
		table.Seal()
		views = append(views, table.View())
		table = trace.NewTable()
	}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			b.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if table.Spans()+200 > trace.MaxRows {
			done()
		}
		valid, _, err := otlp.Validate(body)
		if err == nil {
			_, err = otlp.Append(table, valid, int64(len(views)+1))
		}
		if err != nil {
			b.Error(err)
		}
	}))
	defer server.Close()
	o := bench.IngestOptions{Target: server.URL, Spans: int64(tables) * 65_400, Batch: 200, Concurrency: 1, Services: 10, Cardinality: 1_000_000, Compression: "none", Timeout: 30e9}
	if _, err := bench.Ingest(context.Background(), o, io.Discard); err != nil {
		b.Fatal(err)
	}
	if table.Spans() > 0 {
		done()
	}
	return views
}

// processorTime is the CPU time of this process, in nanoseconds.
func processorTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkWrite writes one Table as a block. It reports CPU time and bytes a span.
func BenchmarkWrite(b *testing.B) {
	views := benchViews(b, 1)
	spans := 0
	for _, v := range views {
		spans += v.Spans()
	}
	for _, f := range []Format{VParquet5, VParquet4} {
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			size, dir := int64(0), b.TempDir()
			before := processorTime()
			for b.Loop() {
				metas, err := Write(b.Context(), WriteOptions{Dir: dir, Format: f}, views)
				if err != nil {
					b.Fatal(err)
				}
				size = metas[0].Size
			}
			b.ReportMetric(float64(processorTime()-before)/float64(b.N*spans), "cpu-ns/span")
			b.ReportMetric(float64(size)/float64(spans), "B/span")
		})
	}
}
