package histogram

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestQuantiles compares with the durations themselves, over shapes that real
// latencies have.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func() time.Duration{
		"even": func() time.Duration { return time.Duration(random.Int64N(int64(2 * time.Second))) },
		"demo": func() time.Duration {
			return 1100*time.Millisecond + time.Duration(random.Int64N(int64(1100*time.Millisecond)))
		},
		"exponential": func() time.Duration { return time.Duration(random.ExpFloat64() * float64(3*time.Millisecond)) },
		"two humps": func() time.Duration {
			return []time.Duration{time.Millisecond, time.Second}[random.IntN(2)] + time.Duration(random.Int64N(1000))
		},
		"one value": func() time.Duration { return 1998 * time.Millisecond },
		"tiny":      func() time.Duration { return time.Duration(random.Int64N(100)) },
	}
	for name, draw := range shapes {
		for _, n := range []int{1, 2, 3, 10, 300, 20_000} {
			for precision, allowed := range map[Precision]float64{0: 0.005, Fine: 0.005, Coarse: 0.017} {
				h, all := New(precision), make([]time.Duration, n)
				other := New(precision)
				for i := range all {
					all[i] = draw()
					if i%2 == 0 {
						h.Add(all[i])
					} else {
						other.Add(all[i])
					}
				}
				h.Merge(&other)
				slices.Sort(all)
				for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
					want := all[max(int(math.Ceil(q*float64(n)))-1, 0)]
					got := h.Quantile(q)
					if math.Abs(float64(got-want)) > allowed*float64(want)+1 {
						t.Errorf("%s, %d durations, precision %d, quantile %g: %v, want %v", name, n, precision, q, got, want)
					}
					if got > all[n-1] || got < all[0] {
						t.Errorf("%s, %d durations: quantile %g is %v, outside of %v to %v", name, n, q, got, all[0], all[n-1])
					}
				}
				if h.Count() != int64(n) || h.Max() != all[n-1] || h.Mean() < all[0] || h.Mean() > all[n-1] {
					t.Errorf("%s: count %d, max %v, mean %v", name, h.Count(), h.Max(), h.Mean())
				}
			}
		}
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for _, p := range []Precision{1, Coarse, Fine} {
		next := time.Duration(0)
		for i := range 20 << p {
			from, to := bounds(i, p)
			if from != next || bucketOf(from, p) != i || bucketOf(to, p) != i {
				t.Fatalf("precision %d: bucket %d is %d to %d, %d is the end of the one before", p, i, from, to, next)
			}
			if width := to - from; float64(width) > float64(from)/float64(int(1)<<p) {
				t.Fatalf("precision %d: bucket %d is %d wide at %d", p, i, width, from)
			}
			next = to + 1
		}
		if i := bucketOf(math.MaxInt64, p); i >= 64<<p {
			t.Errorf("precision %d: the longest duration has bucket %d", p, i)
		}
	}
}

func TestEmptyAndReset(t *testing.T) {
	h := New(Coarse)
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Errorf("an empty histogram has values: %+v", h)
	}
	h.Add(-time.Second)
	h.Add(time.Second)
	if h.Quantile(0) != 0 || h.Max() != time.Second {
		t.Errorf("a negative duration: %+v", h)
	}
	if h.Reset(); h.Count() != 0 || h.Quantile(1) != 0 {
		t.Errorf("after a reset: %+v", h)
	}
	if n := testing.AllocsPerRun(100, func() { h.Add(time.Second); h.Reset() }); n > 0 {
		t.Errorf("counting allocates %v times", n)
	}
}
