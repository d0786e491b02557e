package trace

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"
)

// This file searches the texts of a dictionary for a part that a regular expression
// requires. All texts are one after the other, so one pass finds the part in all of
// them; a match that reaches into the next text does not count.
//
// The pass looks for the byte of the part that a sample of the texts has least often.
// If that one is rare, bytes.IndexByte is fastest. But texts with a million ids in them
// have every digit in every text, and IndexByte would return for each. Then the pass
// compares three bytes of the part with eight places of the text at a time, in plain
// 64-bit words. Rejected: bytes.Index, which compares place by place, and an index of
// the texts by groups of bytes, which would cost every sender memory for a few queries.

// Containing returns the strings that have part in them, as a set of bits by code. Part
// must not be empty. With fold it is ASCII in lower case, and may have any case in the
// strings. When ctx is done, the set may lack some.
func (d *Dict) Containing(ctx context.Context, part string, fold bool) []uint64 {
	f := newFinder(d.text(), part, fold)
	return d.search(ctx, func(text []byte, from int) (begin, end int) {
		begin = f.next(text, from)
		return begin, begin + len(part)
	})
}

// BeyondASCII returns the strings that have a character beyond ASCII, as Containing does.
func (d *Dict) BeyondASCII(ctx context.Context) []uint64 { return d.search(ctx, beyondASCII) }

// beyondASCII returns the first byte of such a character at or after a place, below 0 for
// none.
func beyondASCII(text []byte, from int) (begin, end int) {
	base := unsafe.Pointer(unsafe.SliceData(text))
	for ; from+32 <= len(text); from += 32 { // Fast path
		if (word(base, from)|word(base, from+8)|word(base, from+16)|word(base, from+24))&highs != 0 {
			break
		}
	}
	for ; from < len(text); from++ {
		if text[from] >= utf8.RuneSelf {
			return from, from + 1
		}
	}
	return -1, 0
}

// text returns all strings, one after the other.
func (d *Dict) text() []byte {
	if len(d.ends) == 0 {
		return nil
	}
	return d.data[:d.ends[len(d.ends)-1]]
}

// pieceBytes is about how many bytes of text one goroutine searches at a time.
const pieceBytes = 256 << 10

// search returns the strings that hold a match. Next returns the first match at or after a
// place, begin below 0 for none. All processors share the work of a large dictionary.
func (d *Dict) search(ctx context.Context, next func(text []byte, from int) (begin, end int)) []uint64 {
	set := make([]uint64, (d.Len()+63)/64)
	wordsOfPiece := 1 + len(set)*pieceBytes/(1+len(d.text()))
	pieces := (len(set) + wordsOfPiece - 1) / wordsOfPiece
	var taken atomic.Int64
	work := func() {
		for ctx.Err() == nil {
			from := (int(taken.Add(1)) - 1) * wordsOfPiece
			if from >= len(set) {
				return
			}
			d.searchPiece(set, 64*from, min(64*(from+wordsOfPiece), d.Len()), next)
		}
	}
	var others sync.WaitGroup
	for range min(pieces, runtime.GOMAXPROCS(0)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return set
}

// searchPiece is search among the codes in [code, end), which have words of the set to
// themselves.
func (d *Dict) searchPiece(set []uint64, code, end int, next func(text []byte, from int) (begin, end int)) {
	text, from := d.data[:d.ends[end-1]], 0
	if code > 0 {
		from = int(d.ends[code-1])
	}
	for from < len(text) {
		first, last := next(text, from)
		if first < 0 {
			return
		}
		code += sort.Search(end-code, func(i int) bool { return int(d.ends[code+i]) > first })
		if last > int(d.ends[code]) { // it reaches into the next string
			from = first + 1
			continue
		}
		set[code>>6] |= 1 << (code & 63)
		from = int(d.ends[code])
	}
}

// finder finds a part in a text.
type finder struct {
	part string
	fold byte      // toLower when case does not matter, else 0
	rare bool      // at[0] is so rare that bytes.IndexByte finds it fastest
	at   [3]int    // places in part of the bytes that the text has least often
	want [3]uint64 // those bytes, eight times each
}

const (
	ones    = 0x0101010101010101
	highs   = 0x8080808080808080
	toLower = 0x20 // of a letter; other bytes that it makes equal are compared again
)

// A text is sampled in places all over it, since neighbours are often alike. A byte of
// which the sample has fewer than rareBytes is rare.
const samples, sampleBytes, rareBytes = 32, 32, 3

func newFinder(text []byte, part string, anyCase bool) *finder {
	f := &finder{part: part}
	if anyCase {
		f.fold = toLower
	}
	fold := f.fold
	var counts [256]int
	for i := range samples {
		from := len(text) / samples * i
		for _, c := range text[from:min(len(text), from+sampleBytes)] {
			counts[c|fold]++
		}
	}
	rarest := 0
	for i := range len(part) {
		if counts[part[i]|fold] < counts[part[rarest]|fold] {
			rarest = i
		}
	}
	f.at = [3]int{rarest, rarest, rarest}
	if f.rare = fold == 0 && counts[part[rarest]] < rareBytes; !f.rare {
		f.choose(text)
	}
	for i, at := range f.at {
		f.want[i] = ones * uint64(part[at]|fold)
	}
	return f
}

// choose sets the second and the third place: those where the text has the byte of the
// part least often beside the bytes before. Bytes of one word come together.
func (f *finder) choose(text []byte) {
	var begins []int // where the sample has all bytes so far
	for i := range samples {
		from := len(text) / samples * i
		for begin := from; begin < from+sampleBytes && begin+len(f.part) <= len(text); begin++ {
			if f.agrees(text, begin, f.at[0]) {
				begins = append(begins, begin)
			}
		}
	}
	for n := 1; n < len(f.at); n++ {
		least := len(begins) + 1
		for at := range len(f.part) {
			count := 0
			for _, begin := range begins {
				if f.agrees(text, begin, at) {
					count++
				}
			}
			if count < least {
				f.at[n], least = at, count
			}
		}
		begins = slices.DeleteFunc(begins, func(begin int) bool { return !f.agrees(text, begin, f.at[n]) })
	}
}

func (f *finder) agrees(text []byte, begin, at int) bool {
	return text[begin+at]|f.fold == f.part[at]|f.fold
}

// next returns where the part begins at or after a place, -1 for nowhere.
func (f *finder) next(text []byte, from int) int {
	if f.rare {
		return f.byRarest(text, from)
	}
	return f.byWords(text, from)
}

func (f *finder) byRarest(text []byte, from int) int {
	at := f.at[0]
	for from += at; from < len(text); from++ {
		n := bytes.IndexByte(text[from:], f.part[at])
		if n < 0 {
			return -1
		}
		if from += n; f.is(text, from-at) {
			return from - at
		}
	}
	return -1
}

func (f *finder) byWords(text []byte, from int) int {
	last := len(text) - len(f.part) // the last place
	for from < last-7 {
		var places uint64
		if from, places = f.words(text, from, last-7); places == 0 {
			break
		}
		for ; places != 0; places &= places - 1 {
			if begin := from + bits.TrailingZeros64(places)/8; f.is(text, begin) {
				return begin
			}
		}
		from += 8
	}
	for ; from <= last; from++ {
		if f.is(text, from) {
			return from
		}
	}
	return -1
}

// words returns the first eight places in [from, end), and in the high bits of places at
// which of them all three bytes agree. The lowest one does; those above it may not, since
// the subtraction borrows.
func (f *finder) words(text []byte, from, end int) (at int, places uint64) {
	a, b, c, fold := f.want[0], f.want[1], f.want[2], ones*uint64(f.fold)
	base := unsafe.Pointer(unsafe.SliceData(text))
	x, y, z := unsafe.Add(base, f.at[0]), unsafe.Add(base, f.at[1]), unsafe.Add(base, f.at[2])
	if fold == 0 { // Fast path
		for ; from < end; from += 8 {
			differ := (word(x, from) ^ a) | (word(y, from) ^ b) | (word(z, from) ^ c)
			if places = (differ - ones) &^ differ & highs; places != 0 {
				return from, places
			}
		}
		return from, 0
	}
	for ; from < end; from += 8 {
		differ := ((word(x, from) | fold) ^ a) | ((word(y, from) | fold) ^ b) | ((word(z, from) | fold) ^ c)
		if places = (differ - ones) &^ differ & highs; places != 0 {
			return from, places
		}
	}
	return from, 0
}

func word(text unsafe.Pointer, at int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(text, at))[:])
}

// is tells whether the part begins at a place.
func (f *finder) is(text []byte, begin int) bool {
	if begin+len(f.part) > len(text) {
		return false
	}
	have := text[begin : begin+len(f.part)]
	if f.fold == 0 {
		return string(have) == f.part
	}
	for i, c := range have {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != f.part[i] {
			return false
		}
	}
	return true
}
