package query_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
)

// calls makes traces of web, which calls db and cache; number n of them starts n
// seconds after origin. The call to db takes 10 ms + slow.
func calls(first, n int, slow uint64) (spans []span) {
	const ms = 1_000_000
	for i := range n {
		id := byte(first + i)
		at := uint64(first+i) * 1000 * ms
		spans = append(spans,
			span{trace: id, id: 2, parent: 1, service: "db", name: "query", start: at + 5*ms, end: at + 15*ms + slow},
			span{trace: id, id: 3, parent: 1, service: "cache", name: "read", start: at + 15*ms + slow, end: at + 20*ms + slow},
			span{trace: id, id: 1, service: "web", name: "get", start: at, end: at + 25*ms + slow},
		)
	}
	return spans
}

// TestCompare compares traces, sets, and one trace with the usual: each names the
// call that was slowed down, and parts add up.
func TestCompare(t *testing.T) {
	t.Parallel()
	const ms = 1_000_000
	fast, slow := calls(1, 20, 0), calls(21, 10, 40*ms)
	odd := calls(41, 4, 900*ms) // of the same operation, and rarely so slow
	e := query.New(views(tableOf(fast...), tableOf(slow[:17]...), tableOf(append(slow[17:], odd...)...)), query.Options{})
	early := query.CompareSide{Query: "{ }", Start: origin, End: origin + 20_500*ms}
	late := query.CompareSide{Query: `{ name = "query" }`, Start: origin + 20_500*ms, End: origin + 30_500*ms}
	for name, c := range map[string]struct {
		before, after query.CompareSide
		traces        [2]int
		difference    float64
	}{
		"two traces":   {query.CompareSide{Trace: id(3)}, query.CompareSide{Trace: id(25)}, [2]int{1, 1}, 40 * ms},
		"two sets":     {early, late, [2]int{20, 10}, 40 * ms},
		"against sets": {early, query.CompareSide{Trace: id(30)}, [2]int{20, 1}, 40 * ms},
		// 33 others: between the quartiles are 12 fast ones and 5 slow ones.
		"against the usual": {query.CompareSide{Usual: true}, query.CompareSide{Trace: id(25)}, [2]int{17, 1}, 40*ms - 5.0/17*40*ms},
	} {
		r, err := e.Compare(t.Context(), query.CompareRequest{Before: c.before, After: c.after})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := [2]int{len(r.Before.Traces), len(r.After.Traces)}; got != c.traces {
			t.Errorf("%s: %d traces, want %d", name, got, c.traces)
		}
		top := r.Rows[r.Top()[0]]
		if top.Service != "db" || math.Abs(top.Own-c.difference) > 1 || math.Abs(r.Difference()-c.difference) > 1 {
			t.Errorf("%s: %s %s differs by %g ms of %g, want db by %g", name, top.Service, top.Name, top.Own/ms, r.Difference()/ms, c.difference/ms)
		}
		if len(r.Top()) != 1 {
			t.Errorf("%s: %d rows differ", name, len(r.Top()))
		}
	}
}

func id(n byte) trace.TraceID { return trace.TraceID{15: n} }

func TestCompareMistakes(t *testing.T) {
	t.Parallel()
	rootless := span{trace: 99, id: 2, parent: 1, service: "db", name: "query", start: 5, end: 10}
	e := query.New(views(tableOf(append(calls(1, 3, 0), rootless)...)), query.Options{})
	one := query.CompareSide{Trace: id(1)}
	for want, req := range map[string]query.CompareRequest{
		"before is empty":                               {After: one},
		"after: invalid TraceQL query":                  {Before: one, After: query.CompareSide{Query: "{ foo }"}},
		"usual is what one trace is compared with":      {Before: query.CompareSide{Usual: true}, After: query.CompareSide{Query: "{ }"}},
		"before: no trace has the id " + id(7).String(): {Before: query.CompareSide{Trace: id(7)}, After: one},
		"after: no trace matches { name = \"x\" }":      {Before: one, After: query.CompareSide{Query: `{ name = "x" }`}},
		"limit 1001":                        {Before: one, After: one, Limit: 1001},
		"rows 10001":                        {Before: one, After: one, Rows: 10001},
		"has not arrived, so its operation": {Before: query.CompareSide{Usual: true}, After: query.CompareSide{Trace: id(99)}},
		"before: no trace matches { trace:rootServ": {Before: query.CompareSide{Usual: true, Start: 1, End: 2}, After: one},
	} {
		_, err := e.Compare(t.Context(), req)
		var input *query.InputError
		if !errors.As(err, &input) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestCompareIsBounded keeps little more than the largest trace and the merged
// operations, however many traces there are, and ends at the limit.
func TestCompareIsBounded(t *testing.T) {
	t.Parallel()
	src := views(tableOf(calls(0, 250, 0)...))
	all := query.CompareSide{Query: "{ }"}
	for _, c := range []struct {
		memory int64
		fits   bool
	}{{500 << 10, true}, {1 << 10, false}} {
		e := query.New(src, query.Options{MaxMemory: c.memory})
		_, err := e.Compare(t.Context(), query.CompareRequest{Before: all, After: all, Limit: 250})
		if c.fits && err != nil || !c.fits && !errors.Is(err, query.ErrMemoryLimit) {
			t.Errorf("with %d bytes: %v", c.memory, err)
		}
		if used := e.Stats().Memory; used != 0 {
			t.Errorf("%d bytes are not given back", used)
		}
	}
	// From disk, a trace's columns are freed once it is merged: all of them together would not fit.
	large := append(calls(0, 250, 0), span{trace: 1, id: 9, parent: 1, service: "db", name: strings.Repeat("x", 400_000), start: 1000, end: 1001})
	cold := query.New(testkit.Cold{Views: testkit.Views(views(tableOf(large...)))}, query.Options{MaxMemory: 16 << 20})
	if _, err := cold.Compare(t.Context(), query.CompareRequest{Before: all, After: all, Limit: 250}); err != nil {
		t.Errorf("from disk: %v", err)
	}
	o := &told{}
	e := query.New(src, query.Options{Observer: o})
	if _, err := e.Compare(t.Context(), query.CompareRequest{Before: all, After: all}); err != nil {
		t.Fatal(err)
	}
	if got := o.take(); strings.Count(got, "results=") != 1 || !strings.HasSuffix(got, "spans=1200 results=400") {
		t.Errorf("reported: %s, want one query of 400 traces", got)
	}
}
