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
	"etude/internal/fs"
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

// report reports CPU time and bytes a span.
func report(b *testing.B, before int64, spans int, size int64) {
	b.ReportMetric(float64(processorTime()-before)/float64(b.N*spans), "cpu-ns/span")
	b.ReportMetric(float64(size)/float64(spans), "B/span")
}

func spansIn(views []*trace.View) (n int) {
	for _, v := range views {
		n += v.Spans()
	}
	return n
}

// BenchmarkWrite writes Tables as a block: one, as in quiet hours, and the four of a
// block under load.
func BenchmarkWrite(b *testing.B) {
	all := benchViews(b, 4)
	for _, bench := range []struct {
		name   string
		format Format
		views  []*trace.View
	}{{"vParquet5", VParquet5, all[:1]}, {"vParquet4", VParquet4, all[:1]}, {"four", VParquet5, all}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			size, dir := int64(0), b.TempDir()
			before := processorTime()
			for b.Loop() {
				metas, err := Write(b.Context(), WriteOptions{Dir: dir, Format: bench.format}, bench.views)
				if err != nil {
					b.Fatal(err)
				}
				size = metas[0].Size
			}
			report(b, before, spansIn(bench.views), size)
		})
	}
}

// BenchmarkCompact joins four blocks of one Table.
func BenchmarkCompact(b *testing.B) {
	views, dir := benchViews(b, 4), b.TempDir()
	var blocks []*Block
	o := WriteOptions{Dir: dir}
	for i := range views {
		metas, err := Write(b.Context(), o, views[i:i+1])
		if err != nil {
			b.Fatal(err)
		}
		o.Dedicated = metas[0].Dedicated
		one, err := Open(b.Context(), fs.OS, Folder(dir, metas[0].ID), NewCache(64<<20))
		if err != nil {
			b.Fatal(err)
		}
		defer one.Close()
		blocks = append(blocks, one)
	}
	b.ReportAllocs()
	size, before := int64(0), processorTime()
	for b.Loop() {
		metas, err := Compact(b.Context(), WriteOptions{Dir: dir, Level: 1}, blocks)
		if err != nil {
			b.Fatal(err)
		}
		size = metas[0].Size
	}
	report(b, before, spansIn(views), size)
}
