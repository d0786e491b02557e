package trace

import "testing"

// TestLevels: what leads up from a span and down to its events and links agrees
// with what the Table was given.
func TestLevels(t *testing.T) {
	t.Parallel()
	table := NewTable()
	var scopes []uint32
	for _, name := range []string{"a", "b"} {
		resource, w := table.AddResource([]byte(name), 0, 0, 0)
		w.AddText([]byte("service.name"), String, []byte(name))
		table.EndResource()
		for _, library := range []string{"x", "y"} {
			scope, _ := table.AddScope([]byte(name+library), resource, 0, 0, 0, 0)
			table.EndScope()
			scopes = append(scopes, scope)
		}
	}
	const spans = 8
	for n := range spans {
		table.AddSpan(&Span{TraceID: TraceID{15: 1}, SpanID: SpanID{7: byte(n + 1)}, Scope: scopes[n%len(scopes)]})
		for range n % 3 {
			table.AddEvent(1, nil, 0)
			table.EndEvent()
			table.AddLink(&Link{})
			table.EndLink()
		}
		table.EndSpan()
	}
	v := table.View()
	for n := range uint32(spans) {
		scope := n % uint32(len(scopes))
		if got := [3]uint32{v.Up(SpanLevel, n), v.Up(ScopeLevel, n), v.Up(ResourceLevel, n)}; got != [3]uint32{n, scopes[scope], scope / 2} {
			t.Errorf("span %d leads up to %v", n, got)
		}
		for _, l := range []Level{EventLevel, LinkLevel} {
			from, to := v.Down(l, n)
			if to-from != n%3 {
				t.Errorf("span %d has %d rows at level %s, not %d", n, to-from, l, n%3)
			}
			for row := from; row < to; row++ {
				if v.Owners(l)[row] != n {
					t.Errorf("row %d of level %s belongs to span %d, not %d", row, l, v.Owners(l)[row], n)
				}
			}
		}
	}
	for l, want := range map[Level]int{SpanLevel: spans, ScopeLevel: 4, ResourceLevel: 2, EventLevel: 7, LinkLevel: 7} {
		if v.Count(l) != want {
			t.Errorf("level %s has %d rows, not %d", l, v.Count(l), want)
		}
		if below := l == EventLevel || l == LinkLevel; l.BelowSpans() != below {
			t.Errorf("level %s: below spans is %v", l, !below)
		}
	}
	if _, given := v.Attrs(ResourceLevel).Value(v.Up(ResourceLevel, 0), "service.name"); !given {
		t.Error("the resource of a span has no service name")
	}
}
