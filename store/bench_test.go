package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"etude/store"
)

const benchSpans = 200

// BenchmarkAppend is the whole way of 200 spans: validated, compressed, on a
// real disk, in the head.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := mustOpen(b, store.Options{Dir: b.TempDir(), HeadMaxBytes: 256 << 20, Priority: new(store.Priority)})
			payloads := make([][]byte, b.N)
			for i := range payloads {
				payloads[i] = payload(i, benchSpans)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(payloads[0])))
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := s.Append(b.Context(), payloads[i-1]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N*benchSpans)/b.Elapsed().Seconds(), "spans/s")
			st := s.Stats()
			b.ReportMetric(float64(st.HeadBytes)/float64(max(1, st.Spans)), "head-B/span")
			b.ReportMetric(float64(st.DiskBytes)/float64(max(1, st.Spans)), "disk-B/span")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkReplay is a start with 200,000 spans in the log.
func BenchmarkReplay(b *testing.B) {
	const requests = 1000
	dir := b.TempDir()
	s := mustOpen(b, store.Options{Dir: dir})
	for i := range requests {
		if _, err := s.Append(b.Context(), payload(i, benchSpans)); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.Close()
	b.ReportAllocs()
	var took time.Duration
	for b.Loop() {
		began := time.Now()
		s := mustOpen(b, store.Options{Dir: dir})
		took += time.Since(began)
		if total(s) != requests*benchSpans {
			b.Fatal("spans are missing")
		}
		_ = s.Close()
	}
	b.ReportMetric(float64(b.N*requests*benchSpans)/took.Seconds(), "spans/s")
}
