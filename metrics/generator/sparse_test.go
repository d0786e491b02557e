package generator

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSparseAgreesWithAMap counts the same values in a map by the definition of a
// bucket: i holds values above 2^((i-1)/256), up to 2^(i/256).
func TestSparseAgreesWithAMap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, spread := range []float64{0.01, 0.5, 3} {
		s, want := newSparse(), map[int32]float64{}
		for range 2000 {
			v := math.Exp(rng.NormFloat64() * spread)
			s.observe(v, 2)
			want[int32(math.Ceil(math.Log2(v)*256))] += 2
		}
		coarser := map[int32]float64{}
		for i, n := range want {
			coarser[int32(math.Ceil(float64(i)/math.Exp2(float64(finestSchema-s.schema))))] += n
		}
		if len(coarser) != s.buckets || s.buckets > maxSparse {
			t.Errorf("spread %v: %d buckets of schema %d, want %d", spread, s.buckets, s.schema, len(coarser))
		}
		for i, n := range coarser {
			if s.count(i) != n {
				t.Errorf("spread %v: bucket %d has %v, want %v", spread, i, s.count(i), n)
			}
		}
	}
}

// TestSparseObservationTakesNoMemory once its buckets are there.
func TestSparseObservationTakesNoMemory(t *testing.T) {
	s, v := newSparse(), 1.0
	observe := func() {
		if v *= 1.37; v > 10 {
			v /= 1000
		}
		s.observe(v, 1)
	}
	for range 100_000 {
		observe()
	}
	if n := testing.AllocsPerRun(1000, observe); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
