package trace

import (
	"iter"
	"sort"
)

// Column is one sparse attribute column: all values of one key and one type. Row Rows[i] has the value Codes[i]
// (String, Bytes, Array, KVList: a dictionary code; Bool: 0 or 1) or Nums[i] (Int, Double as IEEE bits). An
// Empty column has only rows. Rows ascend; a row with the key twice occurs twice.
type Column struct {
	Key   string
	Type  Type
	Rows  []uint32
	Codes []uint32
	Nums  []uint64
}

// Range returns the positions [from, to) of a row in the column; from == to when the row has no value in it.
func (c *Column) Range(row uint32) (from, to int) {
	from = firstOf(c.Rows, row)
	for to = from; to < len(c.Rows) && c.Rows[to] == row; to++ {
	}
	return from, to
}

// firstOf returns the first position of a row, or of the next one.
func firstOf(rows []uint32, row uint32) int {
	return sort.Search(len(rows), func(i int) bool { return rows[i] >= row })
}

// Attrs has the attributes of one kind of row (spans, resources, scopes, events or links). Besides the columns
// it has each row's shape, the list of its columns in their original order. So the order survives, and finding
// the attributes of a row does not search every column. Rows of the same instrumentation share shapes, so a
// shape costs four bytes per row.
//
// A sender that uses an id as a key makes a new column with every span. So only the first [Limits.Columns]
// columns of a Table have their own arrays. Further ones are shared columns; see shared.go. Readers need not
// distinguish them.
type Attrs struct {
	cols   []Column
	names  index // of all columns by key and type: first cols, then the shared ones
	shared shared

	only      map[string]bool // keys that were read; nil for all
	dict      *Dict
	shape     []uint32 // for each row
	shapeEnds []uint32 // shapeEnds[s] is the end of shape s in shapeCols
	shapeCols []uint32 // an index into cols, or ofShared
	// Parallel to shapeCols: the number of earlier attributes of the row in the same column. Empty as long as
	// no row has repeated a key.
	shapeNth []uint32
}

// ofShared marks an attribute of a shared column in a shape.
const ofShared = ^uint32(0)

// Find returns the column of a key and type, or nil. For a shared column it builds the column at each call,
// which reads all values of shared columns.
func (a *Attrs) Find(key string, t Type) *Column {
	number, ok := a.numberOf(hashString(key), key, t)
	if !ok {
		return nil
	}
	if at := int(number) - len(a.cols); at >= 0 {
		return a.shared.column(uint32(at))
	}
	return &a.cols[number]
}

// numberOf returns the number of a column: its index in cols or, after these, the number of a shared column.
func (a *Attrs) numberOf(hash uint32, key string, t Type) (number uint32, ok bool) {
	a.refuse(key)
	for number := range a.names.candidates(hashName(hash, t)) {
		if at := int(number) - len(a.cols); at >= 0 {
			if a.shared.is(at, key, t) { // A value newer than the View is ignored.
				return number, true
			}
		} else if c := &a.cols[number]; c.Type == t && c.Key == key {
			return number, true
		}
	}
	return 0, false
}

// OfKey yields the columns of a key, of all types.
func (a *Attrs) OfKey(key string) iter.Seq[*Column] {
	return func(yield func(*Column) bool) {
		for t := range numTypes {
			if c := a.Find(key, t); c != nil && !yield(c) {
				return
			}
		}
	}
}

// All yields all columns, in the order of their first values.
func (a *Attrs) All() iter.Seq[*Column] {
	a.refuseAll()
	return func(yield func(*Column) bool) {
		for i := range a.cols {
			if !yield(&a.cols[i]) {
				return
			}
		}
		a.shared.all(yield)
	}
}

// Count is the number of attributes of a row.
func (a *Attrs) Count(row uint32) int {
	a.refuseAll()
	from, to := a.shapeOf(row)
	return int(to - from)
}

// Of yields the attributes of a row in their original order.
func (a *Attrs) Of(row uint32) iter.Seq2[string, Value] {
	a.refuseAll()
	return a.of(row)
}

func (a *Attrs) of(row uint32) iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		next := -1 // of the row's values in shared columns
		for i, to := a.shapeOf(row); i < to; i++ {
			col := a.shapeCols[i]
			if col == ofShared {
				if next < 0 {
					next = firstOf(a.shared.rows, row)
				}
				if !yield(a.sharedValue(next)) {
					return
				}
				next++
				continue
			}
			c := &a.cols[col]
			at := firstOf(c.Rows, row)
			if int(i) < len(a.shapeNth) {
				at += int(a.shapeNth[i])
			}
			if !yield(c.Key, a.At(c, at)) {
				return
			}
		}
	}
}

// Value returns the first value of a key in a row, of any type. If only some keys were read, a row's values of
// one key are ordered by type.
func (a *Attrs) Value(row uint32, key string) (v Value, ok bool) {
	hash := hashString(key)
	for t := range numTypes {
		number, known := a.numberOf(hash, key, t)
		if !known {
			continue
		}
		if int(number) >= len(a.cols) {
			return a.firstValue(row, key)
		}
		c := &a.cols[number]
		at := firstOf(c.Rows, row)
		if at == len(c.Rows) || c.Rows[at] != row {
			continue
		}
		if ok && a.only != nil && a.shape == nil {
			continue // The order was not read.
		}
		if ok { // The row has the key with several types.
			return a.firstValue(row, key)
		}
		v, ok = a.At(c, at), true
	}
	return v, ok
}

// firstValue is Value by reading all attributes of the row.
func (a *Attrs) firstValue(row uint32, key string) (Value, bool) {
	for k, v := range a.of(row) {
		if k == key {
			return v, true
		}
	}
	return Value{}, false
}

// At returns the value at a position of a column of these Attrs.
func (a *Attrs) At(c *Column, i int) Value {
	switch {
	case c.Type.IsText():
		return Value{Type: c.Type, str: a.dict.Get(c.Codes[i])}
	case c.Type == Bool:
		return Value{Type: Bool, num: uint64(c.Codes[i])}
	case c.Type == Empty:
		return Value{}
	}
	return Value{Type: c.Type, num: c.Nums[i]}
}

// shapeOf returns the range of a row's shape in shapeCols.
func (a *Attrs) shapeOf(row uint32) (from, to uint32) {
	s := a.shape[row]
	if s > 0 {
		from = a.shapeEnds[s-1]
	}
	return from, a.shapeEnds[s]
}

// view returns Attrs with the current lengths that read strings from dict.
func (a *Attrs) view(dict *Dict) Attrs {
	v := *a
	v.dict = dict
	v.cols = append([]Column(nil), a.cols...) // at most Limits.Columns
	return v
}

func (a *Attrs) clip() {
	for i := range a.cols {
		c := &a.cols[i]
		c.Rows, c.Codes, c.Nums = clip(c.Rows), clip(c.Codes), clip(c.Nums)
	}
	a.shared.clip()
	a.shape, a.shapeEnds, a.shapeCols, a.shapeNth = clip(a.shape), clip(a.shapeEnds), clip(a.shapeCols), clip(a.shapeNth)
}

func (a *Attrs) bytes() int {
	n := 4*(cap(a.shape)+cap(a.shapeEnds)+cap(a.shapeCols)+cap(a.shapeNth)+len(a.names.slots)) + a.shared.bytes()
	for i := range a.cols {
		c := &a.cols[i]
		n += 128 + 4*cap(c.Rows) + 4*cap(c.Codes) + 8*cap(c.Nums)
	}
	return n
}

// hashName mixes the hash of a key with a type.
func hashName(key uint32, t Type) uint32 { return key ^ uint32(t)*0x9e3779b1 }
