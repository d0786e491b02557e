package wal

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkAppend is one record of 64 KiB to a real disk and its sync, by one
// writer and by 64 at once.
func BenchmarkAppend(b *testing.B) {
	var text bytes.Buffer
	for i := 0; text.Len() < 64<<10; i++ {
		fmt.Fprintf(&text, "http.request.method GET url.path /item/%d ", i*7919)
	}
	payload := text.Bytes()
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l, err := Open(Options{Dir: b.TempDir(), Committed: func(batch []*Entry) {
				for _, e := range batch {
					e.Owner.(chan error) <- e.Err
				}
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
					e := &Entry{Owner: make(chan error, 1)}
					for i := w; i < b.N; i += writers {
						_ = e.Encode(payload, 200, 1)
						if err := l.Submit(e); err != nil {
							b.Error(err)
							return
						}
						if err := <-e.Owner.(chan error); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/float64(l.Syncs()), "records/sync")
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
