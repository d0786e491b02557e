package trace

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// Sparse is a column of numbers that are zero in most rows.
type Sparse struct {
	rows []uint32
	vals []uint32
	// absent means that the column was not read; reading it panics.
	absent bool
}

// Get returns the value of a row, 0 when it has none.
func (s *Sparse) Get(row uint32) uint32 {
	s.refuse()
	i, ok := slices.BinarySearchFunc(s.rows, row, cmp.Compare[uint32])
	if !ok {
		return 0
	}
	return s.vals[i]
}

// All yields the rows with a value, in order.
func (s *Sparse) All() iter.Seq2[uint32, uint32] {
	s.refuse()
	return func(yield func(uint32, uint32) bool) {
		for i, row := range s.rows {
			if !yield(row, s.vals[i]) {
				return
			}
		}
	}
}

// refuse panics when the column was not read.
func (s *Sparse) refuse() {
	if s.absent {
		panic("trace: a column was not declared")
	}
}

// Column returns the rows with a value as a column of codes.
func (s *Sparse) Column(t Type) *Column {
	s.refuse()
	return &Column{Type: t, Rows: s.rows, Codes: s.vals}
}

func (s *Sparse) set(row, val uint32) {
	if val != 0 {
		s.rows = append(s.rows, row)
		s.vals = append(s.vals, val)
	}
}

// raise adds to the value of the last row, which is being written.
func (s *Sparse) raise(row uint32, by int) {
	if last := len(s.rows) - 1; by > 0 && last >= 0 && s.rows[last] == row {
		s.vals[last] = raised(s.vals[last], by)
	} else {
		s.set(row, raised(0, by))
	}
}

// raised adds to a count and stops at the type's maximum.
func raised(count uint32, by int) uint32 {
	return uint32(min(uint64(count)+uint64(by), math.MaxUint32))
}

func (s *Sparse) clip()      { s.rows, s.vals = clip(s.rows), clip(s.vals) }
func (s *Sparse) bytes() int { return 4 * (cap(s.rows) + cap(s.vals)) }
