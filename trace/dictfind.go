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
	at, second := rarest(data, part)
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
		if end > len(text) || text[begin+second] != part[second] || text[begin:end] != part {
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

// A dictionary is sampled in places all over it, since neighbours are often alike.
const samples, sampleBytes = 32, 32

// rarest returns the places in part of the byte that data has least often, and of
// the one that it has least often but for that.
func rarest(data []byte, part string) (at, second int) {
	var counts [256]int
	for i := range samples {
		from := len(data) / samples * i
		for _, c := range data[from:min(len(data), from+sampleBytes)] {
			counts[c]++
		}
	}
	second = len(part) - 1
	for i := range len(part) {
		switch n := counts[part[i]]; {
		case n < counts[part[at]]:
			at, second = i, at
		case i != at && n < counts[part[second]]:
			second = i
		}
	}
	return at, second
}
