package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"etude/internal/testkit"
	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/eval"
	"etude/traceql/evaltest"
	"etude/traceql/syntax"
)

var update = flag.Bool("update", false, "write what the evaluator says into the test files")

// TestMetrics reads testdata: traces as in TestEval, a line of "===",
// and queries, each followed by its series on indented lines, labels and
// value@second. "window START STEP SLOTS" or "instant START LENGTH" holds for
// the queries after it. Every query is asked of one table and of three, by
// column and trace by trace.
func TestMetrics(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			runMetricsScript(t, file)
		})
	}
}

func runMetricsScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, script, _ := strings.Cut(string(text), "===\n")
	out := head + "===\n"
	var w Window
	for line := range strings.Lines(script) {
		switch fields := strings.Fields(line); {
		case strings.HasPrefix(line, " "): // written again below
			continue
		case line[0] == '#':
		case fields[0] == "window":
			n, err := strconv.Atoi(fields[3])
			if err != nil {
				t.Fatal(err)
			}
			w = Window{Start: evaltest.Origin + uint64(evaltest.Duration(t, fields[1])), Step: uint64(evaltest.Duration(t, fields[2])), Slots: n}
		case fields[0] == "instant":
			w = Window{Start: evaltest.Origin + uint64(evaltest.Duration(t, fields[1])), Step: uint64(evaltest.Duration(t, fields[2])), Slots: 1, Instant: true}
		default:
			line = strings.TrimSpace(line) + "\n" + everyWay(t, head, strings.TrimSpace(line), w)
		}
		out += line
	}
	if *update {
		if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if out != string(text) {
		t.Errorf("%s: got\n%s", file, firstDifference(out, string(text)))
	}
}

// firstDifference returns the lines around the first one that differs.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// run drives a query part by part.
func run(q *Query, ctx context.Context, src trace.Source, w Window, bounds Bounds) ([]Series, error) {
	snap, err := src.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	r := q.Start(ctx, eval.NewParts(ctx, snap, q.Need, eval.Keep{Memory: bounds.Memory}), w, bounds)
	if err := r.Gather(); err != nil {
		return nil, err
	}
	for view := range r.Parts() {
		p, err := r.Read(view)
		if err == nil {
			err = r.Add(p)
		}
		if err != nil {
			return nil, err
		}
	}
	return r.Series()
}

// purse is a Memory with a limit.
type purse struct{ left int64 }

type errTooMuch string

func (e errTooMuch) Error() string { return "too much at " + string(e) }

func (p *purse) Take(n int, at eval.Progress) error {
	if p.left -= int64(n); p.left >= 0 || n <= 0 {
		return nil
	}
	p.left += int64(n)
	return errTooMuch(at.String())
}

func (p *purse) Free(n int) { p.left += int64(n) }

func compileMetrics(t testing.TB, query string) *Query {
	q, err := syntax.Parse(query)
	if err == nil {
		err = check.Query(q)
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	m, err := Compile(q)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return m
}

// everyWay runs a query in all ways and checks that they agree.
func everyWay(t *testing.T, head, query string, w Window) (want string) {
	for _, tables := range []int{1, 3} {
		for _, fast := range []bool{true, false} {
			m := compileMetrics(t, query)
			m.rowwise = m.rowwise && fast
			got := seriesText(t, m, evaltest.Forest(t, head, tables), w)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s\nin %d tables, by column %v:\n%sin one by column:\n%s", query, tables, fast, got, want)
			}
		}
	}
	return want
}

func seriesText(t *testing.T, m *Query, views []*trace.View, w Window) (first string) {
	for i, src := range evaltest.Sources(views) {
		got := seriesTextFrom(t, m, src, w)
		if i > 0 && got != first {
			t.Errorf("parts of kind %d answer\n%s, the first\n%s", i, got, first)
		}
		first = got
	}
	return first
}

func seriesTextFrom(t *testing.T, m *Query, src trace.Source, w Window) (out string) {
	series, err := run(m, t.Context(), src, w, Bounds{Exemplars: 10})
	if err != nil {
		return "  error: " + err.Error() + "\n"
	}
	for _, s := range series {
		out += "  {"
		for i, l := range s.Labels {
			if i > 0 {
				out += ", "
			}
			out += l.Key + "=" + l.Value.Text()
			if l.Value.Type == eval.String {
				out = strings.TrimSuffix(out, l.Value.Text()) + strconv.Quote(l.Value.Str)
			}
		}
		out += "}"
		for _, x := range s.Samples {
			at := time.Duration(w.Start + uint64(x.Slot+1)*w.Step - evaltest.Origin)
			out += fmt.Sprintf(" %.9g@%g", x.Value, at.Seconds())
		}
		out += "\n"
	}
	return out
}

// TestRepeatedSpans checks that a span which a client sent again into a newer
// table is counted once.
func TestRepeatedSpans(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../eval/testdata/kitchen.txt")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "===\n")
	views := append(evaltest.Forest(t, head, 1), evaltest.Forest(t, head, 3)...)
	w := Window{Start: evaltest.Origin - 1e9, Step: 2e9, Slots: 1}
	for _, fast := range []bool{true, false} {
		m := compileMetrics(t, "{ } | count_over_time()")
		m.rowwise = fast
		if got := seriesText(t, m, views, w); got != "  {__name__=\"count_over_time\"} 13@1\n" {
			t.Errorf("by column %v: %s", fast, got)
		}
	}
}

func TestExemplars(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/tram.txt")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "===\n")
	views := evaltest.Forest(t, head, 1)
	w := Window{Start: evaltest.Origin - 10e9, Step: 10e9, Slots: 4}
	for query, want := range map[string]string{
		`{ status = error } | rate()`:                       "0:0.1 status=error; 2:0.1 status=error; 3:0.1 status=error",
		`{ span.grp = "y" } | max_over_time(duration)`:      "1:0.003 span.grp=y duration=3ms; 2:0.004 span.grp=y duration=4ms",
		`{ } | max_over_time(duration) by(span.grp) > 50ms`: `3:0.1 span.grp= duration=100ms`,
		`{ } | rate() > 0`:                                  "",
	} {
		m := compileMetrics(t, query)
		series, err := run(m, t.Context(), testkit.Views(views), w, Bounds{Exemplars: 40})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range series {
			for _, x := range s.Exemplars {
				line := fmt.Sprintf("%d:%g", x.Slot, x.Value)
				for _, a := range x.Attrs {
					line += " " + a.Key + "=" + a.Value.Text()
				}
				got = append(got, line)
			}
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: exemplars %q, want %q", query, strings.Join(got, "; "), want)
		}
	}
}

// TestMemory asks for more than a query may keep, and for just as much.
func TestMemory(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/tram.txt")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "===\n")
	w := Window{Start: evaltest.Origin - 10e9, Step: 10e9, Slots: 1000}
	for query, at := range map[string]string{
		`{ } | rate() by (span.grp)`:                       "at 8 series of 1000 samples",
		`{ } | min_over_time(duration) by (name, .grp)`:    "at 8 series of 1000 samples",
		`{ } | quantile_over_time(duration, .5)`:           "at 8 series of 1000 samples",
		`{ } | count() > 0 | rate() by (trace:id)`:         "at 11 series of 1000 samples",
		`{ } | compare({ status = error })`:                " series of 1001 samples",
		`{ } | count() > 0 | rate() by (traceDuration)`:    "at 11 series of 1000 samples",
		`{ } >> { } || { } | max_over_time(traceDuration)`: "at 1 series of 1000 samples",
	} {
		m := compileMetrics(t, query)
		views := evaltest.Forest(t, head, 1)
		fits := int64(0)
		for limit := int64(100); fits == 0; limit += limit / 4 {
			_, err := run(m, t.Context(), testkit.Views(views), w, Bounds{Memory: &purse{left: limit}})
			var tooMuch errTooMuch
			switch {
			case err == nil:
				fits = limit
			case !errors.As(err, &tooMuch):
				t.Fatalf("%s, %d bytes: %v", query, limit, err)
			case limit > 50_000 && !strings.Contains(err.Error(), at):
				t.Errorf("%s, %d bytes: %v, want %q", query, limit, err, at)
			}
		}
		if fits < 70_000 || fits > 20_000_000 {
			t.Errorf("%s fits into %d bytes", query, fits)
		}
	}
}

// TestEstimate holds the quantile to values worked out by hand: four spans in
// one bucket and two in another.
func TestEstimate(t *testing.T) {
	t.Parallel()
	buckets := []bucketCount{{2.048e-6, 4}, {1.073741824, 2}}
	for q, want := range map[float64]string{
		0: "1.21775e-06", .1: "1.21775e-06", .25: "1.44815e-06", .5: "1.72216e-06", .6: "2.048e-06",
		.75: "0.00148291", .9: "1.07374", 1: "1.07374",
	} {
		if got := fmt.Sprintf("%.6g", estimate(buckets, q)); got != want {
			t.Errorf("quantile %g is %s, want %s", q, got, want)
		}
	}
	if got := estimate(nil, .5); got != 0 {
		t.Errorf("quantile of nothing is %g", got)
	}
}

// FuzzMetrics runs whatever parses over a small forest, in all ways.
func FuzzMetrics(f *testing.F) {
	for _, pipeline := range []string{`{ }`, `{ kind = server } >> { status != ok }`, `{ nestedSetParent < 0 }`,
		`{ span.cups > 2 || .zone != nil }`, `{ } | by(name) | count() > 1`, `{ event.level = "info" } || { link.why = "dup" }`} {
		for _, stage := range []string{"rate()", "rate() by(.zone, rootName)", "min_over_time(span.cups) by(event:name)",
			"avg_over_time(traceDuration)", "quantile_over_time(duration, .5, .9) by(.zone) | topk(1)",
			"histogram_over_time(event:timeSinceStart)", "compare({ status = error || nestedSetParent < 0 }, 3)",
			"sum_over_time(span.temp) by(span.labels) != 0 | bottomk(2)", "count_over_time() by(span.mixed, instrumentation:name)"} {
			f.Add(pipeline + " | " + stage)
		}
	}
	text, err := os.ReadFile("../eval/testdata/kitchen.txt")
	if err != nil {
		f.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "===\n")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := syntax.Parse(query)
		if err != nil || q.Metrics == nil || check.Query(q) != nil {
			return
		}
		everyWay(t, head, query, Window{Start: evaltest.Origin - 20e6, Step: 20e6, Slots: 6})
	})
}

// TestMemoryOfParts asks many parts with room for the rows of a few at once.
func TestMemoryOfParts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/tram.txt")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "===\n")
	for _, query := range []string{`{ } | rate() by (span.grp)`, `{ } | count() > 0 | rate()`} {
		left := &purse{left: 1 << 30}
		w := Window{Start: evaltest.Origin - 10e9, Step: 10e9, Slots: 1000}
		q := compileMetrics(t, query)
		snap, err := testkit.Views(evaltest.Forest(t, head, 3)).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		r := q.Start(t.Context(), eval.NewParts(t.Context(), snap, q.Need, eval.Keep{Memory: left}), w, Bounds{Memory: left})
		if err := r.Gather(); err != nil {
			t.Fatal(err)
		}
		for view := range r.Parts() {
			p, err := r.Read(view)
			if err != nil || p == nil {
				t.Fatalf("%s: part %d: %v, %v", query, view, p, err)
			}
			held := left.left
			slots := int64(slotBytes * len(p.slots))
			p.free(&r.spans)
			if left.left < held+slots {
				t.Errorf("%s: part %d gives %d bytes back, want %d at least", query, view, left.left-held, slots)
			}
		}
	}
}
