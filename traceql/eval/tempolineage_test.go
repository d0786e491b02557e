package eval

import (
	"fmt"
	"testing"
)

// BenchmarkLineage pairs all spans of one trace, a tree with three children a
// span, with each other: the time for a span must not grow with the trace.
func BenchmarkLineage(b *testing.B) {
	for _, spans := range []int{2_000, 20_000, 200_000} {
		n := tree{left: make([]int64, spans), right: make([]int64, spans)}
		counter := int64(0)
		var number func(span int)
		number = func(span int) {
			if span >= spans {
				return
			}
			counter++
			n.left[span] = counter
			for child := 3*span + 1; child <= 3*span+3; child++ {
				number(child)
			}
			counter++
			n.right[span] = counter
		}
		number(0)
		n.last = counter
		all := make([]int32, spans)
		for i := range all {
			all[i] = int32(i)
		}
		b.Run(fmt.Sprint(spans), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lineage(&n, all, all)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spans), "ns/span")
		})
	}
}
