package query_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
)

// coldKinds ask every kind of question, in each way that reads parts differently.
func coldKinds() map[string]func(context.Context, *query.Engine) error {
	kinds := map[string]func(context.Context, *query.Engine) error{
		"trace": func(ctx context.Context, e *query.Engine) error {
			_, err := e.Trace(ctx, trace.TraceID{15: 3}, 0)
			return err
		},
		"names": func(ctx context.Context, e *query.Engine) error {
			_, err := e.TagNames(ctx, query.TagRequest{Query: `{ name = "n1" }`})
			return err
		},
	}
	for _, tag := range []string{"resource.service.name", "name", "rootName", "span.user.id", ".user.id"} {
		for _, q := range []string{"", `{ rootName = "n1" }`} {
			kinds["values of "+tag+" "+q] = func(ctx context.Context, e *query.Engine) error {
				_, err := e.TagValues(ctx, tag, query.TagRequest{Query: q})
				return err
			}
		}
	}
	for _, q := range []string{"{ }", `{ name = "n1" }`, `{ name = "n1" } && { name = "n2" }`, `{ name = "n1" } >> { .user.id != nil }`, "{ } | by(name)", "{ rootName = `n1` }"} {
		kinds[q] = func(ctx context.Context, e *query.Engine) error {
			_, err := e.Search(ctx, query.Request{Query: q, Limit: 1000, Start: origin, End: origin + 200})
			return err
		}
	}
	for _, q := range []string{"{ } | rate() by(name)", "{ } | quantile_over_time(duration, .5)", `{ name = "n1" } >> { } | rate() by(rootName)`, "{ } | compare({ name = `n1` })"} {
		kinds[q] = func(ctx context.Context, e *query.Engine) error {
			_, err := e.Metrics(ctx, query.MetricsRequest{Query: q, Start: origin - 1, End: origin + 1000, Step: 100})
			return err
		}
	}
	return kinds
}

// coldViews are parts in which every trace lies in several.
func coldViews(rng *rand.Rand, parts, spans int) (views testkit.Views) {
	for range parts {
		t := trace.NewTable()
		for range spans {
			start := uint64(rng.IntN(1000))
			add(t, span{trace: byte(1 + rng.IntN(40)), id: byte(1 + rng.IntN(200)), service: "s", name: fmt.Sprint("n", rng.IntN(4)), start: start, end: start + uint64(rng.IntN(50)), user: fmt.Sprint(rng.IntN(3))})
		}
		views = append(views, t.View())
	}
	return views
}

// TestAPartThatDoesNotOpenIsTheError lets the first, second, ... part that a query
// opens fail.
func TestAPartThatDoesNotOpenIsTheError(t *testing.T) {
	t.Parallel()
	views := coldViews(rand.New(rand.NewPCG(1, 1)), 6, 60)
	broken := errors.New("the disk is on fire")
	for what, ask := range coldKinds() {
		failed := 0
		for most := 0; ; most++ {
			opened := make(chan struct{}, 10_000)
			src := testkit.Cold{Views: views, Warm: most % 2, Opening: func(context.Context, int) error {
				if opened <- struct{}{}; len(opened) > most {
					return broken
				}
				return nil
			}}
			err := ask(t.Context(), query.New(src, query.Options{MaxConcurrent: 4}))
			if len(opened) <= most && err == nil {
				break
			}
			if failed++; !errors.Is(err, broken) || !strings.Contains(err.Error(), "stored spans") {
				t.Fatalf("%s: opening part %d failed and the query said %v", what, most, err)
			}
		}
		if failed < 2 {
			t.Errorf("%s: opens %d parts, the test shows nothing", what, failed)
		}
	}
}

// TestNoPartIsOpenedAfterTheQueryWasGivenUp gives a query up while a part is opened.
func TestNoPartIsOpenedAfterTheQueryWasGivenUp(t *testing.T) {
	t.Parallel()
	views := coldViews(rand.New(rand.NewPCG(2, 2)), 12, 30)
	for what, ask := range coldKinds() {
		ctx, cancel := context.WithCancel(t.Context())
		opened := make(chan struct{}, 10_000)
		src := testkit.Cold{Views: views, Opening: func(ctx context.Context, _ int) error {
			if opened <- struct{}{}; len(opened) == 2 {
				cancel()
			}
			return ctx.Err()
		}}
		err := ask(ctx, query.New(src, query.Options{}))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want that it was given up", what, err)
		}
		if n := len(opened); n > 4 { // some may have been on their way
			t.Errorf("%s: %d parts were opened, and it was given up at the second", what, n)
		}
	}
}

// TestASlowPartIsStopped has a part that opens only when the query's time is over.
func TestASlowPartIsStopped(t *testing.T) {
	t.Parallel()
	src := testkit.Cold{Views: coldViews(rand.New(rand.NewPCG(3, 3)), 3, 10), Opening: func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	e := query.New(src, query.Options{MaxTime: 20 * time.Millisecond})
	for what, ask := range coldKinds() {
		if err := ask(t.Context(), e); !errors.Is(err, query.ErrTimeLimit) {
			t.Errorf("%s: %v, want ErrTimeLimit", what, err)
		}
	}
}

// TestSearchOpensNewestPartsFirst has 200 parts one after the other.
func TestSearchOpensNewestPartsFirst(t *testing.T) {
	t.Parallel()
	var views testkit.Views
	for i := range 200 {
		t := trace.NewTable()
		for n := range byte(10) {
			add(t, span{trace: byte(i), id: n + 1, service: "s", name: "x", start: uint64(100*i) + uint64(n), end: uint64(100*i) + 50})
		}
		views = append(views, t.View())
	}
	var order []int
	src := testkit.Cold{Views: views, Opening: func(_ context.Context, part int) error {
		order = append(order, part)
		return nil
	}}
	e := query.New(src, query.Options{})
	if r := search(t, e, query.Request{Query: `{ name = "x" }`, Limit: 5}); len(r.Traces) != 5 {
		t.Fatalf("%d traces", len(r.Traces))
	}
	for i, part := range order {
		if part < 190 {
			t.Errorf("open %d was of part %d of 200", i, part)
		}
	}
	order = nil
	if r := search(t, e, query.Request{Query: `{ name = "x" }`, Start: origin + 5000, End: origin + 5099, Limit: 1000}); len(r.Traces) != 1 || slices.Min(order) < 49 || slices.Max(order) > 51 {
		t.Errorf("a window: %d traces, parts %v", len(r.Traces), order)
	}
	order = nil
	if r := search(t, e, query.Request{Query: `{ name = "nowhere" }`, Limit: 1000}); len(r.Traces) != 0 || len(order) > 0 {
		t.Errorf("a name that no part has: %d traces, parts %v", len(r.Traces), order)
	}
}

// TestWindowsOverSplitTraces searches windows in traces that lie in several parts, and
// compares resident parts, parts on disk and both with a plain loop.
func TestWindowsOverSplitTraces(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 4))
	found := 0
	for round := range 300 {
		var views testkit.Views
		for i := range 2 + rng.IntN(6) { // parts follow each other, roughly
			table := trace.NewTable()
			for range 1 + rng.IntN(12) {
				start := uint64(100*i + rng.IntN(150))
				add(table, span{trace: byte(1 + rng.IntN(12)), id: byte(1 + rng.IntN(250)), service: "s", name: fmt.Sprint("n", rng.IntN(3+round%15)), start: start, end: start + uint64(rng.IntN(30))})
			}
			views = append(views, table.View())
		}
		from := origin + uint64(rng.IntN(700))
		to := from + uint64(rng.IntN(200))
		for _, q := range []string{`{ name = "n1" }`, `{ name = "n1" } && { name = "n2" }`, `{ }`} {
			exact, onDisk := searchPlainly(views, q, from, to)
			for kind, src := range []trace.Source{views, testkit.Cold{Views: views}, testkit.Cold{Views: views, Warm: 2}} {
				want := exact
				if kind > 0 {
					want = onDisk
				}
				r := search(t, query.New(src, query.Options{}), query.Request{Query: q, Start: from, End: to, Limit: 1000})
				got := map[byte]bool{}
				for _, tr := range r.Traces {
					got[tr.ID[15]] = true
				}
				for id := range byte(13) {
					if got[id] && !exact[id] || !got[id] && want[id] {
						t.Fatalf("round %d, kind %d, %s, window %d-%d: trace %d found %v", round, kind, q, from-origin, to-origin, id, got[id])
					}
				}
				found += len(got)
			}
		}
	}
	if found < 700 {
		t.Errorf("%d traces found: the test shows too little", found)
	}
}

// searchPlainly returns the traces that overlap a window and match, and those of them
// that have a part that overlaps it.
func searchPlainly(views testkit.Views, q string, from, to uint64) (exact, onDisk map[byte]bool) {
	exact, onDisk = map[byte]bool{}, map[byte]bool{}
	for id := range byte(13) {
		start, end, near := ^uint64(0), uint64(0), false
		names := map[string]bool{}
		for _, v := range views {
			number, ok := v.FindTrace(trace.TraceID{15: id})
			if !ok {
				continue
			}
			for row := range v.Rows(number) {
				start, end = min(start, v.Start[row]), max(end, v.End[row])
				names[v.Text(v.Name[row])] = true
			}
			first, last := v.Times()
			near = near || first <= to && last >= from
		}
		matches := len(names) > 0 && (q == "{ }" || names["n1"] && (names["n2"] || !strings.Contains(q, "n2")))
		exact[id] = matches && start <= to && end >= from
		onDisk[id] = exact[id] && near
	}
	return exact, onDisk
}
