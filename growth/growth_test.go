package growth

import (
	"fmt"
	"runtime"
	"testing"

	"etude/trace"
)

// perDoubling is how much more work twice as much of anything may cost. Two is
// linear. From n to 4n it counts twice.
const perDoubling = 2.5

// mode is a set of limits. Limits would hide what grows without bound, so all is
// tried with them, without, and with few columns, so that keys share columns.
type mode struct {
	name   string
	limits trace.Limits
}

var modes = []mode{{"limits", trace.DefaultLimits()}, {"no limits", trace.Limits{}}, {"shared columns", trace.Limits{Columns: 10}}}

// TestTwiceAsMuch sends n and 4n of everything, and compares what every activity
// allocates. Not parallel: it counts what the process allocates.
func TestTwiceAsMuch(t *testing.T) {
	for _, m := range modes[1:] { // below the limits all are the same
		t.Run(m.name, func(t *testing.T) {
			for _, d := range dimensions {
				problems := compare(t, &d, d.n, m.limits)
				if len(problems) > 0 {
					// An array or hash table that doubles makes a jump at one size. Work that grows by
					// the square does so at every size.
					problems = compare(t, &d, d.n*3/2, m.limits)
				}
				for _, p := range problems {
					t.Error(p)
				}
			}
		})
	}
}

// compare returns which activities allocate too much more for 4n than for n.
func compare(t *testing.T, d *dimension, n int, limits trace.Limits) (problems []string) {
	once, fourTimes := measure(t, d, n, limits), measure(t, d, 4*n, limits)
	for i, a := range activities {
		for kind, least := range leastWork {
			before, after := max(once[i][kind], least), fourTimes[i][kind]
			if after > perDoubling*perDoubling*before {
				problems = append(problems, fmt.Sprintf("%s, %d and four times as many: %s takes %.1f times the %s (%.0f, then %.0f), want at most %.2f times",
					d.name, n, a.name, after/before, kinds[kind], before, after, perDoubling*perDoubling))
			}
		}
	}
	return problems
}

// measure does all activities and returns the work of each.
func measure(t testing.TB, d *dimension, n int, limits trace.Limits) []work {
	s := &state{t: t, limits: limits, requests: d.requests(n), apart: d.apart()}
	out := make([]work, len(activities))
	for i, a := range activities {
		out[i] = count(func() { a.do(s) })
	}
	return out
}

// work is what an activity cost: by kind.
type work [2]float64

var kinds = [2]string{"bytes", "allocations"}

// leastWork is what any work costs at least, so that what happens now and then
// beside it is not taken for growth.
var leastWork = work{128 << 10, 1000}

// count counts what f allocates.
func count(f func()) work {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return work{float64(after.TotalAlloc - before.TotalAlloc), float64(after.Mallocs - before.Mallocs)}
}
