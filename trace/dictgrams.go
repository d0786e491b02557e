package trace

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
)

// This file rules out that any text of a Table has a part, without reading the texts.
//
// A filter knows the groups of four bytes that the texts have, as a set of their hashes. A part with a group
// that the filter does not know is in no text. The filter knows nothing about a part whose groups all occur,
// such as digits among ids, and [Dict.Containing] must read the texts.
//
// A filter is made only after a query has read the texts, by a goroutine of the queries, so senders pay nothing.
// The texts of a growing Table only grow, so [Dict.Learn] reads each byte once. A reader uses a filter only if it
// covers all texts of its View. Rejected: groups of three bytes, since words that no text has are often made of
// triples that some text has.

// grams has the filter of a Table's texts. All Views of the Table share it.
type grams struct {
	learned  atomic.Pointer[gramSet] // nil: nothing yet
	learning atomic.Bool
}

// gramSet is a filter. It is immutable.
type gramSet struct {
	codes  int  // it covers the texts with codes below
	beyond bool // some text has a character beyond ASCII
	bits   [1 << gramBits / 64]uint64
}

const (
	gramSize  = 4 // bytes in a group
	gramBits  = 17
	gramBytes = 1<<gramBits/8 + 64 // memory of a filter

	// fewBytes of text are read faster than a filter is worth.
	fewBytes = 128 << 10
)

// hashGram hashes four bytes. It makes letters of either case equal.
func hashGram(g uint32) uint32 {
	return (g | ones&0xffffffff*toLower) * 0x9e3779b1 >> (32 - gramBits)
}

func gramAt(text []byte, at int) uint32 { return binary.LittleEndian.Uint32(text[at:]) }

// Lacks reports that surely no string contains part. With fold, part is ASCII in lower case, and no string may
// contain it in any case, nor have a character beyond ASCII. It costs little, and knows nothing before
// [Dict.Learn] was called.
func (d *Dict) Lacks(part string, fold bool) bool {
	if d.grams == nil || len(part) < gramSize {
		return false
	}
	set := d.grams.learned.Load()
	if set == nil || set.codes < d.Len() || fold && set.beyond {
		return false
	}
	text := []byte(part)
	for at := range len(text) - gramSize + 1 {
		if h := hashGram(gramAt(text, at)); set.bits[h>>6]&(1<<(h&63)) == 0 {
			return true
		}
	}
	return false
}

// Learns reports whether [Dict.Learn] would make later calls of Lacks know more.
func (d *Dict) Learns() bool {
	if d.grams == nil || len(d.text()) < fewBytes {
		return false
	}
	set := d.grams.learned.Load()
	return set == nil || set.codes < d.Len()
}

// Learn reads the strings that no earlier call has read, so that Lacks covers them. It takes about 2 ms for the
// first 2 MB of strings, and offers its processor to others meanwhile. If another call is running, it does
// nothing.
func (d *Dict) Learn() {
	if !d.Learns() || !d.grams.learning.CompareAndSwap(false, true) {
		return
	}
	defer d.grams.learning.Store(false)
	var set gramSet
	if before := d.grams.learned.Load(); before != nil {
		set = *before
	}
	if set.codes >= d.Len() {
		return
	}
	text := d.text()
	if set.codes > 0 {
		text = text[d.ends[set.codes-1]:]
	}
	set.add(text)
	set.codes = d.Len()
	d.grams.learned.Store(&set)
}

// learnedAtOnce is the number of bytes that Learn reads before it offers its processor to others.
const learnedAtOnce = 64 << 10

// add adds the groups of a text. Groups of neighbouring strings do no harm.
func (s *gramSet) add(text []byte) {
	if begin, _ := beyondASCII(text, 0); begin >= 0 {
		s.beyond = true
	}
	for at := 0; at+gramSize <= len(text); at++ {
		h := hashGram(gramAt(text, at))
		s.bits[h>>6] |= 1 << (h & 63)
		if at%learnedAtOnce == learnedAtOnce-1 {
			runtime.Gosched()
		}
	}
}
