package compare_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"etude/query/compare"
	"etude/trace"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestCases reads testdata/*.txt. A file has cases with a line "# title", the
// traces before and after, and what the comparison must say. A line of a trace is
// "start end service name", indented by two spaces for each level, in ms.
func TestCases(t *testing.T) {
	t.Parallel()
	const path = "testdata/pairs.txt"
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n# ") {
		title, body, _ := strings.Cut(strings.TrimPrefix(block, "# "), "\n")
		before, rest, _ := strings.Cut(body, "--\n")
		after, want, _ := strings.Cut(rest, "==")
		c := compare.New(true)
		c.Before.Add(parse(t, before))
		c.After.Add(parse(t, after))
		got := render(c.Report())
		if want = strings.TrimSpace(want) + "\n"; got != want && !*update {
			t.Errorf("%s: got\n%swant\n%s", title, got, want)
		}
		fmt.Fprintf(&out, "# %s\n%s--\n%s==\n%s\n", title, before, after, got)
	}
	if *update {
		if err := os.WriteFile(filepath.FromSlash(path), []byte(strings.TrimSpace(out.String())+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const ms = 1_000_000

// parse reads a trace in the notation of TestCases.
func parse(t *testing.T, text string) (spans []compare.Span) {
	t.Helper()
	var stack []trace.SpanID
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " ")
		level := (len(line) - len(body)) / 2
		f := strings.Fields(body)
		if len(f) < 4 || level > len(stack) {
			t.Fatalf("bad line %q", line)
		}
		start, err1 := strconv.Atoi(f[0])
		end, err2 := strconv.Atoi(f[1])
		if err1 != nil || err2 != nil {
			t.Fatalf("bad times in %q", line)
		}
		s := compare.Span{ID: id(len(spans) + 1), Service: f[2], Name: f[3], Start: uint64(1000+start) * ms, End: uint64(1000+end) * ms}
		if stack = stack[:level]; level > 0 {
			s.Parent = stack[level-1]
		}
		stack = append(stack, s.ID)
		spans = append(spans, s)
	}
	return spans
}

func id(n int) trace.SpanID { return trace.SpanID{6: byte(n >> 8), 7: byte(n)} }

// render lists the rows that differ, and whether their sum is the whole.
func render(r *compare.Report) string {
	var b strings.Builder
	sum := r.OthersTime
	for _, row := range r.Rows {
		sum += row.Own + row.Overlap
	}
	fmt.Fprintf(&b, "%+g = %+g\n", r.Difference()/ms, sum/ms)
	if own := r.Rows[0].Own; own != 0 {
		fmt.Fprintf(&b, "no span %+g\n", own/ms)
	}
	for _, row := range r.Rows[1:] {
		fmt.Fprintf(&b, "%s%s %s", strings.Repeat("  ", row.Depth-1), row.Service, row.Name)
		switch {
		case row.Before == nil:
			b.WriteString(" new")
		case row.After == nil:
			b.WriteString(" gone")
		}
		if row.WasName != "" || row.WasService != "" {
			fmt.Fprintf(&b, " (was %s %s)", row.WasService, row.WasName)
		}
		if row.Own != 0 {
			fmt.Fprintf(&b, " own %+g", row.Own/ms)
		}
		if row.Overlap != 0 {
			fmt.Fprintf(&b, " overlap %+g", row.Overlap/ms)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func adds(t *testing.T, r *compare.Report) {
	t.Helper()
	sum := r.OthersTime
	for _, row := range r.Rows {
		sum += row.Own + row.Overlap
	}
	if math.Abs(sum-r.Difference()) > 1e-6*(1+r.Before+r.After) {
		t.Errorf("parts add up to %g, the whole is %g", sum, r.Difference())
	}
	if r.Others == 0 && math.Abs(r.Rows[0].Inside-r.Difference()) > 1e-6*(1+r.Before+r.After) {
		t.Errorf("inside of the first row: %g, the whole is %g", r.Rows[0].Inside, r.Difference())
	}
}
