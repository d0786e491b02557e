package trace

import (
	"slices"
	"unsafe"
)

// AttrWriter fills the Attrs of one kind of row. For each row, call begin, the Adds, and end.
type AttrWriter struct {
	a       *Attrs
	dict    *Dict
	most    int               // maximum number of attributes of a row; see Limits
	own     int               // number of columns with their own arrays
	shapes  map[string]uint32 // columns as bytes -> shape
	current []uint32          // columns of the current row
	dropped int               // number of its dropped attributes
	nth     []uint32          // parallel to current, when the row repeats a column
	seen    []uint32          // by column: number of its occurrences in the current row; zero between rows
	scratch []byte
	row     uint32
	habits  [habits]habit
	habit   *habit // of the current row
	cache   attrCache
	sent    []byte // bytes that Again has not found, until the Add that follows
	// The columns of an earlier Table, for their sizes. They keep its memory until this Table is sealed.
	expected *Attrs
}

// habit has the columns of the last row of the same kind. The next one usually has the same.
type habit struct {
	cols  []uint32
	shape uint32 // of cols
}

// habits is the number of kinds that are distinguished, a power of two. Kinds that share a habit are only
// slower to write.
const habits = 64

func newAttrWriter(a *Attrs, dict *Dict) AttrWriter {
	return AttrWriter{a: a, dict: dict, shapes: map[string]uint32{}}
}

func (w *AttrWriter) limit(l *Limits) { w.most, w.own = within(l.Attributes), within(l.Columns) }

// expect makes room for as much as old has. A column gets its room when its first value arrives, because some
// of old's columns may not recur.
func (w *AttrWriter) expect(old *Attrs) {
	w.a.shape, w.a.shapeEnds, w.a.shapeCols = room(old.shape), room(old.shapeEnds), room(old.shapeCols)
	w.a.names, w.a.shared = roomyIndex(&old.names), roomyShared(&old.shared)
	w.expected = old
}

// newColumn returns an empty column with its expected room.
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

// begin starts the next row. The kind is any number that rows with the same attributes are likely to share.
func (w *AttrWriter) begin(kind uint32) {
	w.row = uint32(len(w.a.shape))
	w.current, w.dropped = w.current[:0], 0
	w.habit = &w.habits[kind%habits]
}

// Again adds an attribute that was added before, and reports whether it did. If not, an Add must follow, whose
// attribute it may store. sent is any bytes that identify key, type and value, usually the encoded attribute.
// An attribute beyond the limit is counted and dropped.
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

// AddText adds a String, Bytes, Array or KVList.
func (w *AttrWriter) AddText(key []byte, t Type, value []byte) {
	if len(w.current) >= w.most { // before the value enters the dictionary
		w.dropped++
		return
	}
	known := w.dict.Len()
	code := w.dict.add(value)
	if int(code) == known {
		w.sent = nil // A new text, such as an id, may never recur.
	}
	w.add(key, t, cell{code: code})
}

// AddNum adds an Int, a Double (as IEEE bits) or a Bool (0 or 1).
func (w *AttrWriter) AddNum(key []byte, t Type, value uint64) {
	w.add(key, t, cell{code: uint32(value), num: value})
}

// AddEmpty adds a key without a value.
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

// column returns the number of a column, and adds the column if needed.
func (w *AttrWriter) column(key []byte, t Type) uint32 {
	if at, cols := len(w.current), w.habit.cols; at < len(cols) && int(cols[at]) < len(w.a.cols) { // Fast path
		if c := &w.a.cols[cols[at]]; c.Type == t && c.Key == string(key) {
			return cols[at]
		}
	}
	hash := hashBytes(key)
	if number, known := w.a.numberOf(hash, unsafe.String(unsafe.SliceData(key), len(key)), t); known { // the map does not keep this string
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

// nameHash is the hash under which a column is indexed.
func (a *Attrs) nameHash(number uint32) uint32 {
	if at := int(number) - len(a.cols); at >= 0 {
		return hashName(hashString(a.shared.key(uint32(at))), a.shared.types[at])
	}
	return hashName(hashString(a.cols[number].Key), a.cols[number].Type)
}

// end finishes the row and returns the number of its dropped attributes.
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

// countRepeats fills nth with the number of earlier occurrences of each column in the row. It reports whether
// any column repeats.
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
