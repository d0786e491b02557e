package trace

import (
	"bytes"
	"context"
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
			got  []uint64
			has  func(text string) bool
		}{
			{part, d.Containing(t.Context(), part, false), func(text string) bool { return strings.Contains(text, part) }},
			{"any case of " + lower, d.Containing(t.Context(), lower, true), func(text string) bool { return strings.Contains(lowerASCII(text), lower) }},
			{"beyond ASCII", d.BeyondASCII(t.Context()), func(text string) bool {
				return strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
			}},
		} {
			checkCodes(t, &d, fmt.Sprintf("seed %d, %q", seed, c.name), c.got, c.has)
		}
	}
}

func checkCodes(t *testing.T, d *Dict, what string, got []uint64, has func(text string) bool) {
	t.Helper()
	want := make([]uint64, (d.Len()+63)/64)
	for code := range d.Len() {
		if has(d.Get(uint32(code))) {
			want[code>>6] |= 1 << (code & 63)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %x, want %x", what, got, want)
	}
}

// TestContainingInPieces searches more text than one goroutine searches at a time, with
// one string that is longer than that.
func TestContainingInPieces(t *testing.T) {
	t.Parallel()
	var d Dict
	d.add(nil)
	for i := range 60_000 {
		d.add(fmt.Appendf(nil, "/Api/%d/orders/%d", i*7919%100_000, i))
		if i == 30_000 {
			d.add(append(bytes.Repeat([]byte("x"), 2*pieceBytes), "/orders/1-\u00e9"...))
		}
	}
	if len(d.text()) < 5*pieceBytes {
		t.Fatalf("%d bytes of text are too few", len(d.text()))
	}
	for _, part := range []string{"/orders/1", "/orders/512", "nowhere", "x/orders"} {
		has := func(text string) bool { return strings.Contains(text, part) }
		checkCodes(t, &d, part, d.Containing(t.Context(), part, false), has)
		checkCodes(t, &d, part, d.Containing(t.Context(), part, true), has)
	}
	checkCodes(t, &d, "/api/12", d.Containing(t.Context(), "/api/12", true), func(text string) bool { return strings.Contains(text, "/Api/12") })
	checkCodes(t, &d, "beyond", d.BeyondASCII(t.Context()), func(text string) bool { return strings.Contains(text, "\u00e9") })
	done, cancel := context.WithCancel(t.Context())
	cancel()
	checkCodes(t, &d, "given up", d.Containing(done, "/orders/1", false), func(string) bool { return false })
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
				d.Containing(b.Context(), part, false)
			}
		})
	}
}
