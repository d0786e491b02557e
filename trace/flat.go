package trace

// Flat lists all attributes of a level, row after row, and within a row in their original order. For a reader
// of all attributes, each costs a few array accesses, whereas [Attrs.Of] searches every column.
type Flat struct {
	Columns []FlatColumn
	// The attributes of row r are those from Ends[r-1] (0 for row 0) to Ends[r].
	Ends []uint32
	Cols []uint32 // index into Columns
	Vals []uint64 // dictionary code, number, IEEE bits, 0 or 1: see Column
	// Shapes has a number for each row. Rows with the same number have the same columns in the same order; 0
	// means unknown.
	Shapes    []uint32
	MaxShapes int // every shape is less than it
}

// FlatColumn is one column of a Flat.
type FlatColumn struct {
	Key  string
	Type Type
}

// Row returns the range of a row's attributes.
func (f *Flat) Row(row uint32) (from, to uint32) {
	if row > 0 {
		from = f.Ends[row-1]
	}
	return from, f.Ends[row]
}

// Value returns the value at a position, as Attrs.At does.
func (f *Flat) Value(d *Dict, at uint32) Value {
	return FlatValue(d, f.Columns[f.Cols[at]].Type, f.Vals[at])
}

// FlatValue returns a value that a Flat would have as val.
func FlatValue(d *Dict, t Type, val uint64) Value {
	switch {
	case t.IsText():
		return Value{Type: t, str: d.Get(uint32(val))}
	case t == Empty:
		return Value{}
	}
	return Value{Type: t, num: val}
}

// Flat returns the attributes of all rows. It walks the rows in order, with a position in each column, so it
// searches nothing.
func (a *Attrs) Flat() *Flat {
	a.refuseAll()
	f := &Flat{Ends: make([]uint32, len(a.shape)), Shapes: make([]uint32, len(a.shape)), MaxShapes: len(a.shapeEnds) + 1}
	for i := range a.cols {
		f.Columns = append(f.Columns, FlatColumn{a.cols[i].Key, a.cols[i].Type})
	}
	for n, t := range a.shared.types {
		f.Columns = append(f.Columns, FlatColumn{a.shared.key(uint32(n)), t})
	}
	total := 0
	for row := range a.shape {
		total += a.Count(uint32(row))
		f.Ends[row] = uint32(total)
	}
	f.Cols, f.Vals = make([]uint32, 0, total), make([]uint64, 0, total)
	places, shared := make([]int, len(a.cols)), 0
	for row := range a.shape {
		stable := a.shape[row] + 1
		for i, to := a.shapeOf(uint32(row)); i < to; i++ {
			col := a.shapeCols[i]
			if col == ofShared {
				f.Cols = append(f.Cols, uint32(len(a.cols))+a.shared.cols[shared])
				f.Vals = append(f.Vals, a.shared.vals[shared])
				shared++
				stable = 0
				continue
			}
			f.Cols = append(f.Cols, col)
			f.Vals = append(f.Vals, a.cols[col].bits(places[col]))
			places[col]++
		}
		f.Shapes[row] = stable
	}
	return f
}

// bits returns the value at a position in the form of Flat.Vals.
func (c *Column) bits(at int) uint64 {
	switch c.Type {
	case Int, Double:
		return c.Nums[at]
	case Empty:
		return 0
	}
	return uint64(c.Codes[at])
}
