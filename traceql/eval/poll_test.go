package eval

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/syntax"
)

// looks is a context that counts how often it is looked at, and that is done
// after some.
type looks struct {
	context.Context
	n, most int
}

func (l *looks) Err() error {
	if l.n++; l.n > l.most {
		return context.Canceled
	}
	return nil
}

// bigView holds one trace of n spans, in a tree eight wide, each with an event,
// a name of its own and a text.
func bigView(n, text int) *trace.View {
	t := trace.NewTable()
	resource, w := t.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("shop"))
	t.EndResource()
	scope, _ := t.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	t.EndScope()
	for i := range n {
		row := trace.Span{TraceID: trace.TraceID{15: 7}, Start: origin + uint64(i), End: origin + uint64(2*i), Scope: scope, Name: fmt.Appendf(nil, "work %d", i)}
		binary.BigEndian.PutUint64(row.SpanID[:], uint64(i+1))
		if i > 0 {
			binary.BigEndian.PutUint64(row.Parent[:], uint64(i/8+1))
		}
		w := t.AddSpan(&row)
		w.AddText([]byte("text"), trace.String, []byte(strings.Repeat("x", text)+fmt.Sprint(i)))
		w.AddNum([]byte("n"), trace.Int, uint64(i))
		t.EndSpan()
		t.AddEvent(origin, []byte("e"), 0)
		t.EndEvent()
	}
	return t.View()
}

// slowQueries take their time row by row.
var slowQueries = []string{
	`{ span.n * 2 + duration > 5 }`,
	`{ nestedSetLeft * 2 > 5 }`,
	`{ traceDuration > 1ns && nestedSetLeft > 3 }`,
	`{ event.timeSinceStart * 2 > 5 }`,
	`{ } | by(span.n)`,
	`{ } | by(span:id) | count() > 0`,
	`{ } | avg(span.n) > 1`,
	`{ name =~ ".*9.*x" }`,
	`{ span.text =~ "(x|y)*9" }`,
	`{ (span.n > 5 && nestedSetLeft > 0) || span:childCount > 3 }`,
	`{ } | rate() by(span.n, span:id)`,
	`{ } | quantile_over_time(duration, .1, .2) by(span:id)`,
	`{ nestedSetLeft > 0 } | sum_over_time(span.n)`,
	`{ } | compare({ span.n * 2 > 7 })`,
}

// ask runs a query over one trace as searches and metrics do.
func ask(ctx context.Context, t *testing.T, text string, v *trace.View) {
	t.Helper()
	q, err := syntax.Parse(text)
	if err == nil {
		err = check.Query(q)
	}
	if err != nil {
		t.Fatal(err)
	}
	if q.Metrics != nil {
		m, err := CompileMetrics(q)
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = m.Run(ctx, []*trace.View{v}, Window{Start: origin - 1, Step: 1 << 20, Slots: 3}, Bounds{})
		return
	}
	p, err := Compile(q)
	if err != nil {
		t.Fatal(err)
	}
	run := p.Start(ctx, []*trace.View{v})
	var whole Trace
	for number := range run.Candidates(0).Rows {
		whole.Load([]*trace.View{v}, v.TraceIDs[number])
		_, _ = run.Trace(&whole)
	}
}

// TestQueriesLookAtTheirContext counts rows and looks: never are there more than
// some thousand rows for a look, and after the query has been given up there is
// next to none, since every loop ends where it sees that.
func TestQueriesLookAtTheirContext(t *testing.T) {
	t.Parallel()
	const spans = 20_000
	v := bigView(spans, 100)
	for _, q := range slowQueries {
		all := &looks{Context: t.Context(), most: 1 << 60}
		ask(all, t, q, v)
		if least := spans / pollEvery; all.n < least {
			t.Errorf("%s: %d looks in %d rows, want at least %d", q, all.n, spans, least)
		}
		given := &looks{Context: t.Context(), most: 3}
		ask(given, t, q, v)
		if given.n > 3+12 {
			t.Errorf("%s: %d looks after the query was given up", q, given.n-3)
		}
	}
}

// TestStagesOverSeriesLookAtTheirContext has many stages behind a metrics function.
func TestStagesOverSeriesLookAtTheirContext(t *testing.T) {
	t.Parallel()
	const spans, stages = 5_000, 100
	v := bigView(spans, 1)
	for _, stage := range []string{" | topk(4999)", " >= 0"} {
		q := "{ } | count_over_time() by(span.n)" + strings.Repeat(stage, stages)
		all := &looks{Context: t.Context(), most: 1 << 60}
		ask(all, t, q, v)
		if least := spans * stages / pollEvery; all.n < least {
			t.Errorf("%s: %d looks in %d stages over %d series, want at least %d", stage, all.n, stages, spans, least)
		}
		given := &looks{Context: t.Context(), most: all.n / 2}
		ask(given, t, q, v)
		if more := given.n - given.most; more > 12 {
			t.Errorf("%s: %d looks after the query was given up", stage, more)
		}
	}
}

// TestLongTextCanBeLeft matches one text that takes a regular expression long.
func TestLongTextCanBeLeft(t *testing.T) {
	t.Parallel()
	v := bigView(1, 1<<13)
	const query = `{ span.text =~ ".*(x|xx){200}z" }`
	all := &looks{Context: t.Context(), most: 1 << 60}
	ask(all, t, query, v)
	if all.n < 50 {
		t.Errorf("%d looks in a text of %d bytes", all.n, 1<<13)
	}
	given := &looks{Context: t.Context(), most: 5}
	ask(given, t, query, v)
	if given.n > 20 {
		t.Errorf("%d looks after the query was given up", given.n)
	}
}

// TestPatternsMatchAlike compares the two ways to match a text.
func TestPatternsMatchAlike(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{"", "a+", ".*b.*", "(?i)ÄB*", "[^x]*", `\bword\b.*`, "(ab|a)(bc|c)?", "\\x{FFFD}+"} {
		re, size, err := check.Regexp(expr)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"", "a", "aab", "ab\nc", "äb", "xx", "word up", "abbc", "\xff\xfe", "é"} {
			p := newPattern(expr, re, size)
			want := p.match(text, nil)
			got := p.MatchReader(&polledText{text: text, each: 1, poll: &poll{ctx: t.Context()}})
			if got != want {
				t.Errorf("%q in %q: %t, want %t", expr, text, got, want)
			}
		}
	}
}
