package trace_test

import (
	"fmt"
	"testing"

	"etude/trace"
)

// Rows repeat keys, have no attributes, and have more columns than may have arrays
// of their own.
func TestFlat(t *testing.T) {
	t.Parallel()
	table := trace.NewTable()
	limits := trace.DefaultLimits()
	limits.Columns = 5
	table.Limit(limits)
	_, w := table.AddResource(nil, 0, 0, 0)
	w.AddText([]byte("r"), trace.String, []byte("R"))
	table.EndResource()
	table.AddScope(nil, 0, 0, 0, 0, 0)
	table.EndScope()
	for i := range 20 {
		w := table.AddSpan(&trace.Span{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{byte(i + 1)}})
		for k := range i % 7 {
			w.AddText(fmt.Appendf(nil, "key%d", k*i%9), trace.String, fmt.Appendf(nil, "v%d", k))
			w.AddNum([]byte("same"), trace.Int, uint64(k))
		}
		if i%3 == 0 {
			w.AddEmpty([]byte("none"))
			w.AddNum([]byte("yes"), trace.Bool, 1)
		}
		table.EndSpan()
	}
	v := table.View()
	f := v.SpanAttrs.Flat()
	for row := range uint32(v.Spans()) {
		var want, got []string
		for key, value := range v.SpanAttrs.Of(row) {
			want = append(want, fmt.Sprint(key, value))
		}
		for from, to := f.Row(row); from < to; from++ {
			got = append(got, fmt.Sprint(f.Columns[f.Cols[from]].Key, f.Value(&v.Strings, from)))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("row %d: %v, want %v", row, got, want)
		}
	}
	if key, value := f.Columns[f.Cols[len(f.Cols)-1]].Key, f.Value(&v.Strings, uint32(len(f.Cols)-1)); key == "" || value == (trace.Value{}) && key != "none" {
		t.Errorf("last attribute is %s=%v", key, value)
	}
}
