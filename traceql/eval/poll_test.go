package eval

import (
	"context"
	"testing"

	"etude/internal/testkit"
	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/evaltest"
	"etude/traceql/syntax"
)

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
}

// ask runs a query over one trace as searches do.
func ask(ctx context.Context, t *testing.T, text string, v *trace.View) {
	t.Helper()
	q, err := syntax.Parse(text)
	if err == nil {
		err = check.Query(q)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(q)
	if err != nil {
		t.Fatal(err)
	}
	run := start(t, p, ctx, testkit.Views{v}, nil)
	if err := run.Open(0); err != nil {
		t.Fatal(err)
	}
	sure, _, _ := run.Candidates(0)
	for number := range Union(sure, nil).Rows {
		_, _ = run.Trace(load(t, run, v.TraceIDs[number]))
	}
}

// TestQueriesLookAtTheirContext counts rows and looks: never are there more than
// some thousand rows for a look, and after the query has been given up there is
// next to none, since every loop ends where it sees that.
func TestQueriesLookAtTheirContext(t *testing.T) {
	t.Parallel()
	const spans = 20_000
	v := evaltest.BigView(spans, 100)
	for _, q := range slowQueries {
		all := &evaltest.Polled{Context: t.Context(), Most: 1 << 60}
		ask(all, t, q, v)
		if least := spans / pollEvery; all.Polls() < least {
			t.Errorf("%s: %d looks in %d rows, want at least %d", q, all.Polls(), spans, least)
		}
		given := &evaltest.Polled{Context: t.Context(), Most: 3}
		ask(given, t, q, v)
		if given.Polls() > 3+12 {
			t.Errorf("%s: %d looks after the query was given up", q, given.Polls()-3)
		}
	}
}

// TestLongTextCanBeLeft matches one text that takes a regular expression long.
func TestLongTextCanBeLeft(t *testing.T) {
	t.Parallel()
	v := evaltest.BigView(1, 1<<13)
	const query = `{ span.text =~ ".*(x|xx){200}z" }`
	all := &evaltest.Polled{Context: t.Context(), Most: 1 << 60}
	ask(all, t, query, v)
	if all.Polls() < 50 {
		t.Errorf("%d looks in a text of %d bytes", all.Polls(), 1<<13)
	}
	given := &evaltest.Polled{Context: t.Context(), Most: 5}
	ask(given, t, query, v)
	if given.Polls() > 20 {
		t.Errorf("%d looks after the query was given up", given.Polls())
	}
}

// TestPatternsMatchAlike compares the two ways to match a text.
func TestPatternsMatchAlike(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{"", "a+", ".*b.*", "(?i)ÄB*", "[^x]*", `\bword\b.*`, "(ab|a)(bc|c)?", "\\x{FFFD}+",
		"(?i).*kelvin", "(?i)straSSe.*", "(?i).*İx", "(?i)(.*wORD){1,3} uP", "(?i:a+B).*", ".*(?i:W)ord.*"} {
		re, size, err := check.Regexp(expr)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"", "a", "aab", "ab\nc", "äb", "xx", "word up", "abbc", "\xff\xfe", "é",
			"\u212aelvin", "1 KELVIN", "kelvi", "stra\u017f\u017fe", "STRASSE 1", "straße", "ix", "\u0130X", "WORD Up", "word word up"} {
			p := newPattern(expr, re, size)
			want := p.match(text, nil)
			got := p.MatchReader(&polledText{text: text, each: 1, poll: &Poll{ctx: t.Context()}})
			if got != want {
				t.Errorf("%q in %q: %t, want %t", expr, text, got, want)
			}
		}
	}
}
