package trace_test

import (
	"strings"
	"testing"

	"etude/trace"
)

// TestProjectRefusesWhatIsNotDeclared reads each column and attribute of a View that
// has only what was declared.
func TestProjectRefusesWhatIsNotDeclared(t *testing.T) {
	t.Parallel()
	table := trace.NewTable()
	resource, w := table.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("shop"))
	table.EndResource()
	scope, _ := table.AddScope([]byte("s"), resource, table.Code([]byte("lib")), 0, 0, 0)
	table.EndScope()
	w = table.AddSpan(&trace.Span{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Start: 10, End: 30, Scope: scope, Name: []byte("work"), StatusMessage: []byte("bad")})
	w.AddNum([]byte("n"), trace.Int, 7)
	w.AddNum([]byte("m"), trace.Int, 8)
	table.AddEvent(12, []byte("e"), 0)
	table.EndEvent()
	table.EndSpan()
	v := table.View()

	reads := map[trace.Columns]func(v *trace.View){
		trace.SpanIDs:        func(v *trace.View) { _ = v.SpanID[0] },
		trace.Times:          func(v *trace.View) { _ = v.Duration(0) },
		trace.Names:          func(v *trace.View) { _ = v.Name[0] },
		trace.StatusMessages: func(v *trace.View) { _ = v.StatusMessage.Get(0) },
		trace.Dropped:        func(v *trace.View) { _ = v.DroppedAttrs.Get(0) },
		trace.ScopeNames:     func(v *trace.View) { _ = v.ScopeName[0] },
		trace.EventSpans:     func(v *trace.View) { _, _ = v.Down(trace.EventLevel, 0) },
		trace.LinkSpans:      func(v *trace.View) { _, _ = v.Down(trace.LinkLevel, 0) },
		trace.EventNames:     func(v *trace.View) { _ = v.EventName[0] },
		trace.TraceTimes:     func(v *trace.View) { _ = v.TraceStart[0] },
	}
	for column, read := range reads {
		if err := refusal(v.Project(&trace.Need{Columns: column}), read); err != nil {
			t.Errorf("column %b, which is declared: %v", column, err)
		}
		if err := refusal(v.Project(&trace.Need{Columns: trace.AllColumns &^ column}), read); err == nil {
			t.Errorf("column %b was read and not declared", column)
		}
	}

	began := func(v *trace.View) { _ = v.Began(0) }
	if err := refusal(v.Project(&trace.Need{Columns: trace.Starts}), began); err != nil {
		t.Errorf("the start, which is declared: %v", err)
	}
	if err := refusal(v.Project(&trace.Need{Columns: trace.AllColumns &^ (trace.Starts | trace.Times)}), began); err == nil {
		t.Error("the start was read and not declared")
	}

	need := &trace.Need{}
	need.Key(trace.SpanLevel, "n")
	p := v.Project(need)
	if got, ok := p.SpanAttrs.Value(0, "n"); !ok || got.Int() != 7 {
		t.Errorf("n is %v, %v", got, ok)
	}
	if p.Spans() != 1 || p.Scopes() != 1 || p.Resources() != 1 || p.Text(v.Name[0]) != "work" {
		t.Error("the rows of levels have changed")
	}
	for what, read := range map[string]func(v *trace.View){
		`"m" was not`:      func(v *trace.View) { v.SpanAttrs.Value(0, "m") },
		`"absent" was not`: func(v *trace.View) { v.SpanAttrs.Find("absent", trace.Int) },
		`"service.name" `:  func(v *trace.View) { v.ResourceAttrs.Value(0, "service.name") },
		"all attributes":   func(v *trace.View) { v.SpanAttrs.Of(0) },
	} {
		if err, _ := refusal(p, read).(string); !strings.Contains(err, what) {
			t.Errorf("%s: %q", what, err)
		}
	}
}

// refusal returns what a read panics with, nil for nothing.
func refusal(v *trace.View, read func(*trace.View)) (panicked any) {
	defer func() { panicked = recover() }()
	read(v)
	return nil
}
