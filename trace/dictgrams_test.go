package trace

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLacks compares with a look at each string: a filter never rules out a part that some string has. The texts grow
// while the filter learns them, and parts are cut out of them, so that many are there.
func TestLacks(t *testing.T) {
	t.Parallel()
	ruledOut := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		alphabet := []string{"abcdefgh", "aAbBkK01", "ab\xe2\x84\xaa", "abcdefghijklmnopqrstuvwxyz@A`[{"}[r.IntN(4)]
		d := Dict{grams: &grams{}}
		d.add(nil)
		var texts []string
		for d.Len() < 50 || len(d.data) < fewBytes {
			texts = append(texts, string(randomText(r, alphabet, []int{8, 3000}[r.IntN(2)])))
			d.add([]byte(texts[len(texts)-1]))
			if r.IntN(20) == 0 && len(texts) > 10 {
				d.Learn()
			}
		}
		d.Learn()
		if d.Learns() {
			t.Fatalf("seed %d: Learn does not cover all strings", seed)
		}
		for n := range 200 {
			part := string(randomText(r, alphabet, 9))
			if n%2 == 0 {
				from := texts[r.IntN(len(texts))]
				begin := r.IntN(len(from) + 1)
				part = from[begin:min(len(from), begin+r.IntN(9))]
			}
			ruledOut += checkLacks(t, &d, texts, part)
		}
	}
	if ruledOut < 1000 {
		t.Errorf("only %d parts were ruled out", ruledOut)
	}
}

// checkLacks checks a part in both cases, and returns how often it was ruled out.
func checkLacks(t *testing.T, d *Dict, texts []string, part string) (ruledOut int) {
	t.Helper()
	if d.Lacks(part, false) {
		ruledOut++
		for _, text := range texts {
			if strings.Contains(text, part) {
				t.Fatalf("%q is ruled out, but %q has it", part, text)
			}
		}
	}
	if lower := lowerASCII(part); !strings.ContainsFunc(part, func(r rune) bool { return r >= utf8.RuneSelf }) && d.Lacks(lower, true) {
		ruledOut++
		for _, text := range texts {
			if strings.Contains(lowerASCII(text), lower) || strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
				t.Fatalf("%q in any case is ruled out, but %q may have it", lower, text)
			}
		}
	}
	return ruledOut
}

// TestLacksNothingUnlearned asks before the filter covers the strings, and after the Table has grown.
func TestLacksNothingUnlearned(t *testing.T) {
	t.Parallel()
	table := NewTable()
	d := &table.Strings
	d.Learn()
	if d.Learns() || d.Lacks("nowhere", false) {
		t.Error("a filter was made of few bytes")
	}
	for n := range 10_000 {
		d.add(fmt.Appendf(nil, "/api/v1/users/%d/orders", n))
	}
	if d.Lacks("nowhere", false) || !d.Learns() {
		t.Error("a part is ruled out before any text was read")
	}
	before := *d
	d.Learn()
	d.add([]byte("nowhere"))
	if d.Lacks("nowhere", false) {
		t.Error("a part is ruled out that was added later")
	}
	if !before.Lacks("nowhere", false) || !before.Lacks("nowhere", true) || before.Lacks("now", false) || before.Lacks("users", false) {
		t.Error("an earlier View reads the filter of its strings wrongly")
	}
	d.Learn()
	if d.Lacks("nowhere", false) || !d.Lacks("anywhere", false) {
		t.Error("the filter does not know the later strings")
	}
}

func BenchmarkLacks(b *testing.B) {
	var d Dict
	d.grams = &grams{}
	d.add(nil)
	for i := range 1 << 16 {
		d.add(fmt.Appendf(nil, "/api/v1/users/%d/orders/%d", i*7919%100_000, i))
	}
	b.Run("learn", func(b *testing.B) {
		b.SetBytes(int64(len(d.data)))
		b.ReportAllocs()
		for b.Loop() {
			d.grams.learned.Store(nil)
			d.Learn()
		}
	})
	b.Run("ask", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !d.Lacks("/nothere/512", false) {
				b.Fatal("not ruled out")
			}
		}
	})
}
