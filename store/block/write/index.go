package write

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"

	"etude/store/block/layout"
	"github.com/parquet-go/parquet-go/format"
)

// chunkIndex is the column index and the offset index of one chunk.
type chunkIndex struct {
	columns format.ColumnIndex
	offsets format.OffsetIndex
}

// add adds a page.
func (x *chunkIndex) add(offset int64, size int, firstRow int64, b bound, nulls int) {
	x.offsets.PageLocations = append(x.offsets.PageLocations, format.PageLocation{Offset: offset, CompressedPageSize: int32(size), FirstRowIndex: firstRow})
	x.columns.NullPages = append(x.columns.NullPages, b.none)
	x.columns.NullCounts = append(x.columns.NullCounts, int64(nulls))
	if b.none || b.min == nil {
		b.min = []byte{}
	}
	if b.none || b.max == nil {
		b.max = []byte{}
	}
	x.columns.MinValues = append(x.columns.MinValues, b.min)
	x.columns.MaxValues = append(x.columns.MaxValues, b.max)
}

// finish finds the bounds of the chunk and whether its pages are in order.
func (x *chunkIndex) finish(l *layout.Leaf, m *format.ColumnMetaData) {
	compare := comparer(l)
	c := &x.columns
	ascending, descending, last := true, true, -1
	least, most := -1, -1
	for i, none := range c.NullPages {
		if none {
			continue
		}
		if last >= 0 {
			low, high := compare(c.MinValues[last], c.MinValues[i]), compare(c.MaxValues[last], c.MaxValues[i])
			ascending = ascending && low <= 0 && high <= 0
			descending = descending && low >= 0 && high >= 0
		}
		if least < 0 || compare(c.MinValues[i], c.MinValues[least]) < 0 {
			least = i
		}
		if most < 0 || compare(c.MaxValues[i], c.MaxValues[most]) > 0 {
			most = i
		}
		last = i
	}
	switch {
	case ascending:
		c.BoundaryOrder = format.Ascending
	case descending:
		c.BoundaryOrder = format.Descending
	}
	if least >= 0 && l.Field != layout.FieldEtude {
		m.Statistics.MinValue, m.Statistics.MaxValue = c.MinValues[least], c.MaxValues[most]
	}
}

// comparer compares values of a column in plain encoding.
func comparer(l *layout.Leaf) func(a, b []byte) int {
	switch {
	case l.Typ == format.Int32 && l.Logical == layout.Unsigned32:
		return func(a, b []byte) int {
			return cmp.Compare(binary.LittleEndian.Uint32(a), binary.LittleEndian.Uint32(b))
		}
	case l.Typ == format.Int32:
		return func(a, b []byte) int {
			return cmp.Compare(int32(binary.LittleEndian.Uint32(a)), int32(binary.LittleEndian.Uint32(b)))
		}
	case l.Typ == format.Int64 && l.Logical == layout.Unsigned64:
		return func(a, b []byte) int {
			return cmp.Compare(binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b))
		}
	case l.Typ == format.Int64:
		return func(a, b []byte) int {
			return cmp.Compare(int64(binary.LittleEndian.Uint64(a)), int64(binary.LittleEndian.Uint64(b)))
		}
	case l.Typ == format.Double:
		return func(a, b []byte) int {
			return cmp.Compare(math.Float64frombits(binary.LittleEndian.Uint64(a)), math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	}
	return bytes.Compare
}
