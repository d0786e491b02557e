package trace

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

func key(n int) []byte { return fmt.Appendf(nil, "key-%d", n) }

// TestSharedColumns fills a Table of few columns and one of many with the same
// spans: every reader must find the same, while they grow and when they are sealed.
func TestSharedColumns(t *testing.T) {
	t.Parallel()
	few, many := NewTable(), NewTable()
	few.Limit(Limits{Columns: 3})
	many.Limit(Limits{})
	var early *View
	for row := range 300 {
		for _, table := range []*Table{few, many} {
			w := table.AddSpan(&Span{TraceID: TraceID{1: byte(row >> 8), 2: byte(row), 3: 1}, SpanID: SpanID{1}})
			for i := range row % 7 {
				k := key((row + i*i) % 40)
				switch sent := fmt.Appendf(nil, "as sent: %s %d %d", k, i%3, row%5); {
				case w.Again(sent):
				case i%3 == 0:
					w.AddNum(k, Int, uint64(row%5))
				case i%3 == 1:
					w.AddText(k, String, fmt.Appendf(nil, "value %d", row%5))
				default:
					w.AddEmpty(k)
				}
				w.AddNum(key(1), Bool, uint64(i%2)) // twice or more in most rows
			}
			table.EndSpan()
		}
		if row == 100 {
			early = few.View()
		}
	}
	same(t, "growing", few.View(), many.View())
	few.Seal()
	many.Seal()
	same(t, "sealed", few.View(), many.View())
	if early.SpanAttrs.Find("key-39", Int) == nil != (many.SpanAttrs.Find("key-39", Int) == nil) {
		t.Error("a View of row 100 lacks a column")
	}
	for c := range early.SpanAttrs.All() {
		if rows := c.Rows; len(rows) > 0 && rows[len(rows)-1] > 100 {
			t.Errorf("a View of row 100 has row %d in column %s", rows[len(rows)-1], c.Key)
		}
	}
	if lost := few.Losses().SharedColumns; lost < 40 || many.Losses() != (Losses{}) {
		t.Errorf("%d shared columns counted; without limits %+v", lost, many.Losses())
	}
}

type named struct {
	key string
	v   Value
}

func same(t *testing.T, when string, a, b *View) {
	t.Helper()
	columns := func(v *View) (out map[string]string) {
		out = map[string]string{}
		for c := range v.SpanAttrs.All() {
			name := fmt.Sprint(c.Key, c.Type)
			out[name] = fmt.Sprint(c.Rows, c.Codes, c.Nums)
			if f := v.SpanAttrs.Find(c.Key, c.Type); f == nil || fmt.Sprint(f.Rows, f.Codes, f.Nums) != out[name] {
				t.Errorf("%s: Find and All differ in column %s", when, name)
			}
		}
		return out
	}
	if got, want := columns(a), columns(b); !maps.Equal(got, want) {
		t.Errorf("%s: %d columns, want %d with the same rows", when, len(got), len(want))
	}
	for row := range uint32(a.Spans()) {
		var got, want []named
		for k, v := range a.SpanAttrs.Of(row) {
			got = append(got, named{k, v})
		}
		for k, v := range b.SpanAttrs.Of(row) {
			want = append(want, named{k, v})
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: row %d has %v, want %v", when, row, got, want)
		}
		for _, n := range want {
			first := want[slices.IndexFunc(want, func(o named) bool { return o.key == n.key })]
			if v, ok := a.SpanAttrs.Value(row, n.key); !ok || v != first.v {
				t.Fatalf("%s: Value of %s in row %d is %v, want %v", when, n.key, row, v, first.v)
			}
		}
		if _, ok := a.SpanAttrs.Value(row, "never"); ok || a.SpanAttrs.Count(row) != len(want) {
			t.Fatalf("%s: row %d: %d attributes", when, row, a.SpanAttrs.Count(row))
		}
	}
}

// TestWhatIsDroppedIsCounted goes past every limit by two.
func TestWhatIsDroppedIsCounted(t *testing.T) {
	t.Parallel()
	const most = 5
	table := NewTable()
	table.Limit(Limits{Attributes: most, Events: most, Links: most})
	fill := func(w *AttrWriter) {
		for i := range most + 2 {
			switch i % 3 {
			case 0:
				w.AddText(key(i), String, []byte("text"))
			case 1:
				w.AddNum(key(i), Int, 1)
			default:
				if !w.Again(key(i)) {
					w.AddEmpty(key(i))
				}
			}
		}
	}
	_, w := table.AddResource([]byte("r"), 0, 3, 0)
	fill(w)
	table.EndResource()
	_, w = table.AddScope([]byte("s"), 0, 0, 0, 0, 0)
	fill(w)
	table.EndScope()
	for span := range 2 {
		fill(table.AddSpan(&Span{TraceID: TraceID{1}, SpanID: SpanID{byte(span + 1)}, DroppedAttrs: uint32(4 * span), DroppedEvents: ^uint32(0)}))
		for i := range most + 2 {
			if w := table.AddEvent(uint64(i), []byte("event"), 0); (w == nil) != (i >= most) {
				t.Fatalf("event %d: writer %v", i, w)
			} else if w != nil {
				fill(w)
				table.EndEvent()
			}
			if w := table.AddLink(&Link{Dropped: 1}); (w == nil) != (i >= most) {
				t.Fatalf("link %d: writer %v", i, w)
			} else if w != nil {
				fill(w)
				table.EndLink()
			}
		}
		table.EndSpan()
	}
	v := table.View()
	got := []uint32{v.ResourceDropped[0], v.ScopeDropped[0], v.DroppedAttrs.Get(0), v.DroppedAttrs.Get(1), v.DroppedEvents.Get(1), v.DroppedLinks.Get(0), v.EventDropped.Get(9), v.LinkDropped.Get(0)}
	if want := []uint32{5, 2, 2, 6, ^uint32(0), 2, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("dropped %v, want %v", got, want)
	}
	if from, to := v.Events(1); to-from != most || v.SpanAttrs.Count(1) != most || v.EventAttrs.Count(from) != most {
		t.Errorf("%d events, %d attributes", to-from, v.SpanAttrs.Count(1))
	}
	want := Losses{Attributes: 2 + 2 + 2*2 + 2*2*2*most, Events: 4, Links: 4}
	if got := table.Losses(); got != want || got.Minus(want) != (Losses{}) {
		t.Errorf("losses %+v, want %+v", got, want)
	}
}
