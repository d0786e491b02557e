package assert_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"etude/api"
	"etude/assert"
	"etude/internal/spantest"
	"etude/internal/testkit"
	"etude/labs/scenario"
	"etude/otlp"
	"etude/query"
	"etude/trace"
)

// backend is the API over spans that a test adds.
type backend struct{ table *trace.Table }

func (b backend) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	return testkit.Views{b.table.View()}.Snapshot(ctx)
}

func newBackend(t testing.TB, drawing string) (backend, *assert.API) {
	t.Helper()
	b := backend{trace.NewTable()}
	b.add(t, drawing)
	return b, assert.InProcess(api.New(api.Options{Engine: query.New(b, query.Options{})}))
}

func (b backend) add(t testing.TB, drawing string) {
	t.Helper()
	if strings.TrimSpace(drawing) == "" {
		return
	}
	drawn, err := scenario.Draw(drawing, scenario.Options{Now: time.Unix(1_000, 0), Rand: rand.New(rand.NewPCG(1, uint64(b.table.View().Spans())))})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := proto.Marshal(drawn.Data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := otlp.Append(b.table, payload, 0); err != nil {
		t.Fatal(err)
	}
}

// TestVerdicts reads testdata/verdicts.txt: a drawing of the spans received, a
// line "expect", lines of TraceQL or YAML, and the verdicts.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	spantest.Run(t, "testdata/verdicts.txt", func(t *testing.T, input string) string {
		drawing, text, ok := strings.Cut(input, "\nexpect")
		if !ok {
			t.Fatal("no line begins with expect")
		}
		parse := assert.ParseLines
		if strings.HasPrefix(text, ":") {
			parse, text = assert.ParseYAML, "expect"+text
		}
		spec, err := parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, source := newBackend(t, drawing)
		c := assert.NewChecker(spec, source)
		if err := c.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
		var early []assert.Outcome
		for _, v := range c.Verdicts() {
			early = append(early, v.Outcome)
		}
		if err := c.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "while spans arrive: %s\n", early)
		for _, v := range c.Verdicts() {
			b.WriteString(v.String() + "\n")
		}
		if !c.Decided() {
			t.Error("a verdict is open after the end")
		}
		return b.String()
	})
}

// TestSpecProblems reads testdata/problems.txt: a file of expectations, and the
// error.
func TestSpecProblems(t *testing.T) {
	t.Parallel()
	spantest.Run(t, "testdata/problems.txt", func(t *testing.T, input string) string {
		name, text, _ := strings.Cut(input, "\n")
		_, err := assert.Parse(name, []byte(text))
		if err == nil {
			return "no error"
		}
		return err.Error()
	})
}

func TestOneDocument(t *testing.T) {
	t.Parallel()
	if _, err := assert.ParseYAML([]byte("expect: ['{ }']\n---\nexpect: ['{ }']\n")); err == nil || !strings.Contains(err.Error(), "second document") {
		t.Errorf("two documents: %v", err)
	}
}

// TestArriving: a verdict is decided as soon as spans allow, and not before.
func TestArriving(t *testing.T) {
	t.Parallel()
	spec, err := assert.ParseLines([]byte("{ name = \"b\" }\n! { status = error }\n=1 { name = \"a\" }\n>=2 { name = \"a\" }"))
	if err != nil {
		t.Fatal(err)
	}
	b, source := newBackend(t, "")
	c := assert.NewChecker(spec, source)
	for _, step := range []struct{ drawing, want string }{
		{"", "open open open open"},
		{"trace t\n0ms 1ms s a", "open open open open"},
		{"trace t\n0ms 1ms s b", "pass open open open"},
		{"trace t\n0ms 1ms s a", "pass open fail pass"},
		{"trace t\n0ms 1ms s c error", "pass fail fail pass"},
	} {
		b.add(t, step.drawing)
		if err := c.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range c.Verdicts() {
			got = append(got, string(v.Outcome))
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("after %q: %s, want %s", step.drawing, got, step.want)
		}
	}
}

// TestWait: the time that expectations allow is that of the open ones.
func TestWait(t *testing.T) {
	t.Parallel()
	spec, err := assert.ParseYAML([]byte("expect:\n- {must: '{ }', within: 3s}\n- {must: '{ name = \"late\" }', within: 2s}"))
	if err != nil {
		t.Fatal(err)
	}
	_, source := newBackend(t, "trace t\n0ms 1ms s a")
	c := assert.NewChecker(spec, source)
	if got := c.Wait(); got != 3*time.Second {
		t.Errorf("waits %s at first, want 3s", got)
	}
	if err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.Wait(); got != 2*time.Second {
		t.Errorf("waits %s when the first is decided, want 2s", got)
	}
}

// TestShape reads testdata/shape.txt: a drawing, a line "now", another drawing;
// the shape of the first, and the difference.
func TestShape(t *testing.T) {
	t.Parallel()
	spantest.Run(t, "testdata/shape.txt", func(t *testing.T, input string) string {
		var shapes []assert.Shape
		for part := range strings.SplitSeq(input, "\nnow\n") {
			_, source := newBackend(t, part)
			found, err := source.Search(t.Context(), "{ }")
			if err != nil {
				t.Fatal(err)
			}
			traces, err := assert.Traces(t.Context(), source, found)
			if err != nil {
				t.Fatal(err)
			}
			shape := assert.ShapeOf(traces)
			again, err := assert.ReadShape([]byte(shape.String()))
			if err != nil || again.Difference(shape) != "" {
				t.Errorf("the text of a shape reads as another: %v", err)
			}
			shapes = append(shapes, shape)
		}
		if len(shapes) == 1 {
			return shapes[0].String()
		}
		return shapes[1].Difference(shapes[0])
	})
}

func TestReadShapeRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	if _, err := assert.ReadShape([]byte("expect: []\n")); err == nil || !strings.Contains(err.Error(), "--update") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}

// TestBackendErrors: what the backend says about a query reaches the caller.
func TestBackendErrors(t *testing.T) {
	t.Parallel()
	refusing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too many queries", http.StatusTooManyRequests)
	})
	aborting := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	nonsense := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x0a\xff")) })
	for _, c := range []struct {
		handler http.Handler
		want    string
	}{{refusing, "429: too many queries"}, {aborting, "cut off"}, {nonsense, "read"}} {
		source := assert.InProcess(c.handler)
		if _, err := source.Search(t.Context(), "{ }"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("search: got %v, want %q", err, c.want)
		}
		if _, err := source.Trace(t.Context(), "1"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("trace: got %v, want %q", err, c.want)
		}
	}
}

func FuzzParseYAML(f *testing.F) {
	seed(f, "testdata/verdicts.txt")
	seed(f, "testdata/problems.txt")
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := assert.ParseYAML([]byte(text))
		if err == nil {
			for _, e := range spec.Expect {
				if e.Title() == "" {
					t.Errorf("an expectation without a title in %q", text)
				}
			}
		}
	})
}

func FuzzParseLines(f *testing.F) {
	seed(f, "testdata/verdicts.txt")
	f.Fuzz(func(t *testing.T, text string) { _, _ = assert.ParseLines([]byte(text)) })
}

func FuzzReadShape(f *testing.F) {
	f.Add("# etude shape 1: spans, their parents and counts; `etude test --update` writes this file\n\n1 trace\n  a b internal\n", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		was, err := assert.ReadShape([]byte(a))
		if err != nil {
			return
		}
		if now, err := assert.ReadShape([]byte(b)); err == nil && (now.Difference(was) == "") != (now.String() == was.String()) {
			t.Error("equal shapes differ, or different ones do not")
		}
	})
}

func seed(f *testing.F, file string) {
	_, cases := spantest.Cases(f, file)
	for _, c := range cases {
		if i := strings.Index(c.Input, "expect"); i >= 0 {
			f.Add(c.Input[i:])
		}
	}
}

// TestSchema: the schema that editors use is made from the types, and accepts
// what the parser accepts.
func TestSchema(t *testing.T) {
	t.Parallel()
	want, err := json.MarshalIndent(schemaOfSpec(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	file := "schema.json"
	if updating() {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != string(want) {
		t.Errorf("%s is not what the types say (%v); go test ./assert -update writes it", filepath.Base(file), err)
	}
	if !updating() && assert.Schema != string(want) {
		t.Error("the embedded schema is another")
	}
}
