package trace

import "unsafe"

// Shared columns are the columns of a Table beyond [Limits.Columns].
//
// A column with its own arrays costs some hundred bytes, and every View copies its slice headers. That is
// little for the keys of real programs, and too much for a million keys with one value each. The values of all
// shared columns are in one list, in the order of their rows, each with the number of its column. A row's
// values are adjacent, so reading a trace is as fast as with separate columns. A query that names a shared
// column reads the whole list once. Its cost grows linearly with the list, independent of the number of
// columns.
//
// Rejected: to begin a new Table early. This would not limit the columns of one request, and many small Tables
// make every query slower.

// shared has the shared columns and their values. Like all columns they only grow.
type shared struct {
	keys  []byte   // of all columns, concatenated
	ends  []uint32 // ends[n] is the end of column n's key
	types []Type   // of column n

	rows []uint32 // for each value
	cols []uint32 // its column
	vals []uint64 // code or number, according to the type
}

// key returns the key of a column, in the shared memory.
func (s *shared) key(n uint32) string {
	begin := uint32(0)
	if n > 0 {
		begin = s.ends[n-1]
	}
	b := s.keys[begin:s.ends[n]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// is reports whether column n exists and has this key and type.
func (s *shared) is(n int, key string, t Type) bool {
	return n < len(s.types) && s.types[n] == t && s.key(uint32(n)) == key
}

// addColumn returns the number of a new column.
func (s *shared) addColumn(key []byte, t Type) uint32 {
	s.keys = append(s.keys, key...)
	s.ends = append(s.ends, uint32(len(s.keys)))
	s.types = append(s.types, t)
	return uint32(len(s.types) - 1)
}

// add adds a value.
func (s *shared) add(row, col uint32, v cell) {
	val := uint64(v.code)
	if t := s.types[col]; t == Int || t == Double {
		val = v.num
	}
	s.rows, s.cols, s.vals = append(s.rows, row), append(s.cols, col), append(s.vals, val)
}

// sharedValue returns the value at a position of the list.
func (a *Attrs) sharedValue(at int) (key string, v Value) {
	col := a.shared.cols[at]
	v = Value{Type: a.shared.types[col]}
	if v.Type.IsText() {
		v.str = a.dict.Get(uint32(a.shared.vals[at]))
	} else {
		v.num = a.shared.vals[at]
	}
	return a.shared.key(col), v
}

// column builds column n from the list.
func (s *shared) column(n uint32) *Column {
	c := &Column{Key: s.key(n), Type: s.types[n]}
	for at, col := range s.cols {
		if col == n {
			c.appendFrom(s, at)
		}
	}
	return c
}

func (c *Column) appendFrom(s *shared, at int) {
	v := cell{code: uint32(s.vals[at]), num: s.vals[at]}
	v.add(c, s.rows[at])
}

// all yields all columns. It first sorts the list by columns, with counting sort.
func (s *shared) all(yield func(*Column) bool) {
	if len(s.types) == 0 {
		return
	}
	ends := make([]int, len(s.types)+1)
	for _, col := range s.cols {
		ends[col+1]++
	}
	for n := range s.types {
		ends[n+1] += ends[n]
	}
	order := make([]uint32, len(s.cols))
	for at, col := range s.cols {
		order[ends[col]] = uint32(at)
		ends[col]++ // first the position of the column's next value, at last its end
	}
	begin := 0
	for n := range s.types {
		c := &Column{Key: s.key(uint32(n)), Type: s.types[n]}
		for _, at := range order[begin:ends[n]] {
			c.appendFrom(s, int(at))
		}
		if begin = ends[n]; !yield(c) {
			return
		}
	}
}

func (s *shared) clip() {
	s.keys, s.ends, s.types = clip(s.keys), clip(s.ends), clip(s.types)
	s.rows, s.cols, s.vals = clip(s.rows), clip(s.cols), clip(s.vals)
}

func (s *shared) bytes() int {
	return cap(s.keys) + 4*cap(s.ends) + cap(s.types) + 4*(cap(s.rows)+cap(s.cols)) + 8*cap(s.vals)
}

// roomyShared returns an empty shared with room for as much as s has.
func roomyShared(s *shared) shared {
	return shared{keys: room(s.keys), ends: room(s.ends), types: room(s.types), rows: room(s.rows), cols: room(s.cols), vals: room(s.vals)}
}
