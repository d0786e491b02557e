package trace

// Columns returns the columns with their own arrays. The number of a column is its index.
func (a *Attrs) Columns() []Column {
	a.refuseAll()
	return a.cols
}

// Sharing reports whether there are shared columns, beside Columns.
func (a *Attrs) Sharing() bool { return len(a.shared.types) > 0 }

// ColumnCount returns the number of all columns.
func (a *Attrs) ColumnCount() int { return len(a.cols) + len(a.shared.types) }

// Shapes returns the shape of each row, and a number above all shapes. Rows of one shape have the same columns in
// the same order, but for attributes in shared columns.
func (a *Attrs) Shapes() (ofRow []uint32, n int) {
	a.refuseAll()
	return a.shape, len(a.shapeEnds)
}

// ShapeColumns returns the numbers of the columns of a shape, in the original order. Without shared columns these are
// all attributes of its rows; a column that occurs twice has two values in each row.
func (a *Attrs) ShapeColumns(shape uint32) []uint32 {
	from := uint32(0)
	if shape > 0 {
		from = a.shapeEnds[shape-1]
	}
	return a.shapeCols[from:a.shapeEnds[shape]]
}
