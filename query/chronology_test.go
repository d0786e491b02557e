package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"etude/internal/testkit"
	"etude/trace"
)

// TestChronologyOfAGrowingTable compares what is made of an earlier chronology
// with what is made anew. Starts repeat, and late spans start before their trace.
func TestChronologyOfAGrowingTable(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	table := trace.NewTable()
	var times, ordered *chronology // earlier ones
	for n := range 200 {
		for range rng.IntN(20) {
			start := uint64(n + rng.IntN(30))
			table.AddSpan(&trace.Span{TraceID: trace.TraceID{0: byte(rng.Uint32()), 15: byte(n/2 + rng.IntN(3))}, SpanID: trace.SpanID{1: byte(rng.Uint32()), 2: byte(n)},
				Start: start, End: start + uint64(rng.IntN(40))})
			table.EndSpan()
		}
		v := table.View()
		got, want := timesOf(v, times).ordered(v, ordered), timesOf(v, nil).ordered(v, nil)
		if newest := slices.Max(append([]uint64{0}, want.start...)); got.newest != newest {
			t.Fatalf("after %d rows: the newest start is %d, want %d", v.Spans(), got.newest, newest)
		}
		if !slices.Equal(got.start, want.start) || !slices.Equal(got.end, want.end) || !slices.Equal(got.order, want.order) {
			t.Fatalf("after %d rows: %v, made anew %v", v.Spans(), got, want)
		}
		for i, number := range got.order[min(1, len(got.order)):] {
			if got.start[got.order[i]] < got.start[number] {
				t.Fatalf("trace %d stands before a newer one", got.order[i])
			}
		}
		if rng.IntN(3) > 0 { // some queries have not asked for it
			times = got
		}
		if rng.IntN(3) > 0 { // some have found no candidates
			ordered = got
		}
	}
}

// TestOnlyCandidatesAreOrdered searches parts that each have the name and the duration, but not in one span.
func TestOnlyCandidatesAreOrdered(t *testing.T) {
	t.Parallel()
	var views testkit.Views
	for part := range uint64(4) {
		table := trace.NewTable()
		resource, _ := table.AddResource([]byte("r"), 0, 0, 0)
		table.EndResource()
		scope, _ := table.AddScope([]byte("s"), resource, 0, 0, 0, 0)
		table.EndScope()
		for n := range uint64(6) {
			name, start := fmt.Sprint("n", n%2), 1000+100*part+n
			table.AddSpan(&trace.Span{TraceID: trace.TraceID{0: byte(part), 15: byte(n)}, SpanID: trace.SpanID{1}, Scope: scope, Name: []byte(name), Start: start, End: start + 5 + 50*(n%2)})
			table.EndSpan()
		}
		views = append(views, table.View())
	}
	for _, warm := range []int{0, 4} {
		e := New(testkit.Cold{Views: views, Warm: warm}, Options{})
		for name, want := range map[string]int{"n0": 0, "n1": 2} {
			found, err := e.Search(t.Context(), Request{Query: fmt.Sprintf("{ name = `%s` && duration > 50ns }", name), Limit: 2})
			if err != nil || len(found.Traces) != want {
				t.Fatalf("%s: %v, %v", name, found, err)
			}
			ordered := 0
			for _, f := range e.facts.parts {
				if f.ordered != nil {
					ordered++
				}
			}
			if want == 0 && ordered > 0 || want > 0 && ordered == 0 {
				t.Errorf("%s: %d parts were put in order", name, ordered)
			}
			e.facts = newFactCache(1 << 20)
		}
	}
}
