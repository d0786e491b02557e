package trace

import (
	"fmt"
	"slices"
	"sync"
)

// Assembled Views: Views that no Table filled, made of columns that were read.
//
// The rows are sorted by trace id, and those of one trace next to each other. So
// an assembled View needs no chain of rows and no index of traces: the rows of a
// trace are a range, and a trace is found by halving. Columns that were not read
// are nil. Asking for an attribute that was not read is a bug, and panics; a nil column panics by itself.
//
// The reader keeps one Dict for all Views of a part. It adds the strings of each
// column that it reads; a View has the Dict as it was when the View was made. So
// columns stay good for all later Views, and a string has one code in all of them.

// Assembly is the input of an assembled View. The caller fills it, changes none
// of it afterwards, and sets the columns it has read in the View.
type Assembly struct {
	ID       uint64 // of the part in this process; see NewID and View.ID
	Strings  Dict   // a copy: see Dict.Add
	TraceIDs []TraceID
	// First is the row with which each trace begins, and after them the number of
	// rows. Trace has the number of the trace for each row.
	First, Trace         []uint32
	Scope, ScopeResource []uint32
	Resources            int
	// Bounds; see Part.
	MinStart, MaxEnd          uint64
	FirstArrival, LastArrival int64
}

// NewID returns an id for [View.ID] that no other Table or part of this process has.
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

// SetAttrs gives a level all of its attributes.
func (v *View) SetAttrs(l Level, a Attrs) {
	a.dict = &v.Strings
	*v.Attrs(l) = a
}

// SetColumns gives a level the attributes of some keys: their columns, each key and
// type once. The View panics on other keys, and on the order of a row's attributes.
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

// NewDict returns a Dict that has the empty string only.
func NewDict() *Dict {
	d := &Dict{}
	d.add(nil)
	return d
}

// Add returns the code of a string, giving it a new one when it has none. One
// goroutine at a time may add. A copy of the Dict stays as it was: readers may use
// it while strings are added, if nothing was added while it was copied.
func (d *Dict) Add(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	return d.add(b)
}

// Reserve makes room for so many strings that will be added, of so many bytes.
func (d *Dict) Reserve(strings, bytes int) {
	d.data, d.ends = slices.Grow(d.data, bytes), slices.Grow(d.ends, strings)
	d.idx.reserve(strings, d.hashOf)
}

// Bytes is the memory that the strings take.
func (d *Dict) Bytes() int { return d.bytes() }

// NewSparse returns the column of numbers in which only the given rows, which
// ascend, have a value, none of them zero. It keeps both slices.
func NewSparse(rows, values []uint32) Sparse { return Sparse{rows: rows, vals: values} }

// Bytes is the memory that the column takes.
func (s *Sparse) Bytes() int { return s.bytes() }

// Bytes is the memory that the attributes take, the strings aside.
func (a *Attrs) Bytes() int { return a.bytes() }

// AttrBuilder makes the attributes of one level, row by row, from values that are
// codes already.
type AttrBuilder struct {
	a Attrs
	w AttrWriter
}

// NewAttrBuilder returns a builder without rows. It keeps the default number of
// columns with arrays of their own; see [Limits].
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

// Add adds an attribute to the row: the code of a text or Bool, or the number of
// an Int or Double.
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

// Attrs returns the attributes of the rows that were ended. The builder may not be
// used afterwards.
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

// spanSets finds the spans of large traces of an assembled View.
type spanSets struct {
	mu   sync.Mutex
	sets map[uint32]map[spanKey]struct{} // by number of the trace
}

// fewSpans is how many spans of a trace are looked through one by one.
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

// ColumnBytes is the memory that the columns of the View take: those of rows of
// other levels included, the strings aside.
func (v *View) ColumnBytes() int {
	return v.columns.bytes() - v.Strings.bytes()
}
