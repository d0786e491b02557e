package query_test

import (
	"testing"

	"etude/query"
	"etude/trace"
)

// TestTracesOfOneMoment searches traces that all start at once, in several Tables:
// only those that are in the answer are looked at.
func TestTracesOfOneMoment(t *testing.T) {
	t.Parallel()
	const tables, traces, limit = 4, 200, 10
	var all source
	for i := range tables {
		table := tableOf(span{trace: 255, id: 1}) // older than the others
		for j := range traces {
			n := (j*tables+i)*7919%(tables*traces) + 1 // every number once, in no order
			table.AddSpan(&trace.Span{TraceID: trace.TraceID{13: byte(n >> 8), 14: byte(n)}, SpanID: trace.SpanID{1}, Start: 2 * origin, End: 2 * origin})
			table.EndSpan()
		}
		all = append(all, table.View())
	}
	got, err := query.New(all, query.Options{}).Search(t.Context(), query.Request{Query: "{ }", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	if got.InspectedTraces != limit || len(got.Traces) != limit {
		t.Errorf("%d traces looked at for %d in the answer, want %d", got.InspectedTraces, len(got.Traces), limit)
	}
	for i, found := range got.Traces {
		if want := (trace.TraceID{14: byte(i + 1)}); found.ID != want {
			t.Errorf("trace %d is %s, want %s", i, found.ID, want)
		}
	}
}
