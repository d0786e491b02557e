package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"etude/internal/testkit"
	"etude/trace"
)

// A sidecar rules out no pair of conditions that one span meets, and nearly all others of a name or service.
func TestPairs(t *testing.T) {
	t.Parallel()
	for what, b := range map[string]*Block{
		"weird":  written(t, WriteOptions{}, dataOf(t, "weird")),
		"real":   openBlock(t, realBlock(t, "v5groups")),
		"joined": written(t, WriteOptions{}, pairedSpans(t, 1, 900, 20), pairedSpans(t, 2, 900, 20)),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			asked, missed := 0, 0
			for _, p := range b.parts {
				a, m := comparePairs(t, p)
				asked, missed = asked+a, missed+m
			}
			if t.Logf("%d of %d pairs that do not occur may occur", missed, asked); what == "joined" && (asked < 100 || missed > asked/100) {
				t.Error("these row groups have few names, and all facts about them")
			}
		})
	}
}

// A row group of more names than a sidecar has facts about still rules out nothing that is there.
func TestPairsOfManyNames(t *testing.T) {
	t.Parallel()
	b := written(t, WriteOptions{}, pairedSpans(t, 3, 1500, 5000), pairedSpans(t, 4, 1500, 5000))
	for _, p := range b.parts {
		comparePairs(t, p)
	}
}

// A block of more row groups than the scanner reads at once: their facts rule out nothing that they have, and most names of
// other row groups.
func TestFactsOfManyGroups(t *testing.T) {
	t.Parallel()
	b := written(t, WriteOptions{GroupBytes: 4 << 10}, pairedSpans(t, 1, 900, 300), pairedSpans(t, 2, 900, 300))
	if len(b.parts) < 40 {
		t.Fatalf("%d row groups", len(b.parts))
	}
	var conditions [][]trace.Condition
	for _, p := range b.parts {
		v, err := p.open(t.Context(), trace.Everything())
		if err != nil {
			t.Fatal(err)
		}
		conditions = append(conditions, conditionsOf(v))
	}
	excluded, all := 0, 0
	for i, p := range b.parts {
		for j, some := range conditions {
			for _, c := range some {
				out := p.facts.Excludes(&c)
				if i == j && out {
					t.Fatalf("row group %d has %+v, and it is ruled out", i, c)
				}
				if c.Of == trace.Names && i != j {
					if all++; out {
						excluded++
					}
				}
			}
		}
		comparePairs(t, p)
	}
	if excluded < all/2 {
		t.Errorf("%d of %d names of other row groups are ruled out", excluded, all)
	}
}

// pairedSpans are spans whose other facts depend on their names.
func pairedSpans(t *testing.T, seed uint64, spans, names int) *trace.View {
	t.Helper()
	rng, table := rand.New(rand.NewPCG(seed, 1)), trace.NewTable()
	for n := range spans {
		name := rng.IntN(names)
		key := []byte(fmt.Sprint("service-", name%5, rng.IntN(2)))
		resource, ok := table.FindResource(key)
		if !ok {
			var w *trace.AttrWriter
			resource, w = table.AddResource(key, 0, 0, 0)
			w.AddText([]byte("service.name"), trace.String, key)
			table.EndResource()
		}
		scope, ok := table.FindScope(key)
		if !ok {
			scope, _ = table.AddScope(key, resource, 0, 0, 0, 0)
			table.EndScope()
		}
		start := uint64(1e18 + rng.IntN(1e9))
		w := table.AddSpan(&trace.Span{
			TraceID: trace.TraceID{0: byte(seed), 1: byte(n >> 8), 15: byte(n / 4)}, SpanID: trace.SpanID{0: byte(seed), 6: byte(n >> 8), 7: byte(n)}, Scope: scope,
			Name: []byte(fmt.Sprint("name-", name)), Start: start, End: start + uint64(100*name+rng.IntN(50)), Status: uint8(name % 3), Kind: uint8(name % 6),
		})
		w.AddNum([]byte("size"), trace.Int, uint64(10*name+rng.IntN(5)))
		if name%2 == 0 {
			w.AddNum([]byte("ratio"), trace.Double, math.Float64bits(float64(-name)))
		}
		table.EndSpan()
	}
	return table.View()
}

// comparePairs asks a part's facts about every name and service with every other condition.
func comparePairs(t *testing.T, p *part) (asked, missed int) {
	t.Helper()
	v, err := p.open(t.Context(), trace.Everything())
	if err != nil {
		t.Fatal(err)
	}
	snap, err := testkit.Cold{Views: testkit.Views{v}}.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exact := snap.(trace.PairExcluder)
	others := othersOf(v)
	for i, a := range others {
		if !a.IsAnchor() || i%(1+len(others)/200) != 0 {
			continue
		}
		for j, b := range others {
			if j%(1+len(others)/150) != 0 {
				continue
			}
			got, want := p.facts.ExcludesBoth(&a, &b), exact.ExcludesBoth(0, a, b)
			if back := p.facts.ExcludesBoth(&b, &a); got != back {
				t.Errorf("%+v and %+v: %t, in the other order %t", a, b, got, back)
			}
			if got && !want {
				t.Fatalf("row group %d has a span of %+v with %+v, and it is ruled out", p.number, a, b)
			}
			if want && (b.Of != 0 || b.Bounded && b.Level == trace.SpanLevel && a.Of == trace.Names) && (b.Of != trace.Names || a.Of != b.Of) {
				if asked++; !got {
					missed++
				}
			}
		}
	}
	return asked, missed
}

// othersOf returns conditions that are met by some span of a View, each once.
func othersOf(v *trace.View) (all []trace.Condition) {
	seen := map[string]bool{}
	for _, c := range conditionsOf(v) {
		if c.Of == trace.ScopeNames || c.Of == 0 && !c.IsAnchor() && c.Texts != nil || seen[fmt.Sprint(c)] {
			continue
		}
		seen[fmt.Sprint(c)] = true
		switch {
		case c.Of == trace.Times && len(all)%8 > 0:
			continue
		case c.Of == trace.Times:
			c.Max = math.MaxInt64
		}
		all = append(all, c)
	}
	for column := range v.Attrs(trace.SpanLevel).All() {
		for i := range min(len(column.Rows), 40) {
			c := trace.Condition{Level: trace.SpanLevel, Key: column.Key, Bounded: true, Most: math.Inf(1)}
			switch value := v.Attrs(trace.SpanLevel).At(column, i); value.Type {
			case trace.Int:
				c.Least = float64(value.Int())
			case trace.Double:
				c.Least = value.Double()
			default:
				continue
			}
			if !slices.ContainsFunc(all, func(o trace.Condition) bool { return o.Key == c.Key && o.Bounded && o.Least == c.Least }) {
				all = append(all, c)
			}
		}
	}
	return all
}
