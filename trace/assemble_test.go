package trace_test

import (
	"fmt"
	"slices"
	"testing"

	"etude/trace"
)

// assembled returns a View of two traces, the second of them large.
func assembled() *trace.View {
	const large = 100
	a := trace.Assembly{ID: trace.NewID(), TraceIDs: []trace.TraceID{{1}, {2}}, First: []uint32{0, 3, 3 + large}, Resources: 1, ScopeResource: []uint32{0}}
	for row := range 3 + large {
		a.Trace = append(a.Trace, uint32(min(row/3, 1)))
		a.Scope = append(a.Scope, 0)
	}
	d := trace.NewDict()
	code := d.Add([]byte("v"))
	a.Strings = *d
	v := a.View()
	v.Kind, v.Start = make([]uint8, len(a.Trace)), make([]uint64, len(a.Trace))
	for row := range a.Trace {
		v.SpanID = append(v.SpanID, trace.SpanID{byte(row)})
	}
	v.SetColumns(trace.SpanLevel, map[string]bool{"k": true, "absent": true}, []trace.Column{
		{Key: "k", Type: trace.String, Rows: []uint32{1}, Codes: []uint32{code}},
		{Key: "k", Type: trace.Int, Rows: []uint32{1, 2}, Nums: []uint64{7, 8}}})
	return v
}

func TestAssembledView(t *testing.T) {
	t.Parallel()
	v := assembled()
	number, ok := v.FindTrace(trace.TraceID{2})
	if rows := slices.Collect(v.Rows(number)); !ok || len(rows) != 100 || rows[0] != 3 {
		t.Errorf("trace 2 is %d, %v, with rows %v", number, ok, rows)
	}
	if _, ok := v.FindTrace(trace.TraceID{3}); ok {
		t.Error("found a trace that is not there")
	}
	for number, want := range map[uint32]trace.SpanID{0: {2}, 1: {77}} {
		if !v.HasSpan(number, want, 0, 0) || v.HasSpan(number, want, 1, 0) || v.HasSpan(1-number, want, 0, 0) {
			t.Errorf("span %s of trace %d is not where it is", want, number)
		}
	}
	if value, ok := v.SpanAttrs.Value(1, "k"); !ok || value.Str() != "v" {
		t.Errorf("k is %v, %v", value, ok)
	}
	if value, ok := v.SpanAttrs.Value(2, "k"); !ok || value.Int() != 8 {
		t.Errorf("k is %v, %v", value, ok)
	}
	if v.Resources() != 1 || v.Scopes() != 1 || v.Count(trace.ResourceLevel) != 1 {
		t.Errorf("%d resources, %d scopes", v.Resources(), v.Scopes())
	}
}

func TestAssembledViewRefusesWhatWasNotRead(t *testing.T) {
	t.Parallel()
	v := assembled()
	if c := v.SpanAttrs.Find("absent", trace.Int); c != nil {
		t.Errorf("absent is %v", c)
	}
	for name, ask := range map[string]func(){
		"attribute": func() { v.SpanAttrs.Find("other", trace.Int) },
		"value":     func() { v.SpanAttrs.Value(0, "other") },
		"level":     func() { v.EventAttrs.Find("k", trace.Int) },
		"all":       func() { _ = slices.Collect(keys(v.SpanAttrs.Of(1))) },
		"column":    func() { _ = v.Name[0] },
	} {
		if !panics(ask) {
			t.Errorf("%s: answered without having been read", name)
		}
	}
}

func keys[K, V any](pairs func(func(K, V) bool)) func(func(K) bool) {
	return func(yield func(K) bool) { pairs(func(k K, _ V) bool { return yield(k) }) }
}

func panics(f func()) (p bool) {
	defer func() { p = recover() != nil }()
	f()
	return
}

// A builder makes the same of the attributes of a Table, shared columns included.
func TestAttrBuilder(t *testing.T) {
	t.Parallel()
	b := trace.NewAttrBuilder()
	const rows = 3000
	for row := range rows {
		b.Add(b.Column("same", trace.Int), 0, uint64(row))
		b.Add(b.Column(fmt.Sprint("key", row), trace.Int), 0, 1) // more than have arrays of their own
		if row%2 == 0 {
			b.Add(b.Column("same", trace.Int), 0, uint64(row+1))
		}
		b.EndRow()
	}
	v := (&trace.Assembly{}).View()
	v.SetAttrs(trace.SpanLevel, b.Attrs())
	for row := range uint32(rows) {
		want := fmt.Sprintf("same=%d key%d=1 ", row, row)
		if row%2 == 0 {
			want += fmt.Sprintf("same=%d ", row+1)
		}
		got := ""
		for key, value := range v.SpanAttrs.Of(row) {
			got += fmt.Sprintf("%s=%d ", key, value.Int())
		}
		if got != want {
			t.Fatalf("row %d: %s, want %s", row, got, want)
		}
	}
}
