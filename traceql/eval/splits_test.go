package eval

import (
	"math/rand/v2"
	"slices"
	"testing"

	"etude/trace"
)

// inBoth looks for the traces of a View in another one.
func inBoth(v, o *trace.View) (out [][2]uint32) {
	for number, id := range v.TraceIDs {
		if there, ok := o.FindTrace(id); ok {
			out = append(out, [2]uint32{uint32(number), there})
		}
	}
	return out
}

// TestSplitsKnowWhatALookFinds asks again and again while two Tables grow,
// sometimes of Views taken earlier.
func TestSplitsKnowWhatALookFinds(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	var s Splits
	var tables [2]*trace.Table
	var before [2][]*trace.View
	for i := range tables {
		tables[i] = trace.NewTable()
	}
	found := 0
	for range 300 {
		i := rng.IntN(2)
		for range rng.IntN(3) {
			addAny(tables[i], rng)
		}
		var now [2]*trace.View
		for i := range now {
			before[i] = append(before[i], tables[i].View())
			now[i] = before[i][len(before[i])-1-rng.IntN(min(3, len(before[i])))]
		}
		v, o := now[i], now[1-i]
		var got [][2]uint32
		s.between(v, o, func(number, there uint32) { got = append(got, [2]uint32{number, there}) })
		slices.SortFunc(got, func(a, b [2]uint32) int { return int(a[0]) - int(b[0]) })
		if want := inBoth(v, o); !slices.Equal(got, want) {
			t.Fatalf("%d and %d traces: %v, want %v", len(v.TraceIDs), len(o.TraceIDs), got, want)
		}
		found += len(got)
	}
	if found == 0 || len(s.pairs.known) != 1 {
		t.Errorf("%d traces in both, %d pairs known", found, len(s.pairs.known))
	}
}
