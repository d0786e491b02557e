package eval

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etude/trace"
)

// addAny adds a span of few that there can be.
func addAny(t *trace.Table, rng *rand.Rand) {
	n := byte(rng.IntN(200))
	t.AddSpan(&trace.Span{TraceID: trace.TraceID{15: n / 4}, SpanID: trace.SpanID{7: n}, Start: 1000 + 10*uint64(n), End: 2000, Kind: uint8(rng.IntN(2))})
	t.EndSpan()
}

func sameRows(a, b Mask) bool { return slices.Equal(a, b) || a.Empty() && b.Empty() }

// TestRepeatsKnowWhatALookFinds asks again and again while the newest of three
// Tables grows, sometimes of a View taken earlier.
func TestRepeatsKnowWhatALookFinds(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	var r Repeats
	var views []*trace.View
	for range 3 {
		table := trace.NewTable()
		var before []*trace.View
		for range 40 {
			for range rng.IntN(6) + 1 {
				addAny(table, rng)
			}
			v := table.View()
			before = append(before, v)
			if rng.IntN(3) == 0 {
				v = before[rng.IntN(len(before))]
			}
			want := (*Repeats)(nil).in(v, views)
			if got := r.in(v, views); !sameRows(got, want) {
				t.Fatalf("%d rows after %d Tables: %b, want %b", v.Spans(), len(views), got, want)
			}
			// Should the older Table be growing as well, as one of another tenant may be:
			other := before[rng.IntN(len(before))]
			if got, want := r.in(v, []*trace.View{other}), (*Repeats)(nil).in(v, []*trace.View{other}); !sameRows(got, want) {
				t.Fatalf("%d rows after %d: %b, want %b", v.Spans(), other.Spans(), got, want)
			}
		}
		views = append(views, table.View())
	}
	if again := r.in(views[2], views[:2]); again.Empty() {
		t.Error("no span is repeated: the test shows nothing")
	}
	if len(r.pairs.known) < 3 {
		t.Errorf("%d pairs are known, want at least 3", len(r.pairs.known))
	}
}
