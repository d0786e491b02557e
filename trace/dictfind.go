package trace

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
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

// Containing calls yield with the code of each string that has part in it, in
// order, until yield returns false. Part must not be empty.
func (d *Dict) Containing(part string, yield func(code uint32) bool) {
	d.containing(newFinder(d.text(), part, 0), yield)
}

// ContainingFold is Containing for a part in lower case, of ASCII, that may have any
// case in the strings.
func (d *Dict) ContainingFold(part string, yield func(code uint32) bool) {
	d.containing(newFinder(d.text(), part, toLower), yield)
}

// BeyondASCII calls yield with the code of each string that has a character beyond
// ASCII, in order, until yield returns false.
func (d *Dict) BeyondASCII(yield func(code uint32) bool) {
	d.each(beyondASCII, yield)
}

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

func (d *Dict) containing(f *finder, yield func(code uint32) bool) {
	d.each(func(text []byte, from int) (begin, end int) {
		begin = f.next(text, from)
		return begin, begin + len(f.part)
	}, yield)
}

// text returns all strings, one after the other.
func (d *Dict) text() []byte {
	if len(d.ends) == 0 {
		return nil
	}
	return d.data[:d.ends[len(d.ends)-1]]
}

// each calls yield with the strings that hold a match. Next returns the first match at or
// after a place, below 0 for none.
func (d *Dict) each(next func(text []byte, from int) (begin, end int), yield func(code uint32) bool) {
	text, code := d.text(), 0
	for from := 0; from < len(text); {
		begin, end := next(text, from)
		if begin < 0 {
			return
		}
		code += sort.Search(len(d.ends)-code, func(i int) bool { return int(d.ends[code+i]) > begin })
		if end > int(d.ends[code]) { // it reaches into the next string
			from = begin + 1
			continue
		}
		if !yield(uint32(code)) {
			return
		}
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

func newFinder(text []byte, part string, fold byte) *finder {
	f := &finder{part: part, fold: fold}
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
