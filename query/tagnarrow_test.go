package query_test

import (
	"fmt"
	"strings"
	"testing"

	"etude/query"
	"etude/trace"
)

// tellingTable names every attribute after where it is: span k has the key k,
// its events have k.e0 and so on, its links k.l0. Names tell so what was looked
// at. Spans a to e have 0, 2, 1, 1, 0 events and 0, 1, 2, 0, 1 links.
func tellingTable() *trace.Table {
	t := trace.NewTable()
	mark := func(w *trace.AttrWriter, format string, args ...any) {
		w.AddText(fmt.Appendf(nil, format, args...), trace.String, []byte("x"))
	}
	var scopes []uint32
	for _, key := range []string{"cluster", "region"} {
		resource, w := t.AddResource([]byte(key), 0, 0, 0)
		mark(w, "%s", key)
		t.EndResource()
		scope, _ := t.AddScope([]byte(key), resource, 0, 0, 0, 0)
		t.EndScope()
		scopes = append(scopes, scope)
	}
	for i, children := range [][2]int{{0, 0}, {2, 1}, {1, 2}, {1, 0}, {0, 1}} {
		key := string(rune('a' + i))
		w := t.AddSpan(&trace.Span{
			TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: byte(i + 1)}, Name: []byte(key), Start: origin, End: origin + uint64(i),
			Scope: scopes[min(i, 1)],
		})
		mark(w, "%s", key)
		for n := range children[0] {
			mark(t.AddEvent(origin, nil, 0), "%s.e%d", key, n)
			t.EndEvent()
		}
		for n := range children[1] {
			mark(t.AddLink(&trace.Link{}), "%s.l%d", key, n)
			t.EndLink()
		}
		t.EndSpan()
	}
	return t
}

func TestNarrowedNames(t *testing.T) {
	t.Parallel()
	e := query.New(views(tellingTable()), query.Options{})
	const all = "span:a,b,c,d,e resource:cluster,region event:b.e0,b.e1,c.e0,d.e0 link:b.l0,c.l0,c.l1,e.l0"
	for _, c := range []struct{ scope, q, want string }{
		{"", "", all},
		{"", "{ }", all},
		// Events and links side by side, spans with only either not at all, and
		// the resource's fixed column for whatever spans.
		{"", `{ name != "a" }`, "span:b,c resource:cluster,region event:b.e0,c.e0 link:b.l0,c.l0"},
		{"none", `{ name = "d" || name = "e" }`, "resource:cluster"},
		{"", `{ name = "a" }`, "span:a resource:cluster"},
		// One scope alone has no sides.
		{"event", `{ name != "a" }`, "event:b.e0,b.e1,c.e0,d.e0"},
		{"link", `{ name = "e" }`, "link:e.l0"},
		{"span", `{ name = "e" }`, "span:e"},
		{"resource", `{ name = "e" }`, "resource:cluster,region"},
		// Next to an attribute without scope no condition matters, and that on
		// the id of a span never does.
		{"", `{ .none = "x" && name = "a" }`, all},
		{"span", `{ name = "a" && (name = "a" || .none = nil) }`, "span:a,b,c,d,e"},
		{"span", `{ span:id = "00" && name = "a" }`, "span:a"},
		{"span", `{ span:id = "00" || name = "a" }`, "span:a,b,c,d,e"},
		{"span", `{ name = "nobody" }`, ""},
	} {
		names, err := e.TagNames(t.Context(), query.TagRequest{Scope: c.scope, Query: c.q})
		var got []string
		for _, s := range names {
			if s.Scope != "intrinsic" {
				got = append(got, s.Scope+":"+strings.Join(s.Tags, ","))
			}
		}
		if text := strings.Join(got, " "); err != nil || text != c.want {
			t.Errorf("scope %q, %s: %s (%v), want %s", c.scope, c.q, text, err, c.want)
		}
	}
}
