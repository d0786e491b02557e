package trace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestContaining compares with a look at each string: short alphabets, so that a
// part often crosses the border of two strings.
func TestContaining(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := func(n int) string {
			b := make([]byte, r.IntN(n))
			for i := range b {
				b[i] = "abc"[r.IntN(3)]
			}
			return string(b)
		}
		var d Dict
		d.add(nil)
		for range r.IntN(60) {
			d.add([]byte(text(8)))
		}
		part := "a" + text(4)
		var got, want []uint32
		d.Containing(part, func(code uint32) bool { got = append(got, code); return true })
		for code := range uint32(d.Len()) {
			if strings.Contains(d.Get(code), part) {
				want = append(want, code)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, %q: got %d, want %d", seed, part, got, want)
		}
	}
}

func BenchmarkContaining(b *testing.B) {
	var d Dict
	d.add(nil)
	for i := range 1 << 16 {
		d.add(fmt.Appendf(nil, "/api/v1/users/%d/orders/%d", i*7919%100_000, i))
	}
	for _, part := range []string{"/orders/512", "nowhere", "/orders/x"} {
		b.Run(strings.ReplaceAll(part, "/", "."), func(b *testing.B) {
			b.SetBytes(int64(len(d.data)))
			for b.Loop() {
				d.Containing(part, func(uint32) bool { return true })
			}
		})
	}
}
