package eval

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/evaltest"
	"etude/traceql/syntax"
)

var update = flag.Bool("update", false, "write what the evaluator says into the test files")

// TestEval reads testdata/*.txt: traces, a line of "===", and lines
//
//	query  =>  result
//
// [evaltest.Forest] says how traces are written.
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
		got := answer(t, evaltest.Forest(t, head, 1), query)
		if spread := answer(t, evaltest.Forest(t, head, 3), query); spread != got {
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
	var first string
	for i, src := range evaltest.Sources(views) {
		got := answerFrom(t, src, views, query)
		if i > 0 && got != first {
			t.Errorf("%s: parts of kind %d answer\n%s, the first\n%s", query, i, got, first)
		}
		first = got
	}
	return first
}

func answerFrom(t *testing.T, src trace.Source, views []*trace.View, query string) string {
	run := start(t, compile(t, query), t.Context(), src, nil)
	var out []string
	for _, id := range traceIDs(views) {
		tr := load(t, run, id)
		sets, err := run.Trace(tr)
		if err != nil {
			return "error: " + err.Error()
		}
		if len(sets) > 0 && !isCandidate(t, run, id) {
			t.Errorf("%s: trace %s has a result but is no candidate", query, id.Short())
		}
		for _, s := range sets {
			out = append(out, describe(tr, id, s))
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, "; ")
}

// start begins a Run over a source, with what the Program declares.
func start(t testing.TB, p *Program, ctx context.Context, src trace.Source, places *Places) *Run {
	t.Helper()
	needs := func() (rows, whole *trace.Need) {
		whole = p.Need()
		whole.Columns |= trace.Names // of describe
		return p.RowNeed(), whole
	}
	return p.Start(ctx, NewParts(ctx, evaltest.Snapshot(t, src), needs, Keep{Places: places}))
}

func load(t testing.TB, run *Run, id trace.TraceID) *Trace {
	t.Helper()
	var tr Trace
	if _, err := run.Load(&tr, id); err != nil {
		t.Fatal(err)
	}
	return &tr
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

// isCandidate asks the parts as a search does.
func isCandidate(t testing.TB, run *Run, id trace.TraceID) bool {
	for part := range run.parts.List() {
		if run.Skips(part) {
			continue
		}
		if err := run.Open(part); err != nil {
			t.Fatal(err)
		}
		sure, doubtful, err := run.Candidates(part)
		if err != nil {
			t.Fatal(err)
		}
		number, ok := run.View(part).FindTrace(id)
		if ok && sure != nil && sure.Has(number) {
			return true
		}
		if ok && doubtful != nil && doubtful.Has(number) {
			may, err := run.May(id)
			if err != nil {
				t.Fatal(err)
			}
			if may {
				return true
			}
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

// TestColumnsAgreeWithRows checks that the fast and the slow evaluator give the
// same answer for many conditions and every span.
func TestColumnsAgreeWithRows(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/kitchen.txt")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "===\n")
	views := evaltest.Forest(t, head, 2)
	decided := 0
	for _, query := range conditions() {
		for _, src := range evaltest.Sources(views) {
			run := start(t, compile(t, query), t.Context(), src, nil)
			for _, id := range traceIDs(views) {
				decided += compareEvaluators(t, run, id, query)
			}
		}
	}
	if decided == 0 {
		t.Fatal("no condition was decided by column")
	}
}

func compareEvaluators(t *testing.T, run *Run, id trace.TraceID, query string) (decided int) {
	tr := load(t, run, id)
	run.t = tr
	f := run.p.filters[0]
	for i, ref := range tr.Spans {
		fast := run.of(ref).mask(0).Has(ref.Row)
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
		one := answer(t, evaltest.Forest(t, head, 1), query)
		if three := answer(t, evaltest.Forest(t, head, 3), query); one != three {
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
