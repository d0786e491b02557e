package write

import (
	"math/bits"

	"etude/trace"
)

// finder finds the values of a sparse column by row, in constant time. For each 64 rows it has a bit for each row
// with a value, and the number of values before.
type finder struct {
	built   bool
	repeats bool // a row has several values
	words   []finderWord
}

type finderWord struct {
	rows   uint64
	before uint32
}

// build indexes a column of a level with so many rows.
func (f *finder) build(column []uint32, rows int) {
	f.built, f.repeats = true, false
	words := (rows + 63) / 64
	f.words = zeroed(f.words, words)
	for _, row := range column {
		w := &f.words[row/64]
		f.repeats = f.repeats || w.rows>>(row%64)&1 != 0
		w.rows |= 1 << (row % 64)
	}
	before := uint32(0)
	for i := range f.words {
		f.words[i].before = before
		before += uint32(bits.OnesCount64(f.words[i].rows))
	}
}

// find returns the position of a row's value, unless rows repeat.
func (f *finder) find(row uint32) (at uint32, ok bool) {
	w := &f.words[row/64]
	bit := uint64(1) << (row % 64)
	return w.before + uint32(bits.OnesCount64(w.rows&(bit-1))), w.rows&bit != 0
}

// level has the attributes of one level of a source. The shredder copies them column by column, if it can decide by
// keys and types alone where each goes.
type level struct {
	attrs   *trace.Attrs
	columns []trace.Column
	names   []trace.FlatColumn // of the columns
	shape   []uint32           // by row
	shapes  []*shaped          // by shape; nil until prepared
	own     []int32            // by own column: the column with its values; -1: none
	finders []finder           // by column
}

// finder returns the finder of a column.
func (v *level) finder(column uint32) *finder {
	if v.finders == nil {
		v.finders = make([]finder, len(v.columns))
	}
	f := &v.finders[column]
	if !f.built {
		f.build(v.columns[column].Rows, len(v.shape))
	}
	return f
}

// value returns a row's value in a column, in the form of a Flat.
func (v *level) value(item listed, row uint32) uint64 {
	f := v.finder(item.column)
	if f.repeats {
		at, _ := v.columns[item.column].Range(row)
		return v.bits(item.column, uint32(at+item.nth))
	}
	at, _ := f.find(row)
	return v.bits(item.column, at)
}
