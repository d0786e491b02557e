package query_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"etude/query"
	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/eval"
	"etude/traceql/evaltest"
	"etude/traceql/syntax"
)

// motleyTable has what makes values hard: keys of several types, on spans and
// resources alike, a resource and a scope without spans, spans that are split
// over tables, events, links, and messages on some spans only.
func motleyTable(seed uint64, arrays bool) *trace.Table {
	t := trace.NewTable()
	r := rand.New(rand.NewPCG(7, seed))
	var scopes []uint32
	for i := range 5 {
		resource, w := t.AddResource(fmt.Append(nil, i), 0, 0, 0)
		w.AddText([]byte("service.name"), trace.String, fmt.Appendf(nil, "service-%d", (uint64(i)+seed)%7))
		if i%2 == 0 {
			w.AddText([]byte("both"), trace.String, fmt.Appendf(nil, "resource-%d", i))
		}
		t.EndResource()
		scope, w := t.AddScope(fmt.Append(nil, i), resource, t.Code(fmt.Appendf(nil, "scope-%d", i)), t.Code([]byte("v1")), 0, 0)
		w.AddText([]byte("lang"), trace.String, fmt.Appendf(nil, "lang-%d", i))
		t.EndScope()
		scopes = append(scopes, scope)
	}
	for n := range 300 {
		id := byte(r.IntN(60))
		s := trace.Span{
			TraceID: trace.TraceID{14: byte(seed % 3), 15: id}, SpanID: trace.SpanID{6: byte(seed), 7: byte(n)}, Start: origin + uint64(n), End: origin + uint64(n+r.IntN(50)),
			Scope: scopes[r.IntN(len(scopes)-1)], Name: fmt.Appendf(nil, "name-%d", r.IntN(40)),
		}
		if n%3 == 0 {
			s.StatusMessage = fmt.Appendf(nil, "message-%d", r.IntN(4))
		}
		if r.IntN(4) > 0 {
			s.Parent = trace.SpanID{6: byte(seed), 7: byte(r.IntN(300))}
		}
		w := t.AddSpan(&s)
		if w == nil {
			continue
		}
		motleyAttrs(w, r, arrays)
		for range r.IntN(3) {
			w := t.AddEvent(s.Start, fmt.Appendf(nil, "event-%d", r.IntN(9)), 0)
			w.AddNum([]byte("n"), trace.Int, uint64(r.IntN(30)))
			t.EndEvent()
		}
		if r.IntN(5) == 0 {
			w := t.AddLink(&trace.Link{TraceID: s.TraceID, SpanID: trace.SpanID{7: byte(n)}})
			if r.IntN(3) == 0 {
				w.AddText([]byte("opentracing.ref_type"), trace.String, []byte("child_of"))
			}
			t.EndLink()
		}
		t.EndSpan()
	}
	return t
}

func motleyAttrs(w *trace.AttrWriter, r *rand.Rand, arrays bool) {
	mixed := []byte("mixed")
	switch r.IntN(6) {
	case 0:
		w.AddText(mixed, trace.String, fmt.Append(nil, r.IntN(100)))
	case 1:
		w.AddNum(mixed, trace.Int, uint64(r.IntN(100)))
	case 2:
		w.AddNum(mixed, trace.Double, math.Float64bits(float64(r.IntN(100))/8))
	case 3:
		w.AddNum(mixed, trace.Bool, uint64(r.IntN(2)))
	case 4:
		w.AddText(mixed, trace.Bytes, []byte("bytes"))
	case 5:
		if arrays { // AnyValue{array_value: {values: [{string_value: "a"}, {string_value: "bX"}]}}
			w.AddText(mixed, trace.Array, []byte("\x2a\x0b\x0a\x03\x0a\x01a\x0a\x04\x0a\x02b"+string(rune('0'+r.IntN(3)))))
		}
	}
	if r.IntN(3) == 0 {
		w.AddText([]byte("both"), trace.String, fmt.Appendf(nil, "span-%d", r.IntN(5)))
	}
}

func motleyViews() source {
	return views(motleyTable(1, true), motleyTable(2, false), motleyTable(4, false), motleyTable(5, true))
}

// wantValues asks package eval alone, View by View.
func wantValues(t *testing.T, s source, tag, q string) []query.TagValue {
	t.Helper()
	f, err := syntax.ParseField(tag)
	if err != nil {
		t.Fatal(err)
	}
	var conds []syntax.Field
	for _, c := range syntax.Conditions(q) {
		if err := check.Condition(c); err != nil {
			t.Fatal(err)
		}
		conds = append(conds, c)
	}
	types := map[eval.Type]string{eval.String: "string", eval.Int: "int", eval.Float: "float", eval.Bool: "bool"}
	found := map[query.TagValue]bool{}
	fields := []syntax.Field{f}
	if a, ok := f.(*syntax.AttrRef); ok && a.Scope == syntax.ScopeNone {
		fields = append(fields, &syntax.AttrRef{Attr: syntax.Attr{Scope: syntax.ScopeInstrumentation, Name: a.Name}})
	}
	for i := range len(s) * len(fields) {
		i, f := i/len(fields), fields[i%len(fields)]
		p := eval.CompileValue(conds, f)
		run := p.Start(t.Context(), eval.NewParts(t.Context(), evaltest.Snapshot(t, s), func() (rows, whole *trace.Need) { return p.RowNeed(), p.Need() }, eval.Keep{}))
		if err := run.OpenWhole(i); err != nil {
			t.Fatal(err)
		}
		rows, err := run.Rows(i)
		if err != nil {
			t.Fatal(err)
		}
		_ = run.Values(i, rows, func(v eval.Value) { found[query.TagValue{Type: types[v.Type], Value: v.Text()}] = true })
	}
	out := []query.TagValue{}
	for v := range found {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b query.TagValue) int {
		return strings.Compare(a.Type+" "+a.Value, b.Type+" "+b.Value)
	})
	return out
}

var motleyTags = []string{
	"resource.service.name", ".service.name", "span.mixed", ".mixed", ".both", "span.both", "resource.both", ".lang", "instrumentation.lang",
	"event.n", "link.opentracing.ref_type", "name", "statusMessage", "event:name", "instrumentation:name", "instrumentation:version",
	"rootName", "rootServiceName", "span:childCount", "span.none",
}

func TestTagValuesAreThoseOfTheLanguage(t *testing.T) {
	t.Parallel()
	s := motleyViews()
	e := query.New(s, query.Options{})
	for _, tag := range motleyTags {
		for _, q := range []string{
			"", `{ resource.service.name = "service-3" }`, `{ name = "name-7" }`, `{ span.mixed > 50 }`, `{ name = "nobody" }`,
			`{ statusMessage = "message-1" || rootName = "name-3" }`,
		} {
			want := wantValues(t, s, tag, q)
			for range 2 { // the second time from lists
				got, err := e.TagValues(t.Context(), tag, query.TagRequest{Query: q})
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s with %q (%v):\ngot  %v\nwant %v", tag, q, err, got, want)
				}
			}
		}
	}
}

// TestTagLimits: as many as asked for, of those there are, the same ones whoever
// has asked for how many before.
func TestTagLimits(t *testing.T) {
	t.Parallel()
	s := motleyViews()
	used := query.New(s, query.Options{})
	for _, tag := range motleyTags {
		all := wantValues(t, s, tag, "")
		for _, limit := range []int{1, 7, 3, 70, 1000} {
			req := query.TagRequest{Limit: limit}
			got, err := used.TagValues(t.Context(), tag, req)
			if err != nil || len(got) != min(limit, len(all)) {
				t.Errorf("%s limit %d: %d values of %d (%v)", tag, limit, len(got), len(all), err)
			}
			if slices.ContainsFunc(got, func(v query.TagValue) bool { return !slices.Contains(all, v) }) {
				t.Errorf("%s limit %d: %v are not all among %v", tag, limit, got, all)
			}
			if again, _ := query.New(s, query.Options{}).TagValues(t.Context(), tag, req); !reflect.DeepEqual(got, again) {
				t.Errorf("%s limit %d: %v, and of a new engine %v", tag, limit, got, again)
			}
		}
	}
}

func valuesOf(t *testing.T, e *query.Engine, tag string, req query.TagRequest) (out []string) {
	t.Helper()
	values, err := e.TagValues(t.Context(), tag, req)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		out = append(out, v.Value)
	}
	return out
}

func TestTagBounds(t *testing.T) {
	t.Parallel()
	var tables []*trace.Table
	for i := range 8 {
		table := trace.NewTable()
		for j := range 10 {
			user := fmt.Sprintf("%d-%d-%s", i, j, strings.Repeat("x", 25_000))
			add(table, span{trace: byte(10*i + j + 1), id: 1, service: "a", name: fmt.Sprint(j), start: uint64(i), end: uint64(i) + 1, user: user})
		}
		tables = append(tables, table)
	}
	add(tables[7], span{trace: 200, id: 1, service: "a", name: "0", end: 1, user: strings.Repeat("y", 1_000_001)})
	e := query.New(views(tables...), query.Options{})
	for range 2 {
		users := valuesOf(t, e, "span.user.id", query.TagRequest{})
		bytes := 0
		for _, u := range users {
			bytes += len("string") + len(u)
		}
		if bytes > 1_000_000 || bytes < 970_000 {
			t.Errorf("%d values of %d bytes, want almost 1,000,000 bytes", len(users), bytes)
		}
		if !strings.HasPrefix(users[0], "4-1-") || !strings.HasPrefix(users[len(users)-1], "7-9-") {
			t.Errorf("values from %.4s to %.4s, want the newest, from 4-1- to 7-9-", users[0], users[len(users)-1])
		}
		texts, err := e.TagTexts(t.Context(), "user.id", query.TagRequest{})
		if err != nil || !slices.Equal(texts, users) {
			t.Errorf("the first form of the API has %d values (%v), the second %d", len(texts), err, len(users))
		}
	}
	if got := strings.Join(valuesOf(t, e, "name", query.TagRequest{Limit: 3}), " "); got != "0 8 9" {
		t.Errorf("limit 3: %s, want those of the spans stored last", got)
	}
	add(tables[0], span{trace: 201, id: 1, service: "a", name: "rare", end: 1})
	e = query.New(views(tables...), query.Options{})
	for stale, found := range map[int]bool{0: true, 5: false, 60: false, 61: true} {
		if got := slices.Contains(valuesOf(t, e, "name", query.TagRequest{MaxStale: stale}), "rare"); got != found {
			t.Errorf("MaxStale %d finds a name behind 60 known ones: %v", stale, got)
		}
	}
}

func TestTagNameBounds(t *testing.T) {
	t.Parallel()
	e := query.New(motleyViews(), query.Options{})
	for limit, want := range map[int]string{
		0: "span:both,mixed resource:both,service.name event:n link:opentracing.ref_type instrumentation:lang",
		1: "span:mixed resource:service.name event:n link:opentracing.ref_type instrumentation:lang",
	} {
		names, err := e.TagNames(t.Context(), query.TagRequest{Limit: limit})
		var got []string
		for _, s := range names {
			if s.Scope != "intrinsic" {
				got = append(got, s.Scope+":"+strings.Join(s.Tags, ","))
			}
		}
		if text := strings.Join(got, " "); err != nil || text != want {
			t.Errorf("limit %d: %s (%v), want %s", limit, text, err, want)
		}
	}
}
