package eval

import (
	"testing"

	"etude/trace"
	"etude/traceql/evaltest"
)

const temperaments = `trace a
  oven bakery server ok 0s 10ms labels=["a","b"] shelf="top" heat=3
`

// TestMatchedElementsAreReported: rule T13.
func TestMatchedElementsAreReported(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`{ span.labels = "b" }`:                      "b",
		`{ span.labels != "b" }`:                     "a",
		`{ span.labels =~ "a|b" }`:                   "[a, b]",
		`{ } | select(span.labels)`:                  "[a, b]",
		`{ span.labels = "a" || span.labels = "b" }`: "[a, b]",
	} {
		views := evaltest.Forest(t, temperaments, 1)
		run := start(t, compile(t, query), t.Context(), evaltest.Sources(views)[0], nil)
		if sets, err := run.Trace(load(t, run, trace.TraceID{15: 'a'})); err != nil || len(sets) != 1 {
			t.Fatalf("%s: %d sets, %v", query, len(sets), err)
		}
		attrs := run.Attrs(0)
		if len(attrs) != 1 || attrs[0].Key != "labels" || attrs[0].Value.Text() != want {
			t.Errorf("%s reports %v, want labels %s", query, attrs, want)
		}
	}
}

// TestTextIsNoNumber: rule T8.
func TestTextIsNoNumber(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`{ span.shelf + 1 = span.shelf + 2 }`: "a: oven",
		`{ span.heat + 1 = span.heat + 2 }`:   "-",
		`{ span.nope + 1 = span.nope + 2 }`:   "-",
		`{ } | max(span.shelf + 1) > 0`:       "-",
	} {
		if got := answer(t, evaltest.Forest(t, temperaments, 1), query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
