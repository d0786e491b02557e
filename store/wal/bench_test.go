package wal

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkAppend is one payload of 64 KiB to a real disk and its sync, by one
// writer and by 64 at once.
func BenchmarkAppend(b *testing.B) {
	var text bytes.Buffer
	for i := 0; text.Len() < 64<<10; i++ {
		fmt.Fprintf(&text, "http.request.method GET url.path /item/%d ", i*7919)
	}
	payload := text.Bytes()
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			var l *Log
			l, err := Open(Options{Dir: b.TempDir(), Committed: func(batch *Batch) {
				for _, e := range batch.Entries {
					e.Owner.(chan error) <- batch.Err
				}
				l.Recycle(batch)
			}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					answer := make(chan error, 1)
					for i := w; i < b.N; i += writers {
						if err := l.Submit(payload, 200, 1, answer); err != nil {
							b.Error(err)
							return
						}
						if err := <-answer; err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/float64(l.Syncs()), "payloads/sync")
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
