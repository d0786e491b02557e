package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sentAttr is an attribute and the bytes that a sender would write for it.
type sentAttr struct {
	key   string
	value Value
	sent  string
}

// anyAttr draws from a few keys and values, so that they come again. Many of the
// bytes differ only in the middle, which attrHash does not see.
func anyAttr(rng *rand.Rand) sentAttr {
	key := fmt.Sprintf("key-%d", rng.IntN(4))
	var v Value
	switch Type(rng.IntN(int(Types))) {
	case Empty:
		v = Value{Type: Empty}
	case Int:
		v = Value{Type: Int, num: uint64(rng.IntN(3)) << 40}
	case Double:
		v = Value{Type: Double, num: math.Float64bits(float64(rng.IntN(3)))}
	case Bool:
		v = Value{Type: Bool, num: uint64(rng.IntN(2))}
	case Bytes:
		v = Value{Type: Bytes, str: "text-1"}
	default:
		v = Value{Type: String, str: fmt.Sprintf("a long text %d with the same end%*s", rng.IntN(30), rng.IntN(2)*maxCached, "")}
	}
	if rng.IntN(10) == 0 {
		v = Value{Type: String, str: "s"[:rng.IntN(2)]}
	}
	return sentAttr{key: key, value: v, sent: fmt.Sprintf("attribute %s %d %d %s end", key, v.Type, v.num, v.str)}
}

func (a *sentAttr) add(w *AttrWriter) {
	switch a.value.Type {
	case Empty:
		w.AddEmpty([]byte(a.key))
	case Int, Double, Bool:
		w.AddNum([]byte(a.key), a.value.Type, a.value.num)
	default:
		w.AddText([]byte(a.key), a.value.Type, []byte(a.value.str))
	}
}

// TestAgainAddsTheSameAttribute compares what rows hold with what was added to
// them, some of it by Again.
func TestAgainAddsTheSameAttribute(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 7))
	table, want, again := NewTable(), [][]sentAttr{}, 0
	for row := range 2000 {
		w := table.AddSpan(&Span{TraceID: TraceID{1: byte(row >> 8), 2: byte(row)}, SpanID: SpanID{1}, Name: fmt.Append(nil, row%3)})
		var attrs []sentAttr
		for range rng.IntN(6) {
			a := anyAttr(rng)
			attrs = append(attrs, a)
			switch {
			case rng.IntN(5) == 0:
				a.add(w)
			case w.Again([]byte(a.sent)):
				again++
			default:
				a.add(w)
			}
		}
		table.EndSpan()
		want = append(want, attrs)
	}
	if again < 500 { // nearly all attributes share a place in the cache
		t.Errorf("Again has added %d attributes, want at least 500", again)
	}
	v := table.View()
	for row, attrs := range want {
		var got []sentAttr
		for key, value := range v.SpanAttrs.Of(uint32(row)) {
			got = append(got, sentAttr{key: key, value: value})
		}
		if !slices.EqualFunc(got, attrs, func(a, b sentAttr) bool { return a.key == b.key && a.value == b.value }) {
			t.Fatalf("row %d has %v, want %v", row, got, attrs)
		}
	}
}

// TestIndexFindsAllWhileItGrows puts numbers in under few hashes and many.
func TestIndexFindsAllWhileItGrows(t *testing.T) {
	t.Parallel()
	for _, hashes := range []uint32{3, 1 << 10, math.MaxUint32} {
		hashOf := func(number uint32) uint32 { return number * 0x9e3779b1 % hashes }
		var x index
		for number := range uint32(3000) {
			x.insert(hashOf(number), hashOf)
		}
		for number := range uint32(3000) {
			found := 0
			for candidate := range x.candidates(hashOf(number)) {
				if candidate == number {
					found++
				}
			}
			if found != 1 {
				t.Fatalf("%d hashes: number %d was found %d times", hashes, number, found)
			}
		}
	}
}
