package trace

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"
)

// Assembled Views are not filled by a Table: they consist of columns read from a file.
//
// The rows are sorted by trace id, so the rows of one trace are adjacent. An assembled View therefore needs no
// chain of rows and no index of traces: the rows of a trace are a range, and binary search finds a trace.
// Columns that were not read are nil. Reading an undeclared attribute is a bug, and panics; so does indexing a
// nil column.
//
// The reader keeps one Dict for all Views of a part. It adds the strings of each column that it reads. A View
// has a copy of the Dict from the time when the View was made. So columns remain valid for all later Views, and
// a string has the same code in all of them.

// Assembly is the input of an assembled View. The caller fills it and does not change it afterwards. It sets
// the columns it has read in the View.
type Assembly struct {
	ID       uint64 // of the part in this process; see NewID and View.ID
	Strings  Dict   // a copy: see Dict.Add
	TraceIDs []TraceID
	// First has the first row of each trace and, after them, the number of rows. Trace has the number of the
	// trace for each row.
	First, Trace         []uint32
	Scope, ScopeResource []uint32
	Resources            int
	// Limits of the times; see Part.
	MinStart, MaxEnd          uint64
	FirstArrival, LastArrival int64
}

// NewID returns an id for [View.ID] that is unique among the Tables and parts of this process.
func NewID() uint64 { return tables.Add(1) }

// View returns a View without columns.
func (a *Assembly) View() *View {
	v := &View{assembled: true, resources: a.Resources}
	v.id, v.Strings = a.ID, a.Strings
	v.TraceIDs, v.traceFirst, v.Trace = a.TraceIDs, a.First, a.Trace
	v.Scope, v.ScopeResource = a.Scope, a.ScopeResource
	v.minStart, v.maxEnd = a.MinStart, a.MaxEnd
	v.firstArrival, v.lastArrival = a.FirstArrival, a.LastArrival
	for l := range Level(Levels) {
		v.SetColumns(l, nil, nil)
	}
	return v
}

// SetAttrs sets all attributes of a level.
func (v *View) SetAttrs(l Level, a Attrs) {
	a.dict = &v.Strings
	*v.Attrs(l) = a
}

// SetColumns sets the attributes of a level for some keys: their columns, each key and type once. The View
// panics for other keys, and for requests for the order of a row's attributes.
func (v *View) SetColumns(l Level, keys map[string]bool, columns []Column) {
	if keys == nil {
		keys = map[string]bool{}
	}
	a := Attrs{cols: columns, only: keys}
	for i := range columns {
		a.names.insert(a.nameHash(uint32(i)), a.nameHash)
	}
	v.SetAttrs(l, a)
}

// refuse panics when a key was not read.
func (a *Attrs) refuse(key string) {
	if a.only != nil && !a.only[key] {
		panic(fmt.Sprintf("trace: attribute %q was not declared", key))
	}
}

// NewDict returns a Dict with only the empty string.
func NewDict() *Dict {
	d := &Dict{}
	d.add(nil)
	return d
}

// Add returns the code of a string, a new one if needed. Only one goroutine at a time may add. A copy of the
// Dict does not change. Readers may use it while strings are added, if nothing was added during the copy.
func (d *Dict) Add(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	return d.add(b)
}

// Reserve makes room for a number of strings, and their total bytes, that will be added.
func (d *Dict) Reserve(strings, bytes int) {
	d.data, d.ends = slices.Grow(d.data, bytes), slices.Grow(d.ends, strings)
	d.idx.reserve(strings, d.hashOf)
}

// Bytes is the memory of the strings.
func (d *Dict) Bytes() int { return d.bytes() }

// Memory identifies the memory of the strings. Copies of a Dict share it until strings are added beyond its room; then the
// older copies keep the old memory.
func (d *Dict) Memory() *byte { return unsafe.SliceData(d.data) }

// NewSparse returns a column of numbers in which only the given rows have a value. rows is ascending, and no
// value is zero. The column keeps both slices.
func NewSparse(rows, values []uint32) Sparse { return Sparse{rows: rows, vals: values} }

// Bytes is the memory of the column.
func (s *Sparse) Bytes() int { return s.bytes() }

// Bytes is the memory of the attributes, without the strings.
func (a *Attrs) Bytes() int { return a.bytes() }

// AttrBuilder makes the attributes of one level, row by row, from values that are already codes.
type AttrBuilder struct {
	a Attrs
	w AttrWriter
}

// NewAttrBuilder returns a builder without rows. It gives the default number of columns their own arrays; see
// [Limits].
func NewAttrBuilder() *AttrBuilder {
	b := &AttrBuilder{}
	b.w = newAttrWriter(&b.a, nil)
	b.w.limit(&Limits{Columns: DefaultLimits().Columns})
	return b
}

// Column returns the number of the column of a key and type.
func (b *AttrBuilder) Column(key string, t Type) uint32 {
	b.w.habit = &b.w.habits[0]
	return b.w.column([]byte(key), t)
}

// Add adds an attribute to the row: code for a text or Bool, number for an Int or Double.
func (b *AttrBuilder) Add(column, code uint32, number uint64) {
	w := &b.w
	v := cell{col: column, code: code, num: number}
	if at := int(column) - len(b.a.cols); at >= 0 { // Slow path: a shared column
		w.current = append(w.current, ofShared)
		b.a.shared.add(w.row, uint32(at), v)
		return
	}
	w.current = append(w.current, column)
	v.add(&b.a.cols[column], w.row)
}

// EndRow ends the row and begins the next one.
func (b *AttrBuilder) EndRow() {
	kind := uint32(0)
	for _, column := range b.w.current {
		kind = (kind ^ column) * 0x9e3779b1
	}
	b.w.habit = &b.w.habits[(kind>>16)%habits]
	b.w.end()
	b.w.row++
	b.w.current = b.w.current[:0]
}

// Attrs returns the attributes of the ended rows. The builder must not be used afterwards.
func (b *AttrBuilder) Attrs() Attrs {
	b.a.clip()
	return b.a
}

// spanKey identifies a span within its trace.
type spanKey struct {
	id    SpanID
	kind  uint8
	start uint64
}

// spanSets finds the spans of large traces in an assembled View.
type spanSets struct {
	mu   sync.Mutex
	sets map[uint32]map[spanKey]struct{} // by trace number
}

// fewSpans is the number of spans up to which the spans of a trace are compared one by one.
const fewSpans = 64

func (v *View) hasSpan(number uint32, key spanKey) bool {
	from, to := v.traceFirst[number], v.traceFirst[number+1]
	if to-from > fewSpans { // Slow path
		_, has := v.spanSet(number)[key]
		return has
	}
	for row := from; row < to; row++ {
		if v.SpanID[row] == key.id && v.Kind[row] == key.kind && v.Start[row] == key.start {
			return true
		}
	}
	return false
}

// spanSet returns the spans of a trace.
func (v *View) spanSet(number uint32) map[spanKey]struct{} {
	v.spanSets.mu.Lock()
	defer v.spanSets.mu.Unlock()
	set := v.spanSets.sets[number]
	if set == nil {
		from, to := v.traceFirst[number], v.traceFirst[number+1]
		set = make(map[spanKey]struct{}, to-from)
		for row := from; row < to; row++ {
			set[spanKey{v.SpanID[row], v.Kind[row], v.Start[row]}] = struct{}{}
		}
		if v.spanSets.sets == nil {
			v.spanSets.sets = map[uint32]map[spanKey]struct{}{}
		}
		v.spanSets.sets[number] = set
	}
	return set
}

// ColumnBytes is the memory of the View's columns, including those of other levels, without the strings.
func (v *View) ColumnBytes() int {
	return v.columns.bytes() - v.Strings.bytes()
}
