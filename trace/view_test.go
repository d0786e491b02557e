package trace

import (
	"math"
	"testing"
)

// TestImpossibleTimes: a start of 0 is no start, and no duration is negative.
func TestImpossibleTimes(t *testing.T) {
	t.Parallel()
	const now = 1_780_000_000_000_000_000
	for _, test := range []struct {
		start, end uint64
		want       int64
	}{
		{now, now + 5, 5}, {now, now, 0}, {now + 5, now, 0}, {0, now, 0}, {0, 0, 0}, {now, 0, 0},
		{1, math.MaxUint64, math.MaxInt64}, {math.MaxUint64, 1, 0},
	} {
		v := &View{}
		v.Start, v.End = []uint64{test.start}, []uint64{test.end}
		if got := v.Duration(0); got != test.want {
			t.Errorf("from %d to %d: %d ns, want %d", test.start, test.end, got, test.want)
		}
	}
}
