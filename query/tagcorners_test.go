package query_test

import (
	"fmt"
	"strings"
	"testing"

	"etude/query"
	"etude/trace"
)

// cornerTable: a resource whose only span hides its key, one without spans, and
// numbers that come again and again among more than are remembered as recent.
func cornerTable() *trace.Table {
	t := trace.NewTable()
	var scopes [3]uint32
	for i, key := range []string{"hidden", "shown", "unused"} {
		resource, w := t.AddResource([]byte(key), 0, 0, 0)
		w.AddText([]byte("key"), trace.String, []byte(key))
		t.EndResource()
		scopes[i], _ = t.AddScope([]byte(key), resource, t.Code([]byte("scope-"+key)), 0, 0, 0)
		t.EndScope()
	}
	for n := range 600 {
		s := trace.Span{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{6: byte(n >> 8), 7: byte(n + 1)}, Start: uint64(n), Scope: scopes[min(n, 1)]}
		w := t.AddSpan(&s)
		if w == nil {
			continue
		}
		if n == 0 {
			w.AddText([]byte("key"), trace.String, []byte("own"))
		}
		w.AddNum([]byte("n"), trace.Int, uint64(n/3))
		t.EndSpan()
	}
	return t
}

func TestTagValuesInCorners(t *testing.T) {
	t.Parallel()
	e := query.New(views(cornerTable()), query.Options{})
	for tag, want := range map[string]string{
		".key":                 "own shown",
		"resource.key":         "hidden shown",
		"span.key":             "own",
		"instrumentation:name": "scope-hidden scope-shown",
	} {
		if got := strings.Join(valuesOf(t, e, tag, query.TagRequest{}), " "); got != want {
			t.Errorf("%s: %s, want %s", tag, got, want)
		}
	}
	if got := valuesOf(t, e, "span.n", query.TagRequest{}); len(got) != 200 {
		t.Errorf("%d numbers, want 200", len(got))
	}
}

// rootTable has a trace for each text: its spans, in the order stored, "p" with a
// parent, "r" without, "l" without but with a link that names one. Spans at the
// same place have the same name, but for those with a parent.
func rootTable(traces ...string) *trace.Table {
	t := trace.NewTable()
	resource, _ := t.AddResource([]byte("r"), 0, 0, 0)
	t.EndResource()
	scope, _ := t.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	t.EndScope()
	for i, spans := range traces {
		for j, kind := range []byte(spans) {
			id := trace.TraceID{15: byte(i + 1)}
			s := trace.Span{TraceID: id, SpanID: trace.SpanID{7: byte(j + 1)}, Start: uint64(j), Scope: scope, Name: fmt.Appendf(nil, "root%d", j)}
			if kind == 'p' {
				s.Parent, s.Name = trace.SpanID{7: 99}, []byte("inner")
			}
			t.AddSpan(&s)
			if kind == 'l' {
				w := t.AddLink(&trace.Link{TraceID: id, SpanID: trace.SpanID{7: 99}})
				w.AddText([]byte("opentracing.ref_type"), trace.String, []byte("child_of"))
				t.EndLink()
			}
			t.EndSpan()
		}
	}
	return t
}

func TestRootNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tables source
		want   string
	}{
		"one root each":      {views(rootTable("rp", "pr")), "root0 root1"},
		"the last of two":    {views(rootTable("rprp", "r")), "root0 root2"},
		"no root":            {views(rootTable("pp", "r")), " root0"},
		"a link to a parent": {views(rootTable("rl", "l", "r")), " root0"},
		"in another table":   {views(rootTable("r", "pp"), rootTable("p", "ppr")), "root0 root2"},
		"stored twice":       {views(rootTable("rr"), rootTable("rr")), "root1"},
		"the later table's":  {views(rootTable("r", "r"), rootTable("ppr")), "root0 root2"},
	} {
		e := query.New(c.tables, query.Options{})
		got := strings.Join(valuesOf(t, e, "rootName", query.TagRequest{}), " ")
		want := []string{}
		for _, v := range wantValues(t, c.tables, "rootName", "") {
			want = append(want, v.Value)
		}
		if oracle := strings.Join(want, " "); got != c.want || oracle != c.want {
			t.Errorf("%s: %q, of whole traces %q, want %q", name, got, oracle, c.want)
		}
	}
}
