package eval

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/syntax"
)

var update = flag.Bool("update", false, "write what the evaluator says into the test files")

// TestEval reads testdata/*.txt: traces, a line of "===", and lines
//
//	query  =>  result
//
// A span stands on a line with its children indented below: name, service,
// kind, status, start and duration, then attributes key=value, of the resource
// with r:, of the scope with i:, events @name+offset(key=value,...) and links
// ^span(key=value,...). A name with ? has a parent that is not there.
//
// A result lists, for each trace, its spansets: names of spans and {attributes}.
// Every query is asked of one table and of each trace's spans spread over three.
func TestEval(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find test files: %v, %d found", err, len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			runFile(t, file)
		})
	}
}

func runFile(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, queries, ok := strings.Cut(string(text), "===\n")
	if !ok {
		t.Fatalf("%s has no line of ===", file)
	}
	out := head + "===\n"
	for line := range strings.Lines(queries) {
		line = strings.TrimSuffix(line, "\n")
		query, want, ok := strings.Cut(line, "  =>  ")
		if !ok || strings.HasPrefix(line, "#") {
			out += line + "\n"
			continue
		}
		got := answer(t, forest(t, head, 1), query)
		if spread := answer(t, forest(t, head, 3), query); spread != got {
			t.Errorf("%s\n%s in one table: %s\n  in three tables: %s", file, query, got, spread)
		}
		if !*update && got != want {
			t.Errorf("%s\n%s\n got %s\nwant %s", file, query, got, want)
		}
		out += query + "  =>  " + got + "\n"
	}
	if *update {
		if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func compile(t testing.TB, query string) *Program {
	q, err := syntax.Parse(query)
	if err == nil {
		err = check.Query(q)
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	p, err := Compile(q)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return p
}

// answer runs a query over all traces and checks that the candidates of the
// Views leave none out.
func answer(t *testing.T, views []*trace.View, query string) string {
	p := compile(t, query)
	run := p.Start(t.Context(), views)
	var out []string
	for _, id := range traceIDs(views) {
		var tr Trace
		tr.Load(views, id)
		sets, err := run.Trace(&tr)
		if err != nil {
			return "error: " + err.Error()
		}
		if len(sets) > 0 && !isCandidate(run, views, id) {
			t.Errorf("%s: trace %s has a result but is no candidate", query, id.Short())
		}
		for _, s := range sets {
			out = append(out, describe(&tr, id, s))
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, "; ")
}

func describe(tr *Trace, id trace.TraceID, s Spanset) string {
	text := string(id[15]) + ":"
	for _, i := range s.Spans {
		v := tr.View(tr.Spans[i])
		text += " " + v.Text(v.Name[tr.Spans[i].Row])
	}
	for _, a := range s.Attrs {
		text += " {" + a.Key + "=" + a.Value.Text() + "}"
	}
	return text
}

func isCandidate(run *Run, views []*trace.View, id trace.TraceID) bool {
	for i, v := range views {
		if number, ok := v.FindTrace(id); ok && run.Candidates(i).Has(number) {
			return true
		}
	}
	return false
}

func traceIDs(views []*trace.View) (ids []trace.TraceID) {
	for _, v := range views {
		for _, id := range v.TraceIDs {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, func(a, b trace.TraceID) int { return int(a[15]) - int(b[15]) })
	return ids
}

// forest builds tables from the text form. Trace x has the id ...x, a span the
// number of its line as id.
func forest(t testing.TB, text string, tables int) []*trace.View {
	all := make([]*trace.Table, tables)
	for i := range all {
		all[i] = trace.NewTable()
	}
	for _, lines := range tracesOf(text) {
		var parents []trace.SpanID // by depth
		for i, line := range lines.spans {
			fields := strings.Fields(line)
			depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
			parents = append(parents[:depth-1], spanID(lines.first+i))
			s := trace.Span{TraceID: trace.TraceID{15: lines.name}, SpanID: spanID(lines.first + i)}
			if depth > 1 {
				s.Parent = parents[depth-2]
			}
			addSpan(t, all[i*tables/len(lines.spans)], s, fields)
		}
	}
	views := make([]*trace.View, tables)
	for i, table := range all {
		views[i] = table.View()
	}
	return views
}

type traceText struct {
	name  byte
	first int // line number
	spans []string
}

func tracesOf(text string) (out []traceText) {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		n++
		switch {
		case strings.HasPrefix(line, "trace "):
			out = append(out, traceText{name: line[6], first: n + 1})
		case strings.TrimSpace(line) != "" && line[0] != '#':
			out[len(out)-1].spans = append(out[len(out)-1].spans, line)
		}
	}
	return out
}

func spanID(n int) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)<<8|0x11)
	return id
}

// origin is the time from which starts count.
const origin = uint64(1_700_000_000_000_000_000)

func addSpan(t testing.TB, table *trace.Table, s trace.Span, f []string) {
	name := strings.TrimPrefix(f[0], "?")
	if name != f[0] {
		s.Parent = trace.SpanID{0xff}
	}
	kind := slices.Index([]string{"unspecified", "internal", "server", "client", "producer", "consumer"}, f[2])
	status := slices.Index([]string{"unset", "ok", "error"}, f[3])
	s.Name, s.Kind, s.Status = []byte(name), uint8(kind), uint8(status)
	s.Start = origin + uint64(duration(t, f[4]))
	s.End = s.Start + uint64(duration(t, f[5]))
	resource, w := table.AddResource(s.SpanID[:], 0, 0, 0)
	if f[1] != "-" {
		addAttr(t, w, `service.name="`+f[1]+`"`)
	}
	addPrefixed(t, w, f[6:], "r:")
	table.EndResource()
	var sw *trace.AttrWriter
	s.Scope, sw = table.AddScope(s.SpanID[:], resource, table.Code([]byte("kettle")), 0, 0, 0)
	addPrefixed(t, sw, f[6:], "i:")
	table.EndScope()
	w = table.AddSpan(&s)
	for _, field := range f[6:] {
		if !strings.HasPrefix(field, "r:") && !strings.HasPrefix(field, "i:") && field[0] != '@' && field[0] != '^' {
			addAttr(t, w, field)
		}
	}
	for _, field := range f[6:] {
		addChild(t, table, s.Start, field)
	}
	table.EndSpan()
}

func addPrefixed(t testing.TB, w *trace.AttrWriter, fields []string, prefix string) {
	for _, field := range fields {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			addAttr(t, w, rest)
		}
	}
}

// addChild adds an event @name+offset(...) or a link ^line(...).
func addChild(t testing.TB, table *trace.Table, start uint64, field string) {
	if field[0] != '@' && field[0] != '^' {
		return
	}
	head, attrs, _ := strings.Cut(strings.TrimSuffix(field[1:], ")"), "(")
	var w *trace.AttrWriter
	if field[0] == '@' {
		name, offset, _ := strings.Cut(head, "+")
		w = table.AddEvent(start+uint64(duration(t, offset)), []byte(name), 0)
		defer table.EndEvent()
	} else {
		line, err := strconv.Atoi(head)
		if err != nil {
			t.Fatal(err)
		}
		w = table.AddLink(&trace.Link{TraceID: trace.TraceID{15: 'z'}, SpanID: spanID(line)})
		defer table.EndLink()
	}
	for _, a := range strings.FieldsFunc(attrs, func(r rune) bool { return r == ',' }) {
		addAttr(t, w, a)
	}
}

func duration(t testing.TB, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func addAttr(t testing.TB, w *trace.AttrWriter, field string) {
	key, value, ok := strings.Cut(field, "=")
	if !ok {
		t.Fatalf("attribute %q has no =", field)
	}
	if inner, ok := strings.CutPrefix(value, "["); ok {
		var array []byte
		for _, e := range strings.FieldsFunc(strings.TrimSuffix(inner, "]"), func(r rune) bool { return r == ',' }) {
			array = protowire.AppendBytes(protowire.AppendTag(array, 1, protowire.BytesType), encodeScalar(scalar(e)))
		}
		encoded := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), array)
		w.AddText([]byte(key), trace.Array, encoded)
		return
	}
	switch v := scalar(value); v.Type {
	case String:
		w.AddText([]byte(key), trace.String, []byte(v.Str))
	case Float:
		w.AddNum([]byte(key), trace.Double, math.Float64bits(v.Float))
	case Bool:
		w.AddNum([]byte(key), trace.Bool, uint64(v.Int))
	default:
		w.AddNum([]byte(key), trace.Int, uint64(v.Int))
	}
}

func scalar(text string) Value {
	if s, err := strconv.Unquote(text); err == nil {
		return textValue(s)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Value{Type: Int, Int: n}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return Value{Type: Float, Float: f}
	}
	return boolValue(text == "true")
}

func encodeScalar(v Value) []byte {
	switch v.Type {
	case String:
		return protowire.AppendString(protowire.AppendTag(nil, anyString, protowire.BytesType), v.Str)
	case Float:
		return protowire.AppendFixed64(protowire.AppendTag(nil, anyDouble, protowire.Fixed64Type), math.Float64bits(v.Float))
	case Bool:
		return protowire.AppendVarint(protowire.AppendTag(nil, anyBool, protowire.VarintType), uint64(v.Int))
	}
	return protowire.AppendVarint(protowire.AppendTag(nil, anyInt, protowire.VarintType), uint64(v.Int))
}

// TestColumnsAgreeWithRows checks that the fast and the slow evaluator give the
// same answer for many conditions and every span.
func TestColumnsAgreeWithRows(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/kitchen.txt")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "===\n")
	views := forest(t, head, 2)
	decided := 0
	for _, query := range conditions() {
		run := compile(t, query).Start(t.Context(), views)
		for _, id := range traceIDs(views) {
			decided += compareEvaluators(t, run, views, id, query)
		}
	}
	if decided == 0 {
		t.Fatal("no condition was decided by column")
	}
}

func compareEvaluators(t *testing.T, run *Run, views []*trace.View, id trace.TraceID, query string) (decided int) {
	var tr Trace
	tr.Load(views, id)
	run.t = &tr
	f := run.p.filters[0]
	for i, ref := range tr.Spans {
		fast := run.bind(ref.View).mask(0).Has(ref.Row)
		slow := f.cond.holds(run.at(int32(i)))
		if f.exact && fast != slow || !fast && slow {
			t.Errorf("%s: span %d of %c: by column %v, by row %v", query, i, id[15], fast, slow)
		}
		if f.exact {
			decided++
		}
	}
	return decided
}

// conditions combines fields, operators and literals.
func conditions() (out []string) {
	fields := []string{
		"name", "duration", "status", "kind", "statusMessage", "span:id", "span:parentID", "trace:id",
		"event:name", "event:timeSinceStart", "link:spanID", "instrumentation:name", "nestedSetLeft", "nestedSetParent", "rootName",
		"span.cups", "span.temp", "span.hot", "span.labels", "span.sizes", ".zone", "resource.zone",
		"resource.service.name", "event.level", "event.n", "link.why", "instrumentation.lang", "span.nope",
	}
	literals := []string{`"north"`, `"a"`, `"grind"`, `""`, "0", "-1", "3", "2.5", "40ms", "true", "error", "client", "nil"}
	for _, f := range fields {
		for _, lit := range literals {
			for _, op := range []string{"=", "!=", "<", ">=", "=~", "!~"} {
				for _, form := range []string{"{ %s %s %s }", "{ !(%s %s %s) }", "{ %s %s %s || span.cups > 2 }", `{ %s %s %s && event.level = "info" }`} {
					query := fmt.Sprintf(form, f, op, lit)
					if q, err := syntax.Parse(query); err == nil && check.Query(q) == nil {
						out = append(out, query)
					}
				}
			}
		}
	}
	return out
}

// FuzzEval runs whatever parses over a small forest.
func FuzzEval(f *testing.F) {
	text, err := os.ReadFile("testdata/kitchen.txt")
	if err != nil {
		f.Fatal(err)
	}
	head, queries, _ := strings.Cut(string(text), "===\n")
	for line := range strings.Lines(queries) {
		query, _, _ := strings.Cut(line, "  =>  ")
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := syntax.Parse(query)
		if err != nil || check.Query(q) != nil {
			return
		}
		one := answer(t, forest(t, head, 1), query)
		if three := answer(t, forest(t, head, 3), query); one != three {
			t.Errorf("%s\n in one table: %s\nin three tables: %s", query, one, three)
		}
	})
}

// TestDifferencesAreDocumented compares the headings of testdata/differences.txt
// with the rules of TraceQL in docs/tempo-differences.md.
func TestDifferencesAreDocumented(t *testing.T) {
	t.Parallel()
	var rules, headings []string
	_, section, _ := strings.Cut(readText(t, "../../docs/tempo-differences.md"), "## TraceQL\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		rule, _, _ := strings.Cut(strings.TrimPrefix(strings.ReplaceAll(line, `\|`, "|"), "| "), " | ")
		if strings.HasPrefix(line, "| ") && rule != "Rule" {
			rules = append(rules, rule)
		}
	}
	_, queries, _ := strings.Cut(readText(t, "testdata/differences.txt"), "===\n")
	for line := range strings.Lines(queries) {
		if heading, ok := strings.CutPrefix(line, "# "); ok {
			headings = append(headings, strings.TrimSpace(heading))
		}
	}
	if !slices.Equal(rules, headings) {
		t.Errorf("docs/tempo-differences.md has the rules\n%q\ntestdata/differences.txt\n%q", rules, headings)
	}
}

func readText(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
