package trace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestContaining compares with a look at each string: short alphabets, so that a
// part often crosses the border of two strings and its bytes are not rare, and longer
// strings, so that eight places are searched at a time.
func TestContaining(t *testing.T) {
	t.Parallel()
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 1))
		alphabet := []string{"abc", "aAbBkK", "ab\xe2\x84\xaa", "abcdefghijklmnopqrstuvwxyz@A`[{"}[r.IntN(4)]
		length := []int{8, 40}[r.IntN(2)]
		var d Dict
		d.add(nil)
		for range r.IntN(60) {
			d.add(randomText(r, alphabet, length))
		}
		part := "a" + string(randomText(r, alphabet, 5))
		lower := strings.ToLower("a" + string(randomText(r, "abAk[", 5)))
		for _, c := range []struct {
			name string
			all  func(yield func(uint32) bool)
			has  func(text string) bool
		}{
			{part, func(yield func(uint32) bool) { d.Containing(part, yield) }, func(text string) bool { return strings.Contains(text, part) }},
			{"any case of " + lower, func(yield func(uint32) bool) { d.ContainingFold(lower, yield) },
				func(text string) bool { return strings.Contains(lowerASCII(text), lower) }},
			{"beyond ASCII", d.BeyondASCII, func(text string) bool {
				return strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
			}},
		} {
			var want []uint32
			for code := range uint32(d.Len()) {
				if c.has(d.Get(code)) {
					want = append(want, code)
				}
			}
			if got := slices.Collect(c.all); !slices.Equal(got, want) {
				t.Fatalf("seed %d, %q: got %d, want %d", seed, c.name, got, want)
			}
			for range c.all { // one alone
				break
			}
		}
	}
}

func randomText(r *rand.Rand, alphabet string, length int) []byte {
	b := make([]byte, r.IntN(length))
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return b
}

func lowerASCII(text string) string {
	return string(bytes.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, []byte(text)))
}

func BenchmarkContaining(b *testing.B) {
	var d Dict
	d.add(nil)
	for i := range 1 << 16 {
		d.add(fmt.Appendf(nil, "/api/v1/users/%d/orders/%d", i*7919%100_000, i))
	}
	for _, part := range []string{"/orders/512", "nowhere", "/orders/x", "/nothere/512"} {
		b.Run(strings.ReplaceAll(part, "/", "."), func(b *testing.B) {
			b.SetBytes(int64(len(d.data)))
			for b.Loop() {
				d.Containing(part, func(uint32) bool { return true })
			}
		})
	}
}
