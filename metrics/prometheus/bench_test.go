package prometheus

import (
	"testing"
	"time"
)

// BenchmarkStart opens and closes an empty storage. open-ms is what a caller
// waits for, ready-ms what happens beside the caller's own start.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, err := Open(Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(p.birth))/1e6, "open-ms")
		<-p.Started()
		b.ReportMetric(float64(time.Since(p.birth))/1e6, "ready-ms")
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
