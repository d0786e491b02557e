package trace

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// Column is one sparse attribute column: all values of one key and one type.
// Row Rows[i] has the value Codes[i] (String, Bytes, Array, KVList: a dictionary
// code; Bool: 0 or 1) or Nums[i] (Int, Double as IEEE bits). An Empty column has
// rows alone. Rows ascend; a row that gives the key twice stands twice.
type Column struct {
	Key   string
	Type  Type
	Rows  []uint32
	Codes []uint32
	Nums  []uint64
}

// Range returns the positions [from, to) of a row in the column; from == to when
// the row has no value here.
func (c *Column) Range(row uint32) (from, to int) {
	from = sort.Search(len(c.Rows), func(i int) bool { return c.Rows[i] >= row })
	for to = from; to < len(c.Rows) && c.Rows[to] == row; to++ {
	}
	return from, to
}

// Attrs are the attributes of one kind of row (spans, resources, scopes, events
// or links). Beside the columns it keeps each row's shape, the list of its
// columns in the order given: the order survives, and the attributes of a row
// are found without asking every column. Rows of one instrumentation share
// shapes, so a shape costs a row four bytes.
type Attrs struct {
	Columns []Column

	dict      *Dict
	shape     []uint32 // one a row
	shapeEnds []uint32 // shapeEnds[s] ends shape s in shapeCols
	shapeCols []uint32
}

// Find returns the column of a key and type, or nil.
func (a *Attrs) Find(key string, t Type) *Column {
	for i := range a.Columns {
		if a.Columns[i].Type == t && a.Columns[i].Key == key {
			return &a.Columns[i]
		}
	}
	return nil
}

// Count is the number of attributes of a row.
func (a *Attrs) Count(row uint32) int { return len(a.shapeOf(row)) }

// Of yields the attributes of a row in the order in which they were sent.
func (a *Attrs) Of(row uint32) iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		cols := a.shapeOf(row)
		for i, col := range cols {
			c := &a.Columns[col]
			at, _ := c.Range(row)
			at += repeats(cols[:i], col)
			if !yield(c.Key, a.value(c, at)) {
				return
			}
		}
	}
}

// Value returns the first value of a key in a row, of whatever type.
func (a *Attrs) Value(row uint32, key string) (Value, bool) {
	for k, v := range a.Of(row) {
		if k == key {
			return v, true
		}
	}
	return Value{}, false
}

// At returns the value at a position of a column of these Attrs.
func (a *Attrs) At(c *Column, i int) Value { return a.value(c, i) }

func (a *Attrs) value(c *Column, i int) Value {
	v := Value{Type: c.Type}
	switch {
	case c.Type.text():
		v.str = a.dict.Get(c.Codes[i])
	case c.Type == Bool:
		v.num = uint64(c.Codes[i])
	case c.Type != Empty:
		v.num = c.Nums[i]
	}
	return v
}

func (a *Attrs) shapeOf(row uint32) []uint32 {
	s := a.shape[row]
	begin := uint32(0)
	if s > 0 {
		begin = a.shapeEnds[s-1]
	}
	return a.shapeCols[begin:a.shapeEnds[s]]
}

func repeats(cols []uint32, col uint32) (n int) {
	for _, c := range cols {
		if c == col {
			n++
		}
	}
	return n
}

// view returns Attrs fixed at the present lengths, reading from dict.
func (a *Attrs) view(dict *Dict) Attrs {
	v := *a
	v.dict = dict
	v.Columns = slices.Clone(a.Columns)
	return v
}

func (a *Attrs) clip() {
	for i := range a.Columns {
		c := &a.Columns[i]
		c.Rows, c.Codes, c.Nums = clip(c.Rows), clip(c.Codes), clip(c.Nums)
	}
	a.shape, a.shapeEnds, a.shapeCols = clip(a.shape), clip(a.shapeEnds), clip(a.shapeCols)
}

func (a *Attrs) bytes() int {
	n := 4 * (cap(a.shape) + cap(a.shapeEnds) + cap(a.shapeCols))
	for i := range a.Columns {
		c := &a.Columns[i]
		n += 128 + 4*cap(c.Rows) + 4*cap(c.Codes) + 8*cap(c.Nums)
	}
	return n
}

// Sparse is a column of numbers in which most rows are zero.
type Sparse struct {
	rows []uint32
	vals []uint32
}

// Get returns the value of a row, 0 when it has none.
func (s *Sparse) Get(row uint32) uint32 {
	i, ok := slices.BinarySearchFunc(s.rows, row, cmp.Compare[uint32])
	if !ok {
		return 0
	}
	return s.vals[i]
}

// All yields the rows that have a value, in order.
func (s *Sparse) All() iter.Seq2[uint32, uint32] {
	return func(yield func(uint32, uint32) bool) {
		for i, row := range s.rows {
			if !yield(row, s.vals[i]) {
				return
			}
		}
	}
}

func (s *Sparse) set(row, val uint32) {
	if val != 0 {
		s.rows = append(s.rows, row)
		s.vals = append(s.vals, val)
	}
}

func (s *Sparse) clip()      { s.rows, s.vals = clip(s.rows), clip(s.vals) }
func (s *Sparse) bytes() int { return 4 * (cap(s.rows) + cap(s.vals)) }
