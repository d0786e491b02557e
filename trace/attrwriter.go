package trace

import (
	"slices"
	"unsafe"
)

// AttrWriter fills the Attrs of one kind of row. Call begin, the Adds, and end
// for row after row.
type AttrWriter struct {
	a       *Attrs
	dict    *Dict
	most    int               // attributes of a row; see Limits
	own     int               // columns with arrays of their own
	shapes  map[string]uint32 // columns as bytes -> shape
	current []uint32          // columns of the row being written
	dropped int               // of its attributes
	nth     []uint32          // beside current, when the row repeats a column
	seen    []uint32          // by column: how often the row has it; zero between rows
	scratch []byte
	row     uint32
	habits  [habits]habit
	habit   *habit // of the row being written
	cache   attrCache
	sent    []byte // what Again has not found, until the Add that follows
	// The columns of an earlier Table, for their sizes. They hold its memory
	// until this Table is sealed.
	expected *Attrs
}

// habit has the columns of the last row of the same kind: most often the next one has the same.
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

func (w *AttrWriter) limit(l *Limits) { w.most, w.own = within(l.Attributes), within(l.Columns) }

// expect makes room for as much as old holds. Columns get their room when their
// first value comes, since some of old's may not come again.
func (w *AttrWriter) expect(old *Attrs) {
	w.a.shape, w.a.shapeEnds, w.a.shapeCols = room(old.shape), room(old.shapeEnds), room(old.shapeCols)
	w.a.names, w.a.shared = roomyIndex(&old.names), roomyShared(&old.shared)
	w.expected = old
}

// newColumn returns an empty column with the room expected for it.
func (w *AttrWriter) newColumn(key string, t Type) Column {
	c := Column{Key: key, Type: t}
	if w.expected == nil {
		return c
	}
	if number, ok := w.expected.numberOf(hashString(key), key, t); ok && int(number) < len(w.expected.cols) {
		old := &w.expected.cols[number]
		c.Rows, c.Codes, c.Nums = room(old.Rows), room(old.Codes), room(old.Nums)
	}
	return c
}

// begin starts the next row. The kind is any number that rows with the same
// attributes are likely to share.
func (w *AttrWriter) begin(kind uint32) {
	w.row = uint32(len(w.a.shape))
	w.current, w.dropped = w.current[:0], 0
	w.habit = &w.habits[kind%habits]
}

// Again adds an attribute that has been added before, and reports whether it
// has. If not, an Add must follow, whose attribute it may remember. Sent is any
// bytes that tell key, type and value from all others: as the sender wrote them,
// most likely. An attribute past the limit is counted and forgotten.
func (w *AttrWriter) Again(sent []byte) bool {
	if len(w.current) >= w.most {
		w.dropped++
		return true
	}
	v := w.cache.find(sent)
	if v == nil {
		w.sent = sent
		return false
	}
	w.current = append(w.current, v.col)
	v.add(&w.a.cols[v.col], w.row)
	return true
}

// AddText adds a String, Bytes, Array or KVList; AddNum an Int, Double (as IEEE
// bits) or Bool (0 or 1); AddEmpty a key without a value.
func (w *AttrWriter) AddText(key []byte, t Type, value []byte) {
	if len(w.current) >= w.most { // before the value is in the dictionary
		w.dropped++
		return
	}
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
	if len(w.current) >= w.most {
		w.dropped++
		return
	}
	v.col = w.column(key, t)
	if at := int(v.col) - len(w.a.cols); at >= 0 { // Slow path: a shared column
		w.current = append(w.current, ofShared)
		w.a.shared.add(w.row, uint32(at), v)
		w.sent = nil
		return
	}
	w.current = append(w.current, v.col)
	v.add(&w.a.cols[v.col], w.row)
	if w.sent != nil {
		w.cache.put(w.sent, v)
		w.sent = nil
	}
}

// column returns the number of a column, which may be a new one.
func (w *AttrWriter) column(key []byte, t Type) uint32 {
	if at, cols := len(w.current), w.habit.cols; at < len(cols) && int(cols[at]) < len(w.a.cols) { // Fast path
		if c := &w.a.cols[cols[at]]; c.Type == t && c.Key == string(key) {
			return cols[at]
		}
	}
	hash := hashBytes(key)
	if number, known := w.a.numberOf(hash, unsafe.String(unsafe.SliceData(key), len(key)), t); known { // looked at only
		return number
	}
	if len(w.a.cols) < w.own {
		w.a.cols = append(w.a.cols, w.newColumn(string(key), t))
		w.seen = append(w.seen, 0)
	} else {
		w.a.shared.addColumn(key, t)
	}
	w.a.names.insert(hashName(hash, t), w.a.nameHash)
	return uint32(len(w.a.cols) + len(w.a.shared.types) - 1)
}

// nameHash is the hash under which a column is found.
func (a *Attrs) nameHash(number uint32) uint32 {
	if at := int(number) - len(a.cols); at >= 0 {
		return hashName(hashString(a.shared.key(uint32(at))), a.shared.types[at])
	}
	return hashName(hashString(a.cols[number].Key), a.cols[number].Type)
}

// end finishes the row and returns how many of its attributes were dropped.
func (w *AttrWriter) end() (dropped int) {
	h := w.habit
	if len(w.current) > 0 && slices.Equal(h.cols, w.current) { // Fast path
		w.a.shape = append(w.a.shape, h.shape)
		return w.dropped
	}
	w.scratch = w.scratch[:0]
	for _, col := range w.current {
		w.scratch = append(w.scratch, byte(col), byte(col>>8), byte(col>>16), byte(col>>24))
	}
	s, ok := w.shapes[string(w.scratch)]
	if !ok {
		s = uint32(len(w.a.shapeEnds))
		w.addShape()
		w.shapes[string(w.scratch)] = s
	}
	w.a.shape = append(w.a.shape, s)
	h.cols, h.shape = append(h.cols[:0], w.current...), s
	return w.dropped
}

// addShape adds the current columns as a shape.
func (w *AttrWriter) addShape() {
	a := w.a
	if repeats := w.countRepeats(); repeats || len(a.shapeNth) > 0 {
		a.shapeNth = append(a.shapeNth, make([]uint32, len(a.shapeCols)-len(a.shapeNth))...)
		a.shapeNth = append(a.shapeNth, w.nth...)
	}
	a.shapeCols = append(a.shapeCols, w.current...)
	a.shapeEnds = append(a.shapeEnds, uint32(len(a.shapeCols)))
}

// countRepeats fills nth with how often the row had each column before, and
// reports whether it had any.
func (w *AttrWriter) countRepeats() (repeats bool) {
	w.nth = w.nth[:0]
	for _, col := range w.current {
		n := uint32(0)
		if col != ofShared {
			n = w.seen[col]
			w.seen[col]++
		}
		w.nth = append(w.nth, n)
		repeats = repeats || n > 0
	}
	for _, col := range w.current {
		if col != ofShared {
			w.seen[col] = 0
		}
	}
	return repeats
}
