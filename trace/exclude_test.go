package trace_test

import (
	"fmt"
	"testing"

	"etude/internal/testkit"
	"etude/trace"
)

// TestResidentExcludes compares the head's verdict with one that reads all rows: a part
// with a row that meets the condition is never ruled out, one without the text or the key
// always is, where the value can only be a text.
func TestResidentExcludes(t *testing.T) {
	t.Parallel()
	table := trace.NewTable()
	table.Limit(trace.Limits{Columns: 3})
	resource, w := table.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("shop"))
	table.EndResource()
	scope, _ := table.AddScope([]byte("s"), resource, table.Code([]byte("lib")), 0, 0, 0)
	table.EndScope()
	for n := range byte(9) {
		w := table.AddSpan(&trace.Span{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: n + 1}, Scope: scope, Start: 1, End: 5, Name: []byte("op")})
		w.AddText([]byte("text"), trace.String, fmt.Append(nil, "value-", n))
		w.AddNum([]byte("number"), trace.Int, uint64(n))
		w.AddText(fmt.Append(nil, "key-", n), trace.String, []byte("value-1")) // most are in shared columns
		table.EndSpan()
	}
	views := testkit.Views{table.View()}
	head, err := views.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exact, err := testkit.Cold{Views: views}.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	texts := func(s ...string) []string { return s }
	for _, c := range []struct {
		trace.Condition
		excluded bool
	}{
		{trace.Condition{Key: "text", Texts: texts("value-3")}, false},
		{trace.Condition{Key: "text", Texts: texts("nobody", "value-3")}, false},
		{trace.Condition{Key: "text", Texts: texts("nobody")}, true},
		{trace.Condition{Key: "text", Texts: texts("op")}, false}, // the dictionary has it, for a name
		{trace.Condition{Key: "text"}, false},
		{trace.Condition{Key: "nothing"}, true},
		{trace.Condition{Key: "nothing", Texts: texts("value-3")}, true},
		{trace.Condition{Key: "key-8", Texts: texts("value-1")}, false},
		{trace.Condition{Key: "key-8", Texts: texts("nobody")}, true},
		{trace.Condition{Key: "key-9"}, true},
		{trace.Condition{Key: "number", Texts: texts("3")}, false},
		{trace.Condition{Key: "number", Texts: texts("99")}, false}, // rows would tell
		{trace.Condition{Level: trace.ResourceLevel, Key: "text"}, true},
		{trace.Condition{Level: trace.ResourceLevel, Key: "service.name", Texts: texts("shop")}, false},
		{trace.Condition{Level: trace.ResourceLevel, Key: "service.name", Texts: texts("bank")}, true},
		{trace.Condition{Level: trace.EventLevel, Key: "text"}, true},
		{trace.Condition{Of: trace.Names, Texts: texts("op")}, false},
		{trace.Condition{Of: trace.Names, Texts: texts("nobody")}, true},
		{trace.Condition{Level: trace.ScopeLevel, Of: trace.ScopeNames, Texts: texts("lib")}, false},
		{trace.Condition{Level: trace.ScopeLevel, Of: trace.ScopeNames, Texts: texts("nobody")}, true},
		{trace.Condition{Of: trace.Times, Bounded: true, Min: 4, Max: 4}, false},
		{trace.Condition{Of: trace.Kinds, Bounded: true, Min: 0, Max: 0}, false},
	} {
		got, want := head.Excludes(0, c.Condition), exact.Excludes(0, c.Condition)
		if got && !want {
			t.Errorf("%+v: the part is ruled out and has a row that meets it", c.Condition)
		}
		if got != c.excluded {
			t.Errorf("%+v: ruled out %t, want %t", c.Condition, got, c.excluded)
		}
	}
}
