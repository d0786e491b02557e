package query

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etude/trace"
)

// TestChronologyOfAGrowingTable compares what is made of an earlier chronology
// with what is made anew. Starts repeat, and late spans start before their trace.
func TestChronologyOfAGrowingTable(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	table := trace.NewTable()
	var before *chronology
	for n := range 200 {
		for range rng.IntN(20) {
			start := uint64(n + rng.IntN(30))
			table.AddSpan(&trace.Span{TraceID: trace.TraceID{0: byte(rng.Uint32()), 15: byte(n/2 + rng.IntN(3))}, SpanID: trace.SpanID{1: byte(rng.Uint32()), 2: byte(n)},
				Start: start, End: start + uint64(rng.IntN(40))})
			table.EndSpan()
		}
		v := table.View()
		got, want := chronologyOf(v, before), chronologyOf(v, nil)
		if !slices.Equal(got.start, want.start) || !slices.Equal(got.end, want.end) || !slices.Equal(got.order, want.order) {
			t.Fatalf("after %d rows: %v, made anew %v", v.Spans(), got, want)
		}
		for i, number := range got.order[min(1, len(got.order)):] {
			if got.start[got.order[i]] < got.start[number] {
				t.Fatalf("trace %d stands before a newer one", got.order[i])
			}
		}
		if rng.IntN(3) > 0 { // some queries have not asked for it
			before = got
		}
	}
}
