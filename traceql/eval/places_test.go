package eval

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etude/internal/testkit"
	"etude/trace"
	"etude/traceql/evaltest"
)

// addAny adds a span of few that there can be.
func addAny(t *trace.Table, rng *rand.Rand) {
	n := byte(rng.IntN(200))
	start := 1000 + 10*uint64(n)
	if n%67 == 0 && rng.IntN(4) == 0 {
		start = 0 // A View with such a span is searched in another way.
	}
	t.AddSpan(&trace.Span{TraceID: trace.TraceID{15: n / 4}, SpanID: trace.SpanID{7: n}, Start: start, End: 2000, Kind: uint8(rng.IntN(2))})
	t.EndSpan()
}

// TestPlacesKnowWhatALookFinds asks again and again while Tables grow, come and go,
// sometimes of Views taken earlier, and compares with a look into every View.
func TestPlacesKnowWhatALookFinds(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	var p Places
	tables := []*trace.Table{trace.NewTable()}
	older := map[*trace.Table]*trace.View{}
	shared, repeated := 0, 0
	for round := range 1200 {
		if rng.IntN(20) == 0 {
			tables = append(tables, trace.NewTable())
		}
		if len(tables) > 5 {
			tables = tables[1:]
		}
		var views []*trace.View
		for _, table := range tables {
			for range rng.IntN(3) {
				addAny(table, rng)
			}
			v := table.View()
			if old := older[table]; old != nil && rng.IntN(4) == 0 {
				v = old
			} else if rng.IntN(3) == 0 {
				older[table] = v
			}
			if rng.IntN(6) > 0 { // a query of another tenant reads other Tables
				views = append(views, v)
			}
		}
		d := p.of(views)
		for n := range byte(50) {
			id := trace.TraceID{15: n}
			var want []in
			for i, v := range views {
				if number, ok := v.FindTrace(id); ok {
					want = append(want, in{i, number})
				}
			}
			if got := d.places(nil, id); !slices.Equal(got, want) {
				t.Fatalf("round %d: trace %s is in %v, want %v", round, id.Short(), got, want)
			}
			if len(want) > 1 {
				for _, at := range want {
					shared++
					if !d.shared(at.view).Has(at.number) {
						t.Fatalf("round %d: trace %s of View %d is not shared", round, id.Short(), at.view)
					}
				}
			}
		}
		repeated += checkRepeated(t, &p, views)
		checkLoad(t, &p, views)
	}
	if shared == 0 || repeated == 0 {
		t.Errorf("%d shared places, %d repeated spans: the test shows nothing", shared, repeated)
	}
	if n := len(p.index.tables); n > 40 {
		t.Errorf("%d Tables are remembered; most have left", n)
	}
}

// checkLoad compares traces loaded by places with traces loaded by a look.
func checkLoad(t *testing.T, p *Places, views []*trace.View) {
	var few [2]*Run
	for i, src := range []trace.Source{testkit.Views(views), testkit.Cold{Views: views}} {
		few[i] = start(t, &Program{}, t.Context(), src, p)
	}
	many := start(t, &Program{}, t.Context(), testkit.Views(views), p)
	many.parts.loads.Store(fewLoads)
	for n := range byte(50) {
		id := trace.TraceID{15: n}
		want := load(t, few[0], id)
		for _, run := range []*Run{few[1], many} {
			if got := load(t, run, id); !slices.Equal(got.Spans, want.Spans) || got.Split != want.Split || got.Start != want.Start || got.End != want.End {
				t.Fatalf("trace %s is %v, want %v", id.Short(), got.Spans, want.Spans)
			}
		}
	}
}

// checkRepeated compares the repeated rows of all Views with a look.
func checkRepeated(t *testing.T, p *Places, views []*trace.View) (found int) {
	for i, src := range evaltest.Sources(views) {
		n := checkRepeatedIn(t, p, src, views)
		if i > 0 && n != found {
			t.Fatalf("parts of kind %d repeat %d rows, the first %d", i, n, found)
		}
		found = n
	}
	return found
}

func checkRepeatedIn(t *testing.T, p *Places, src trace.Source, views []*trace.View) (found int) {
	run := start(t, &Program{}, t.Context(), src, p)
	type key struct {
		id trace.TraceID
		spanKey
	}
	seen := map[key]bool{}
	for i, v := range views {
		again, err := run.Repeated(i, run.Covers)
		if err != nil {
			t.Fatal(err)
		}
		for row := range uint32(v.Spans()) {
			k := key{v.TraceIDs[v.Trace[row]], spanKey{v.SpanID[row], v.Kind[row], v.Start[row]}}
			if got := again != nil && again.Has(row); got != seen[k] {
				t.Fatalf("row %d of View %d: repeated %v, want %v", row, i, got, seen[k])
			}
			if seen[k] {
				found++
			}
			seen[k] = true
		}
	}
	return found
}
