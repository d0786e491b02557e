package syntax_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"etude/traceql/syntax"
)

var update = flag.Bool("update", false, "write what the parser says into the test files")

// TestParse reads testdata/*.txt: chunks divided by lines of "---", each a query,
// then lines that begin with "=>" and hold the canonical text, in which every
// compound operand has its parentheses and so shows the tree, or with "!!" and
// hold the error. Lines of "#" before a query are remarks.
func TestParse(t *testing.T) {
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
	var out []string
	for _, chunk := range strings.Split(string(text), "---\n") {
		remarks, query, want := splitChunk(chunk)
		got := outcome(query)
		if !*update && got != want {
			t.Errorf("%s:\n%s\n got %s\nwant %s", file, query, got, want)
		}
		out = append(out, remarks+query+"\n"+got+"\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "---\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func splitChunk(chunk string) (remarks, query, want string) {
	var queryLines, wantLines []string
	for line := range strings.Lines(chunk) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#") && len(queryLines) == 0:
			remarks += line + "\n"
		case strings.HasPrefix(line, "=>"), strings.HasPrefix(line, "!!"):
			wantLines = append(wantLines, line)
		default:
			queryLines = append(queryLines, line)
		}
	}
	return remarks, strings.Join(queryLines, "\n"), strings.Join(wantLines, "\n")
}

func outcome(query string) string {
	q, err := syntax.Parse(query)
	if err != nil {
		return "!! " + err.Error()
	}
	return "=> " + q.String()
}

// TestPrintIsStable checks that the canonical text is read as the same tree.
func TestPrintIsStable(t *testing.T) {
	t.Parallel()
	for _, query := range recordedQueries(t) {
		checkStable(t, query)
	}
}

func checkStable(t *testing.T, query string) {
	q, err := syntax.Parse(query)
	if err != nil {
		return
	}
	text := q.String()
	again, err := syntax.Parse(text)
	if err != nil {
		t.Fatalf("%q prints as %q, which does not parse: %v", query, text, err)
	}
	if again.String() != text {
		t.Fatalf("%q prints as %q, and that as %q", query, text, again)
	}
}

// recordedQueries are the queries of the conformance cases.
func recordedQueries(t testing.TB) (queries []string) {
	f, err := os.Open("../../testdata/conformance/small.cases.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c struct{ Params map[string]string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if q := c.Params["q"]; q != "" {
			queries = append(queries, q)
		}
	}
	if len(queries) < 300 {
		t.Fatalf("%d recorded queries, want hundreds", len(queries))
	}
	return queries
}

func TestNestingIsBounded(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"{ " + strings.Repeat("(", 5000) + "true" + strings.Repeat(")", 5000) + " }",
		"{ " + strings.Repeat("!", 5000) + "true }",
		"{ " + strings.Repeat("- ", 5000) + "1 = 1 }",
		"{ 1" + strings.Repeat(" ^ 1", 5000) + " = 1 }",
		strings.Repeat("(", 5000) + "{ }" + strings.Repeat(")", 5000),
		strings.Repeat("(", 5000) + "count()" + strings.Repeat(")", 5000) + " > 1",
	} {
		if _, err := syntax.Parse(query); err == nil || !strings.Contains(err.Error(), "nested deeper") {
			t.Errorf("%.20s...: got %v, want an error about nesting", query, err)
		}
	}
	if _, err := syntax.Parse("{ true" + strings.Repeat(" && true", 10000) + " }"); err != nil {
		t.Errorf("a long chain is not deep: %v", err)
	}
	if _, err := syntax.Parse("{ " + strings.Repeat(" ", syntax.MaxLength) + "}"); err == nil {
		t.Error("a query longer than MaxLength was accepted")
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`{ span.a = 1 && name =~ }`:            "span.a = 1",
		`{ resource.cluster = "x" && name = }`: "resource.cluster = `x`",
		`{ .a = "x`:                            "",
		`{`:                                    "",
		`{ span.a = 1 `:                        "span.a = 1",
		`{ span.a = 1 } && { name = "b" }`:     "span.a = 1; name = `b`",
		`nonsense`:                             "",
	} {
		var got []string
		for _, f := range syntax.Conditions(query) {
			got = append(got, syntax.FieldText(f))
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s: got %q, want %q", query, text, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, q := range recordedQueries(f) {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		checkStable(t, query)
		syntax.Conditions(query)
	})
}

// TestPositionsCountCharacters looks at where an error is said to be.
func TestPositionsCountCharacters(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`{ name = "é" && foo }`:               "line 1, col 17",
		"{ name = `é\né`\n\t&& \"ü\" = foo }": "line 3, col 11",
		"/* é\n é */ { .é = `x` && foo = 1 }": "line 2, col 21",
		"{ } // é\n| é":                       "line 2, col 3",
		"{ .\"a\nb\"ü = 1 && foo = 1 }":       "line 2, col 12",
	} {
		_, err := syntax.Parse(query)
		if err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("%q: %v, want it at %s", query, err, want)
		}
	}
}

// BenchmarkParseLong parses the longest lines: their cost follows their length.
func BenchmarkParseLong(b *testing.B) {
	for _, n := range []int{syntax.MaxLength / 16, syntax.MaxLength / 4, syntax.MaxLength} {
		query := "{ " + strings.Repeat("true && ", n/8-2) + "true }"
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(len(query)))
			for b.Loop() {
				if _, err := syntax.Parse(query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := syntax.Parse(`{ resource.service.name = "checkout" && name =~ "GET.*" && duration > 100ms } | by(span.http.route) | count() > 3`); err != nil {
			b.Fatal(err)
		}
	}
}
