package write

import (
	"encoding/binary"
	"slices"

	"etude/store/block/layout"
	"etude/trace"
)

// An attribute has one of three destinations: the list Attrs, an own column, or, if neither can hold it as the
// client sent it, also EtudeExtra. For nearly every row the destinations depend only on keys and types. So the
// shredder decides once per shape (rows with the same keys and types in the same order). If values matter, a
// row takes the slow path: classify.

// Destinations of an attribute other than the numbers of own columns.
const (
	toList  = -1
	nowhere = -2
)

// shaped has the destinations of the attributes of a shape.
type shaped struct {
	dest  []int16
	types []trace.Type
	plain int // number of attributes that go to the list
	list  []listed
	order uint32 // number of its order code; 0 for the order of the file
	slow  bool   // values matter
}

// ownColumns are the own columns of a level in the order of the file.
type ownColumns struct {
	byKey map[string]int16
	list  []*layout.Leaf
	array bool // columns take arrays, too
}

func newOwnColumns(f layout.Format, leaves []*layout.Leaf, of layout.Owner) *ownColumns {
	o := &ownColumns{byKey: map[string]int16{}, array: f == layout.VParquet5}
	for _, l := range leaves {
		if l.Of != of || !l.IsOwn() {
			continue
		}
		key := l.Key
		if l.Field == layout.FieldService {
			key = layout.ServiceKey
		}
		if key != "" {
			o.byKey[key] = int16(len(o.list))
		}
		o.list = append(o.list, l)
	}
	return o
}

// numberOf returns the number of a column of the level.
func (o *ownColumns) numberOf(l *layout.Leaf) int {
	return slices.Index(o.list, l)
}

// fits reports whether an own column takes single values of a type.
func (o *ownColumns) fits(own int16, t trace.Type) bool {
	if o.list[own].Typ == intColumn {
		return t == trace.Int
	}
	return t == trace.String
}

// takesArrays reports whether a column takes all elements of an array.
func (o *ownColumns) takesArrays(own int16) bool {
	return o.array && o.list[own].Field == layout.FieldDedicated
}

// attrRows are the attributes of one level in a row group.
type attrRows struct {
	rows            // a slot for each attribute of the list
	keys   []uint32 // numbers in the texts of keys, one for each attribute
	types  []trace.Type
	vals   []uint64 // number in texts, number, bits; of an array its number in arrays
	arrays []arrayValue

	own    []ownValues // by own column
	orders []uint32    // by parent row
	whole  []uint32    // the parent rows that the schema cannot hold, ascending
}

// ownValues are the values of an own column, in the order of the parent rows.
type ownValues struct {
	has  []uint8  // by parent row: none, single or array
	vals []uint64 // number in texts or number; of an array its number in arrays
}

const (
	singleValue uint8 = iota + 1
	arrayOf
)

// shredAttrs lists the attributes of all present parent rows of a level.
func (g *shredder) shredAttrs(l trace.Level, of layout.Owner) {
	parents, a := &g.rows[of], &g.attrs[l]
	a.reset(len(g.own[l].list), len(parents.at), g.pages)
	max, present := layout.MaxLevel[of], 0
	page := 0
	for slot, def := range parents.def {
		for page < len(parents.ends) && slot == parents.ends[page] {
			a.endPage()
			page++
		}
		rep := parents.rep[slot]
		if def < max {
			a.add(rep, def)
			continue
		}
		n := g.addRow(l, a, present)
		present++
		if n == 0 {
			a.add(rep, def)
			continue
		}
		a.add(rep, max+1)
		for range n - 1 {
			a.add(max+1, max+1)
		}
	}
	for range len(parents.ends) - page {
		a.endPage()
	}
}

func (a *attrRows) reset(own, parents, pages int) {
	a.rows.reset(pages)
	a.keys, a.types, a.vals, a.arrays = a.keys[:0], a.types[:0], a.vals[:0], a.arrays[:0]
	a.whole = a.whole[:0]
	a.orders = zeroed(a.orders, parents)
	if len(a.own) < own {
		a.own = make([]ownValues, own)
	}
	for i := range a.own {
		a.own[i].has, a.own[i].vals = zeroed(a.own[i].has, parents), a.own[i].vals[:0]
	}
}

// addRow adds the attributes of one parent row and returns how many went to the list.
func (g *shredder) addRow(l trace.Level, a *attrRows, parent int) int {
	at := g.rows[layout.OwnerOf[l]].at[parent]
	s := g.plan.sources[at.src]
	f := s.flat(l)
	from, to := f.Row(at.row)
	if from == to {
		return 0
	}
	sh := g.shapeOf(l, s, f.Shapes[at.row], f.Cols[from:to])
	if sh.slow || l == trace.ResourceLevel && g.unnamed(s, f, from, to) {
		var whole bool
		if sh, whole = g.classify(l, s, from, to); whole {
			a.whole = append(a.whole, uint32(parent))
		}
	}
	a.orders[parent] = sh.order
	for i, dest := range sh.dest {
		if dest == nowhere {
			continue
		}
		t, val := sh.types[i], f.Vals[from+uint32(i)]
		switch {
		case t == trace.String:
			val = uint64(s.textOf(uint32(val)))
		case t == trace.Empty || t >= trace.Bytes: // Slow path
			t, val = g.oddValue(a, f.Value(&s.v.Strings, from+uint32(i)))
		}
		if dest == toList {
			a.keys = append(a.keys, s.keyOf(g.keys, l, f.Cols[from+uint32(i)]))
			a.types = append(a.types, t)
			a.vals = append(a.vals, val)
			continue
		}
		own := &a.own[dest]
		if own.has[parent] = singleValue; t == trace.Array {
			own.has[parent] = arrayOf
		}
		own.vals = append(own.vals, val)
	}
	return sh.plain
}

// shapeOf returns the destinations of the attributes of a row.
func (g *shredder) shapeOf(l trace.Level, s *source, shape uint32, cols []uint32) *shaped {
	if shape == 0 {
		return g.compile(l, s.flat(l).Columns, cols)
	}
	if s.shapes[l] == nil {
		s.shapes[l] = make([]*shaped, s.flat(l).MaxShapes)
	}
	sh := s.shapes[l][shape]
	if sh == nil {
		sh = g.compile(l, s.flat(l).Columns, cols)
		s.shapes[l][shape] = sh
	}
	return sh
}

// newShape returns a shape without destinations.
func newShape(names []trace.FlatColumn, cols []uint32) *shaped {
	sh := &shaped{dest: make([]int16, len(cols)), types: make([]trace.Type, len(cols))}
	for i, col := range cols {
		sh.types[i] = names[col].Type
	}
	return sh
}

func (g *shredder) compile(l trace.Level, names []trace.FlatColumn, cols []uint32) *shaped {
	own := g.own[l]
	sh := newShape(names, cols)
	var seen uint64
	for i, col := range cols {
		c := &names[col]
		sh.dest[i] = toList
		dest, ok := own.byKey[c.Key]
		if !ok {
			continue
		}
		if seen>>dest&1 != 0 || c.Type == trace.Array && own.takesArrays(dest) {
			sh.slow = true
		}
		seen |= 1 << dest
		if own.fits(dest, c.Type) {
			sh.dest[i] = dest
		}
	}
	g.finishShape(sh)
	sh.list = listOf(sh, cols)
	return sh
}

// finishShape counts the attributes that go to the list. It records the order if a reader could not restore it.
func (g *shredder) finishShape(sh *shaped) {
	code, pairs, last, asFile := g.code[:0], 0, int16(-1), true
	sh.plain = 0
	for _, dest := range sh.dest {
		switch {
		case dest >= 0:
			code = binary.AppendUvarint(code, uint64(dest))
			code = binary.AppendUvarint(code, uint64(sh.plain))
			pairs++
			asFile = asFile && dest > last
			last = dest
		case dest == toList:
			sh.plain++
			asFile = asFile && pairs == 0
		}
	}
	g.code = code
	if !asFile {
		sh.order = g.orders.number(string(append(binary.AppendUvarint(nil, uint64(pairs)), code...)))
	}
}

// unnamed reports whether a resource has an empty service name: its column would not distinguish it from an absent one.
func (g *shredder) unnamed(s *source, f *trace.Flat, from, to uint32) bool {
	for pos := from; pos < to; pos++ {
		c := &f.Columns[f.Cols[pos]]
		if c.Type == trace.String && c.Key == layout.ServiceKey {
			return f.Vals[pos] == 0
		}
	}
	return false
}

// classify is the slow path of shapeOf: repeated keys, arrays, an empty service name. Whole reports whether the
// schema loses a part of the row.
func (g *shredder) classify(l trace.Level, s *source, from, to uint32) (sh *shaped, whole bool) {
	own, f := g.own[l], s.flat(l)
	sh = newShape(f.Columns, f.Cols[from:to])
	taken := map[int16]int{} // own column -> the attribute in it
	decided := map[int16]bool{}
	for i := int(to-from) - 1; i >= 0; i-- { // The last attribute of a key wins.
		pos := from + uint32(i)
		c := &f.Columns[f.Cols[pos]]
		sh.dest[i] = toList
		dest, ok := own.byKey[c.Key]
		if !ok {
			continue
		}
		elements, fits := 1, own.fits(dest, c.Type)
		if c.Type == trace.Array && own.takesArrays(dest) {
			elements, fits = g.arrayFits(own, dest, f.Value(&s.v.Strings, pos))
		}
		_, full := taken[dest]
		switch {
		case fits && (full || own.takesArrays(dest) && decided[dest]):
			sh.dest[i] = nowhere
		case fits && elements == 0:
			sh.dest[i] = nowhere
		case fits:
			sh.dest[i], taken[dest] = dest, i
		}
		decided[dest] = true
		whole = whole || sh.dest[i] == nowhere || fits && c.Type == trace.Array && elements == 1 ||
			l == trace.ResourceLevel && c.Key == layout.ServiceKey && c.Type == trace.String && f.Vals[pos] == 0
	}
	g.finishShape(sh)
	if whole {
		sh.order = 0
	}
	return sh, whole
}

// arrayFits reports whether a column takes all elements of an array. It returns the number of elements.
func (g *shredder) arrayFits(own *ownColumns, dest int16, v trace.Value) (elements int, fits bool) {
	var a arrayValue
	if !a.parse(v.Str()) {
		return 0, false
	}
	return a.len(), a.len() == 0 || own.fits(dest, a.typ)
}
