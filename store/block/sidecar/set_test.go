package sidecar

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestUnique: a list has each hash once, whether hashes are random or share their first bits.
func TestUnique(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 50, 1000, manyHashes/2 + 10} {
		for _, mask := range []uint64{1<<64 - 1, 1<<20 - 1, 0xff << 40} {
			l := hashList{sort: &hashSort{}}
			want := map[uint64]bool{}
			for range n {
				h := r.Uint64()&mask | 1
				l.add(h)
				l.add(h)
				want[h] = true
			}
			got := slices.Clone(l.unique())
			slices.Sort(got)
			if len(slices.Compact(slices.Clone(got))) != len(got) || len(got) != len(want) {
				t.Fatalf("%d hashes of %x: %d, want %d", n, mask, len(got), len(want))
			}
			for _, h := range got {
				if !want[h] {
					t.Fatalf("%x was not added", h)
				}
			}
		}
	}
}
