package wal

import (
	"bytes"
	"fmt"
)

// Damage reports that bytes of a segment differ from the written ones. It has its own error type, to
// distinguish it from I/O errors.
type Damage struct {
	File   string
	Offset int64
	Length int64
	Reason string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("damage in %s at offset %d, %d bytes: %s", d.File, d.Offset, d.Length, d.Reason)
}

// scanner walks the records of a segment in memory. Every byte after
// the header belongs to exactly one good record, one damaged stretch, or the
// tail.
type scanner struct {
	data   []byte
	off    int
	damage []Damage
	tail   int // where the bad bytes at the end begin; len(data) when there are none
	reason string
	budget int // remaining bytes that search may check
}

// newScanner begins after the header. It skips a damaged header: the records after it are still good.
func newScanner(data []byte) *scanner {
	_, size, ok := parseHeader(data)
	s := &scanner{data: data, off: size, tail: len(data), budget: 8 * len(data)}
	if !ok {
		s.damage = append(s.damage, Damage{Offset: 0, Length: int64(size), Reason: "bad segment header"})
	}
	return s
}

// next returns the next good record and the bytes it takes.
func (s *scanner) next() (r Record, raw []byte, ok bool) {
	if s.off >= s.tail {
		return r, nil, false
	}
	r, size, reason := parseRecord(s.data[s.off:])
	if reason != "" { // Slow path: the record is bad.
		good := s.search(s.off + 1)
		if good < 0 {
			s.tail, s.reason = s.off, reason
			return r, nil, false
		}
		s.damage = append(s.damage, Damage{Offset: int64(s.off), Length: int64(good - s.off), Reason: reason})
		s.off = good
		r, size, _ = parseRecord(s.data[s.off:])
	}
	r.Offset = int64(s.off)
	s.off += size
	return r, s.data[s.off-size : s.off], true
}

// search returns where the next good record begins, or -1. The budget keeps the time linear, even if the bytes
// imitate long records.
func (s *scanner) search(from int) int {
	for from < len(s.data) && s.budget > 0 {
		i := bytes.Index(s.data[from:], []byte(marker))
		if i < 0 {
			return -1
		}
		from += i
		_, size, reason := parseRecord(s.data[from:])
		if reason == "" {
			return from
		}
		s.budget -= i + max(size, recordSize)
		from++
	}
	return -1
}
