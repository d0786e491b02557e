package write

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"etude/store/block/layout"
	"etude/trace"
)

// dictSource is a source that has nothing but texts.
func dictSource(input int, all ...string) *source {
	d := trace.NewDict()
	for _, s := range all {
		d.Add([]byte(s))
	}
	a := trace.Assembly{Strings: *d}
	return &source{v: a.View(), input: input}
}

// TestTexts: a number leads back to its text, and each text has one number, even when several
// dictionaries have the text.
func TestTexts(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 3 * textRange {
		many = append(many, fmt.Sprint("m", i))
	}
	sources := []*source{dictSource(0, "a", "b"), dictSource(1, many...), dictSource(2, "b", "c"), dictSource(1, append(many, "c", "d")...), dictSource(2, "z")}
	texts := newTexts(sources)
	if sources[1].base != sources[3].base || len(texts.dicts) != 4 {
		t.Errorf("%d dictionaries, bases %d and %d", len(texts.dicts), sources[1].base, sources[3].base)
	}
	known := map[string]uint32{}
	check := func(n uint32, want string) {
		t.Helper()
		one := texts.same(n)
		if before, ok := known[want]; ok && before != one {
			t.Errorf("%q is %d, and %d", want, one, before)
		}
		known[want] = one
		if texts.get(n) != want || texts.get(one) != want {
			t.Errorf("%d is %q and %q, want %q", n, texts.get(n), texts.get(one), want)
		}
	}
	for round := range 2 {
		for _, s := range sources {
			for code := range uint32(s.v.Strings.Len()) {
				check(s.textOf(code), s.v.Text(code))
			}
		}
		for _, text := range []string{"", "b", "d", "new", "new", "m7"} {
			check(texts.number(text), text)
		}
		if round == 0 && texts.len() != int(texts.base)+1 {
			t.Errorf("%d texts are in no dictionary, want 1", len(texts.list))
		}
	}
	if texts.same(0) != 0 {
		t.Error(`"" is not 0`)
	}
}

// TestPacker: every page comes back, those that are equal to an earlier one as well.
func TestPacker(t *testing.T) {
	t.Parallel()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	unpack := map[format.CompressionCodec]func([]byte) ([]byte, error){
		format.Zstd:   func(b []byte) ([]byte, error) { return d.DecodeAll(b, nil) },
		format.Snappy: func(b []byte) ([]byte, error) { return snappy.Decode(nil, b) },
	}
	p, r := newPacker(), rand.New(rand.NewPCG(1, 1))
	for codec, unpack := range unpack {
		for i := range 1000 {
			if i%500 == 0 {
				p.begin(codec)
			}
			page := bytes.Repeat([]byte{byte(r.IntN(40))}, 1+r.IntN(4)*10_000)
			got, err := unpack(p.pack(page))
			if err != nil || !bytes.Equal(got, page) {
				t.Fatalf("%s: page %d of %d bytes comes back as %d: %v", codec, i, len(page), len(got), err)
			}
		}
		if len(p.known) == 0 {
			t.Errorf("%s: no page is known", codec)
		}
	}
}

// TestBounds compares the bounds of random values with those of sorted ones.
func TestBounds(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	for range 500 {
		n := 1 + r.IntN(6)
		c := columnData{offsets: []uint32{0}}
		var texts []string
		for range n {
			v := r.Uint64() >> r.IntN(60)
			c.i64, c.i32 = append(c.i64, int64(v)), append(c.i32, int32(v))
			text := string(binary.BigEndian.AppendUint64(nil, v))[r.IntN(9):] + "aab"[:r.IntN(4)]
			c.text(text)
			texts = append(texts, text)
		}
		slices.Sort(texts)
		for _, test := range []struct {
			l         layout.Leaf
			low, high any
		}{
			{layout.Leaf{Typ: format.Int32}, slices.Min(c.i32), slices.Max(c.i32)},
			{layout.Leaf{Typ: format.Int64}, slices.Min(c.i64), slices.Max(c.i64)},
			{layout.Leaf{Typ: format.Int32, Logical: layout.Unsigned32}, slices.Min(unsigned[uint32](c.i32)), slices.Max(unsigned[uint32](c.i32))},
			{layout.Leaf{Typ: format.Int64, Logical: layout.Unsigned64}, slices.Min(unsigned[uint64](c.i64)), slices.Max(unsigned[uint64](c.i64))},
			{layout.Leaf{Typ: format.ByteArray}, []byte(texts[0]), []byte(texts[n-1])},
		} {
			low, _ := binary.Append(nil, binary.LittleEndian, test.low)
			high, _ := binary.Append(nil, binary.LittleEndian, test.high)
			if b := c.bounds(&test.l, 0, n); !bytes.Equal(b.min, low) || !bytes.Equal(b.max, high) {
				t.Fatalf("%s %v: %x to %x, want %x to %x", test.l.Typ, test.l.Logical, b.min, b.max, low, high)
			}
		}
	}
}

func unsigned[U uint32 | uint64, S int32 | int64](all []S) (some []U) {
	for _, v := range all {
		some = append(some, U(v))
	}
	return some
}
