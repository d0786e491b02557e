package trace

import (
	"bytes"
	"slices"
	"unsafe"
)

// Dict maps strings to codes 0, 1, 2, ... in the order of their first appearance. Code 0 is always the empty
// string. The zero Dict is empty. Only a Table's writer adds to it; a View's Dict does not change.
type Dict struct {
	data  []byte   // all strings, concatenated
	ends  []uint32 // ends[c] is the end of string c, which begins at the end of c-1
	idx   index
	grams *grams // nil: none, in a View without a Table
}

// roomyDict returns an empty Dict with room for as much as d has.
func roomyDict(d *Dict) Dict {
	return Dict{data: room(d.data), ends: room(d.ends), idx: roomyIndex(&d.idx), grams: &grams{}}
}

// Len is the number of distinct strings; every code is below it.
func (d *Dict) Len() int { return len(d.ends) }

// Get returns the string of a code. The string shares the dictionary's memory, which is never overwritten, and
// keeps it alive.
func (d *Dict) Get(code uint32) string {
	begin := uint32(0)
	if code > 0 {
		begin = d.ends[code-1]
	}
	b := d.data[begin:d.ends[code]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Size returns the length of the string of a code, in bytes.
func (d *Dict) Size(code uint32) uint32 {
	if code == 0 {
		return d.ends[0]
	}
	return d.ends[code] - d.ends[code-1]
}

// Extends reports whether this Dict has all strings of another with the same codes.
func (d *Dict) Extends(other *Dict) bool {
	n := len(other.ends)
	return n <= len(d.ends) && slices.Equal(d.ends[:n], other.ends) && (n == 0 || bytes.Equal(d.data[:d.ends[n-1]], other.data[:d.ends[n-1]]))
}

// Find returns the code of a string, and false when no row of the Table has it.
func (d *Dict) Find(s string) (uint32, bool) {
	for code := range d.idx.candidates(hashString(s)) {
		if int(code) < len(d.ends) && d.Get(code) == s {
			return code, true
		}
	}
	return 0, false
}

// add returns the code of b, a new one if needed.
func (d *Dict) add(b []byte) uint32 {
	hash := hashBytes(b)
	for code := range d.idx.candidates(hash) {
		if d.Get(code) == string(b) {
			return code
		}
	}
	code := uint32(len(d.ends))
	d.data = append(d.data, b...)
	d.ends = append(d.ends, uint32(len(d.data)))
	d.idx.insert(hash, d.hashOf)
	return code
}

func (d *Dict) hashOf(code uint32) uint32 { return hashString(d.Get(code)) }

// bytes is the memory of the dictionary, with a filter even if no query has needed it yet.
func (d *Dict) bytes() int {
	n := cap(d.data) + 4*cap(d.ends) + 4*len(d.idx.slots)
	if d.grams != nil && len(d.data) >= fewBytes {
		n += gramBytes
	}
	return n
}
