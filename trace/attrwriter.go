package trace

import "slices"

// AttrWriter fills the Attrs of one kind of row. Call begin, the Adds, and end
// for row after row.
type AttrWriter struct {
	a       *Attrs
	dict    *Dict
	keys    Dict              // keys have a dictionary of their own: small, always in cache
	byKey   [][Types]uint32   // key code -> column+1 per type
	shapes  map[string]uint32 // columns as bytes -> shape
	current []uint32          // columns of the row being written
	scratch []byte
	row     uint32
	habits  [habits]habit
	habit   *habit // of the row being written
	cache   attrCache
	sent    []byte // what Again has not found, until the Add that follows
	// The columns of an earlier Table, for their sizes. They hold its memory
	// until this Table is sealed.
	expected []Column
}

// habit is what the row before of the same kind had: most often this one has the
// same columns.
type habit struct {
	cols  []uint32
	shape uint32 // of cols
}

// habits is how many kinds are told apart, a power of two. Kinds that share a
// habit are slower to write, no more.
const habits = 64

func newAttrWriter(a *Attrs, dict *Dict) AttrWriter {
	return AttrWriter{a: a, dict: dict, shapes: map[string]uint32{}}
}

// expect makes room for as much as old holds. Columns get their room when their
// first value comes, since some of old's may not come again.
func (w *AttrWriter) expect(old *Attrs) {
	w.a.shape, w.a.shapeEnds, w.a.shapeCols = room(old.shape), room(old.shapeEnds), room(old.shapeCols)
	w.expected = old.Columns
}

// newColumn returns an empty column with the room expected for it.
func (w *AttrWriter) newColumn(key string, t Type) Column {
	c := Column{Key: key, Type: t}
	for i := range w.expected {
		if old := &w.expected[i]; old.Type == t && old.Key == key {
			c.Rows, c.Codes, c.Nums = room(old.Rows), room(old.Codes), room(old.Nums)
		}
	}
	return c
}

// begin starts the next row. The kind is any number that rows with the same
// attributes are likely to share.
func (w *AttrWriter) begin(kind uint32) {
	w.row = uint32(len(w.a.shape))
	w.current = w.current[:0]
	w.habit = &w.habits[kind%habits]
}

// Again adds an attribute that has been added before, and reports whether it
// has. If not, an Add must follow, whose attribute it may remember. Sent is any
// bytes that tell key, type and value from all others: as the sender wrote them,
// most likely.
func (w *AttrWriter) Again(sent []byte) bool {
	v := w.cache.find(sent)
	if v == nil {
		w.sent = sent
		return false
	}
	w.current = append(w.current, v.col)
	v.add(&w.a.Columns[v.col], w.row)
	return true
}

// AddText adds a String, Bytes, Array or KVList; AddNum an Int, Double (as IEEE
// bits) or Bool (0 or 1); AddEmpty a key without a value.
func (w *AttrWriter) AddText(key []byte, t Type, value []byte) {
	known := w.dict.Len()
	code := w.dict.add(value)
	if int(code) == known {
		w.sent = nil // A new text, such as an id: it may never come again.
	}
	w.add(key, t, cell{code: code})
}

// AddNum is described at AddText.
func (w *AttrWriter) AddNum(key []byte, t Type, value uint64) {
	w.add(key, t, cell{code: uint32(value), num: value})
}

// AddEmpty is described at AddText.
func (w *AttrWriter) AddEmpty(key []byte) { w.add(key, Empty, cell{}) }

func (w *AttrWriter) add(key []byte, t Type, v cell) {
	v.col = w.column(key, t)
	w.current = append(w.current, v.col)
	v.add(&w.a.Columns[v.col], w.row)
	if w.sent != nil {
		w.cache.put(w.sent, v)
		w.sent = nil
	}
}

// column returns the number of a column, which may be a new one.
func (w *AttrWriter) column(key []byte, t Type) uint32 {
	if at, cols := len(w.current), w.habit.cols; at < len(cols) { // Fast path
		if c := &w.a.Columns[cols[at]]; c.Type == t && c.Key == string(key) {
			return cols[at]
		}
	}
	code := w.keys.add(key)
	if int(code) == len(w.byKey) {
		w.byKey = append(w.byKey, [Types]uint32{})
	}
	if w.byKey[code][t] == 0 {
		w.a.Columns = append(w.a.Columns, w.newColumn(string(key), t))
		w.byKey[code][t] = uint32(len(w.a.Columns))
	}
	return w.byKey[code][t] - 1
}

// end finishes the row.
func (w *AttrWriter) end() {
	h := w.habit
	if len(w.current) > 0 && slices.Equal(h.cols, w.current) { // Fast path
		w.a.shape = append(w.a.shape, h.shape)
		return
	}
	w.scratch = w.scratch[:0]
	for _, col := range w.current {
		w.scratch = append(w.scratch, byte(col), byte(col>>8), byte(col>>16), byte(col>>24))
	}
	s, ok := w.shapes[string(w.scratch)]
	if !ok {
		s = uint32(len(w.a.shapeEnds))
		w.a.shapeCols = append(w.a.shapeCols, w.current...)
		w.a.shapeEnds = append(w.a.shapeEnds, uint32(len(w.a.shapeCols)))
		w.shapes[string(w.scratch)] = s
	}
	w.a.shape = append(w.a.shape, s)
	h.cols, h.shape = append(h.cols[:0], w.current...), s
}
