package trace

import (
	"bytes"
	"sort"
	"unsafe"
)

// Containing calls yield with the code of each string that has part in it, in
// order, until yield returns false. Part must not be empty.
//
// All strings are one after the other, so one pass finds part in all of them: it
// looks for the byte of part that a sample of the strings has least often, which
// the processor does many bytes at a time, and compares the other bytes only there.
func (d *Dict) Containing(part string, yield func(code uint32) bool) {
	if len(d.ends) == 0 {
		return
	}
	data := d.data[:d.ends[len(d.ends)-1]]
	at := rarest(data, part)
	text := unsafe.String(unsafe.SliceData(data), len(data))
	code := 0
	for from := at; from < len(data); {
		n := bytes.IndexByte(data[from:], part[at])
		if n < 0 {
			return
		}
		from += n
		begin, end := from-at, from-at+len(part)
		from++
		if end > len(text) || text[begin:end] != part {
			continue
		}
		code += sort.Search(len(d.ends)-code, func(i int) bool { return int(d.ends[code+i]) > begin })
		if end > int(d.ends[code]) {
			continue // it reaches into the next string
		}
		if !yield(uint32(code)) {
			return
		}
		from = int(d.ends[code]) + at // on to the next string
	}
}

// sampled is how many bytes of a dictionary say which bytes are rare.
const sampled = 4096

// rarest returns the place in part of the byte that data has least often.
func rarest(data []byte, part string) (at int) {
	var counts [256]int
	middle := len(data) / 2
	for _, c := range data[middle:min(len(data), middle+sampled)] {
		counts[c]++
	}
	for i := range len(part) {
		if counts[part[i]] < counts[part[at]] {
			at = i
		}
	}
	return at
}
