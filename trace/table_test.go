package trace

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
)

func TestParseTraceID(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want, short string }{
		{"771a728620b4bd35", "0000000000000000771a728620b4bd35", "771a728620b4bd35"},
		{"0000000000000000771A728620B4BD35", "0000000000000000771a728620b4bd35", "771a728620b4bd35"},
		{"f", "0000000000000000000000000000000f", "f"},
		{"0", "00000000000000000000000000000000", "0"},
		{"123", "00000000000000000000000000000123", "123"},
		{"ffeeddccbbaa99887766554433221100", "ffeeddccbbaa99887766554433221100", "ffeeddccbbaa99887766554433221100"},
	}
	for _, test := range tests {
		id, err := ParseTraceID(test.text)
		if err != nil || id.String() != test.want || id.Short() != test.short {
			t.Errorf("ParseTraceID(%q) = %s, short %s, error %v; want %s, short %s", test.text, id, id.Short(), err, test.want, test.short)
		}
	}
	bad := []struct{ text, want string }{
		{"", "trace ID is empty, want 1 to 32 hex digits"},
		{"12z4", "trace IDs can only contain hex characters: invalid character 'z' at position 3"},
		{"0123456789abcdef0123456789abcdef0", "trace IDs can't be larger than 128 bits"},
	}
	for _, test := range bad {
		if _, err := ParseTraceID(test.text); err == nil || err.Error() != test.want {
			t.Errorf("ParseTraceID(%q): error %v, want %s", test.text, err, test.want)
		}
	}
}

// add puts a span into the table: trace and span named by numbers, attributes
// as text pairs.
func add(t *Table, traceNo, spanNo byte, start uint64, attrs ...string) bool {
	w := t.AddSpan(&Span{TraceID: TraceID{15: traceNo}, SpanID: SpanID{7: spanNo}, Start: start, End: start + 10, Name: []byte("n")})
	if w == nil {
		return false
	}
	for i := 0; i < len(attrs); i += 2 {
		w.AddText([]byte(attrs[i]), String, []byte(attrs[i+1]))
	}
	t.EndSpan()
	return true
}

func TestRowsOfOneTraceAmongOthers(t *testing.T) {
	t.Parallel()
	table := NewTable()
	for span := range byte(60) {
		add(table, span%3, span, uint64(span))
	}
	v := table.View()
	number, ok := v.FindTrace(TraceID{15: 1})
	if !ok {
		t.Fatal("trace 1 not found")
	}
	rows := slices.Collect(v.Rows(number))
	if len(rows) != 20 || !slices.IsSorted(rows) {
		t.Fatalf("rows of trace 1: %v", rows)
	}
	for _, row := range rows {
		if row%3 != 1 {
			t.Errorf("row %d belongs to another trace", row)
		}
	}
	if !v.HasSpan(number, SpanID{7: 4}, 0, 4) {
		t.Error("span 4 of trace 1 is not found")
	}
	if v.HasSpan(number, SpanID{7: 5}, 0, 5) || v.HasSpan(number, SpanID{7: 4}, 1, 4) || v.HasSpan(number, SpanID{7: 4}, 0, 5) {
		t.Error("found a span of another trace, kind or start")
	}
	if _, ok := v.FindTrace(TraceID{15: 9}); ok {
		t.Error("found a trace that is not there")
	}
}

func TestAttributesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	rows := [][]string{
		{"b", "1", "a", "2"},
		{"a", "2", "b", "1"},
		{},
		{"a", "1", "b", "x", "a", "2"},
		{"a", "1", "b", "x", "a", "2"},
		{"only", "once"},
	}
	table := NewTable()
	for i, attrs := range rows {
		add(table, 1, byte(i), 0, attrs...)
	}
	for _, sealed := range []bool{false, true} {
		if sealed {
			table.Seal()
		}
		v := table.View()
		for row, want := range rows {
			got := []string{}
			for key, value := range v.SpanAttrs.Of(uint32(row)) {
				got = append(got, key, value.Str())
			}
			if !slices.Equal(got, want) {
				t.Errorf("sealed %v, row %d: %q, want %q", sealed, row, got, want)
			}
		}
	}
}

func TestColumnsAreTyped(t *testing.T) {
	t.Parallel()
	table := NewTable()
	w := table.AddSpan(&Span{TraceID: TraceID{1}, SpanID: SpanID{1}})
	w.AddNum([]byte("k"), Int, 7)
	w.AddNum([]byte("k"), Bool, 1)
	w.AddText([]byte("k"), String, []byte("7"))
	w.AddEmpty([]byte("k"))
	table.EndSpan()
	v := table.View()
	if n := len(slices.Collect(v.SpanAttrs.All())); n != 4 {
		t.Fatalf("%d columns for four types of one key", n)
	}
	if c := v.SpanAttrs.Find("k", Int); c == nil || c.Nums[0] != 7 {
		t.Errorf("int column: %+v", c)
	}
	if c := v.SpanAttrs.Find("k", Double); c != nil {
		t.Errorf("a double column that nobody wrote: %+v", c)
	}
	if first, ok := v.SpanAttrs.Value(0, "k"); !ok || first.Type != Int || first.Int() != 7 {
		t.Errorf("first value of k: %+v, %v", first, ok)
	}
}

func TestDuplicateSpans(t *testing.T) {
	t.Parallel()
	table := NewTable()
	if !add(table, 1, 1, 5) || add(table, 1, 1, 5) {
		t.Error("the same span was added twice")
	}
	if !add(table, 2, 1, 5) || !add(table, 1, 1, 6) {
		t.Error("a span of another trace or start was taken for a duplicate")
	}
	if w := table.AddSpan(&Span{TraceID: TraceID{15: 1}, SpanID: SpanID{7: 1}, Start: 5, Kind: uint8(KindClient)}); w == nil {
		t.Error("a span of another kind was taken for a duplicate")
	}
}

// TestViewStaysWhileTableGrows reads Views of every age while the writer goes
// on; the race detector watches.
func TestViewStaysWhileTableGrows(t *testing.T) {
	t.Parallel()
	table := NewTable()
	var lock sync.Mutex
	var readers sync.WaitGroup
	for round := range 40 {
		lock.Lock()
		for i := range 50 {
			n := round*50 + i
			table.AddSpan(&Span{TraceID: TraceID{1: byte(n >> 8), 2: 1}, SpanID: SpanID{byte(n), byte(n >> 8), 1}, Name: fmt.Appendf(nil, "name %d", n)}).
				AddText(fmt.Appendf(nil, "key %d", n%7), String, fmt.Appendf(nil, "value %d", n))
			table.EndSpan()
		}
		v := table.View()
		lock.Unlock()
		readers.Go(func() { checkView(t, v, (round+1)*50) })
	}
	readers.Wait()
}

func checkView(t *testing.T, v *View, spans int) {
	if v.Spans() != spans {
		t.Errorf("View has %d spans, want %d", v.Spans(), spans)
	}
	seen := 0
	for number := range uint32(len(v.TraceIDs)) {
		if n, ok := v.FindTrace(v.TraceIDs[number]); !ok || n != number {
			t.Errorf("trace %d found as %d, %v", number, n, ok)
		}
		for row := range v.Rows(number) {
			seen++
			if want := fmt.Sprintf("name %d", row); v.Text(v.Name[row]) != want {
				t.Errorf("row %d is called %s", row, v.Text(v.Name[row]))
			}
			got := maps.Collect(v.SpanAttrs.Of(row))
			if value := got[fmt.Sprintf("key %d", row%7)]; value.Str() != fmt.Sprintf("value %d", row) {
				t.Errorf("row %d has %v", row, got)
			}
			if _, ok := v.Strings.Find(fmt.Sprintf("value %d", row)); !ok {
				t.Errorf("value of row %d is not in the dictionary", row)
			}
		}
	}
	if _, ok := v.Strings.Find(fmt.Sprintf("value %d", spans)); ok {
		t.Error("the View's dictionary knows a later value")
	}
	if seen != spans {
		t.Errorf("%d spans in all traces, want %d", seen, spans)
	}
}

func TestSealGivesBackSlack(t *testing.T) {
	t.Parallel()
	table := NewTable()
	for n := range 5000 {
		table.AddSpan(&Span{TraceID: TraceID{byte(n), byte(n >> 8), 1}, SpanID: SpanID{byte(n), byte(n >> 8), 1}}).AddNum([]byte("n"), Int, uint64(n))
		table.EndSpan()
	}
	before := table.Bytes()
	table.Seal()
	if after := table.Bytes(); after >= before {
		t.Errorf("%d bytes before Seal, %d after", before, after)
	}
	if _, ok := table.View().FindTrace(TraceID{7, 1, 1}); !ok {
		t.Error("a sealed Table lost a trace")
	}
}

// TestViewsOfOneTable: its id and the numbers of its rows stay when it grows and
// when it is sealed; another Table has another id.
func TestViewsOfOneTable(t *testing.T) {
	t.Parallel()
	table := NewTable()
	add(table, 1, 1, 1)
	first := table.View()
	table.AddSpan(&Span{TraceID: TraceID{15: 1}, SpanID: SpanID{7: 2}, Size: 390})
	table.EndSpan()
	grown := table.View()
	table.Seal()
	sealed := table.View()
	if first.ID() == 0 || grown.ID() != first.ID() || sealed.ID() != first.ID() {
		t.Errorf("ids %d, %d, %d of one Table", first.ID(), grown.ID(), sealed.ID())
	}
	if next := NewTableLike(sealed); next.View().ID() == first.ID() || NewTable().View().ID() == first.ID() {
		t.Error("another Table has the same id")
	}
	if !slices.Equal(sealed.Size, []uint32{0, 390}) || sealed.SpanID[1] != grown.SpanID[1] {
		t.Errorf("sizes %v, want 0 and 390", sealed.Size)
	}
}
