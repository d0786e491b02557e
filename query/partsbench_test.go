package query_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"etude/query"
	"etude/trace"
)

// manyParts is a Source of many parts on disk, one after the other, of which a query
// needs the newest at most. To open a part costs nothing: what is measured is what the
// parts cost that are not opened.
type manyParts struct {
	view   *trace.View
	parts  []trace.Part
	needed int  // parts, the newest
	filter bool // conditions rule the others out
}

const partSpan = uint64(60e9) // nanoseconds that each part covers

func newManyParts(n, needed int, filter bool) *manyParts {
	m := &manyParts{view: benchTable(0, 200).View(), needed: needed, filter: filter}
	first, last := m.view.Times()
	for i := range n {
		p := trace.Part{Spans: m.view.Spans(), MinStart: first, MaxEnd: last}
		if !filter && i < n-needed {
			p.MinStart, p.MaxEnd = first-uint64(n-i+1)*partSpan, first-uint64(n-i)*partSpan
		}
		binary.LittleEndian.PutUint64(p.ID.Of[:], uint64(i))
		m.parts = append(m.parts, p)
	}
	return m
}

func (m *manyParts) Snapshot(context.Context) (trace.Snapshot, error) { return m, nil }
func (m *manyParts) Parts() []trace.Part                              { return m.parts }
func (m *manyParts) Close()                                           {}

func (m *manyParts) Excludes(part int, _ trace.Condition) bool {
	return part < len(m.parts)-m.needed && m.filter
}

func (m *manyParts) Open(_ context.Context, part int, _ *trace.Need) (*trace.View, error) {
	if part < len(m.parts)-m.needed {
		panic(fmt.Sprintf("part %d is not needed and was opened", part))
	}
	return m.view, nil
}

func (m *manyParts) Find(context.Context, trace.TraceID) ([]int, error) {
	return []int{len(m.parts) - 1}, nil
}

// BenchmarkManyParts asks 2, 200 and 10,000 parts, of which all but 20 are ruled out by
// their times, or by a condition.
func BenchmarkManyParts(b *testing.B) {
	for _, by := range []string{"time", "filter"} {
		for _, n := range []int{2, 200, 10_000} {
			src := newManyParts(n, min(n, 20), by == "filter")
			first, last := src.view.Times()
			e := query.New(src, query.Options{})
			b.Run(fmt.Sprintf("search/%s/%d", by, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := e.Search(b.Context(), query.Request{Query: `{ status = error }`, Start: first, End: last, Limit: 1000}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("metrics/%s/%d", by, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := e.Metrics(b.Context(), query.MetricsRequest{Query: `{ status = error } | rate() by(name)`, Start: first, End: last, Step: (last - first) / 10}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestPartsThatAreRuledOutCostNoAllocations compares 200 parts with 10,000.
func TestPartsThatAreRuledOutCostNoAllocations(t *testing.T) {
	for _, filter := range []bool{false, true} {
		var allocations [2][2]float64
		for i, n := range []int{200, 10_000} {
			src := newManyParts(n, 20, filter)
			first, last := src.view.Times()
			e := query.New(src, query.Options{})
			allocations[i][0] = testing.AllocsPerRun(5, func() {
				if _, err := e.Search(t.Context(), query.Request{Query: `{ status = error }`, Start: first, End: last, Limit: 1000}); err != nil {
					t.Fatal(err)
				}
			})
			allocations[i][1] = testing.AllocsPerRun(5, func() {
				if _, err := e.Metrics(t.Context(), query.MetricsRequest{Query: `{ status = error } | rate() by(name)`, Start: first, End: last, Step: (last - first) / 10}); err != nil {
					t.Fatal(err)
				}
			})
		}
		for i, what := range []string{"search", "metrics"} {
			few, many := allocations[0][i], allocations[1][i]
			if many > few+100 {
				t.Errorf("filter %v, %s: %.0f allocations with 200 parts, %.0f with 10,000", filter, what, few, many)
			}
		}
	}
}
