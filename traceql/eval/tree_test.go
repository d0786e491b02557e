package eval

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etude/trace"
)

// TestIndexOfFewSpans compares the two indexes of ids on small traces with few different ids: they find the same
// parents and clients, so the tree is the same.
func TestIndexOfFewSpans(t *testing.T) {
	t.Parallel()
	shared, ambiguous := 0, 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		table := trace.NewTable()
		resource, _ := table.AddResource([]byte("r"), 0, 0, 0)
		table.EndResource()
		scope, _ := table.AddScope([]byte("s"), resource, 0, 0, 0, 0)
		table.EndScope()
		for row := range 1 + r.IntN(fewSpans) {
			s := trace.Span{TraceID: trace.TraceID{1}, Scope: scope, Kind: uint8(2 + r.IntN(2)), Start: uint64(row) + 1}
			s.SpanID[r.IntN(8)], s.Parent[r.IntN(8)] = uint8(1+r.IntN(2)), uint8(r.IntN(3))
			table.AddSpan(&s)
			table.EndSpan()
		}
		var tr Trace
		tr.Load([]*trace.View{table.View()}, trace.TraceID{1})
		var few, many tree
		few.strict = seed%2 == 0
		many.strict = few.strict
		if got, want := few.indexFew(&tr), many.indexMany(&tr); got != want || few.shared != many.shared {
			t.Fatalf("seed %d: ambiguous %t, shared %t; want %t, %t", seed, got, few.shared, want, many.shared)
		} else if got {
			ambiguous++
		} else if few.shared {
			shared++
		}
		parents := func(n *tree) (out []int32) {
			for i := range tr.Spans {
				out = append(out, n.parentOf(&tr, i), n.clientOf(&tr, i))
			}
			return out
		}
		if got, want := parents(&few), parents(&many); !slices.Equal(got, want) {
			t.Fatalf("seed %d: parents and clients %d, want %d", seed, got, want)
		}
	}
	if shared < 200 || ambiguous < 200 {
		t.Errorf("%d traces with shared ids, %d ambiguous: too few", shared, ambiguous)
	}
}
