package trace

import (
	"bytes"
	"iter"
	"math"
	"slices"
	"sort"
	"sync/atomic"
)

// View is a reader's view of a [Table]: the rows that were complete when it was taken. Its exported slices are
// the columns; readers must not change them. It keeps the Table's memory alive.
//
// An assembled View, see [Assembly], has no Table; its rows are sorted by trace.
type View struct {
	columns
	assembled bool
	resources int     // number of resources, if ResourceDropped was not read
	without   Columns // undeclared columns among those with a row for each event or link
	spanSets  spanSets
}

// ID identifies the Table of this View within this process. All Views of a Table have the same ID, whether
// taken while it grew or after it was sealed, and a row has the same number in all of them.
func (v *View) ID() uint64 { return v.id }

// Spans is the number of rows; rows count from 0 in the order of arrival.
func (v *View) Spans() int { return len(v.Trace) }

// Text returns the string of a dictionary code.
func (v *View) Text(code uint32) string { return v.Strings.Get(code) }

// Times returns the smallest start and the largest end of all rows, in unix nanoseconds; 0, 0 without rows.
func (v *View) Times() (minStart, maxEnd uint64) { return v.minStart, v.maxEnd }

// Arrivals returns the arrival of the first and the newest row, in unix nanoseconds; 0, 0 without rows.
func (v *View) Arrivals() (first, last int64) { return v.firstArrival, v.lastArrival }

// FindTrace returns the number of a trace in this View.
func (v *View) FindTrace(id TraceID) (number uint32, ok bool) {
	l := id.Lookup()
	return l.In(v)
}

// Lookup finds a trace in many Views at little more cost than in one.
type Lookup struct {
	id   TraceID
	hash uint32
}

// Lookup prepares the search for a trace.
func (id TraceID) Lookup() Lookup { return Lookup{id, hashBytes(id[:])} }

// Hash is a hash of the trace's id, the same for all Views of this process.
func (l *Lookup) Hash() uint32 { return l.hash }

// In returns the number of the trace in a View.
func (l *Lookup) In(v *View) (number uint32, ok bool) {
	if v.assembled {
		n, ok := slices.BinarySearchFunc(v.TraceIDs, l.id, func(a, b TraceID) int { return bytes.Compare(a[:], b[:]) })
		return uint32(n), ok
	}
	for number := range v.traceIdx.candidates(l.hash) {
		if int(number) < len(v.traceFirst) && v.TraceIDs[number] == l.id {
			return number, true
		}
	}
	return 0, false
}

// Rows yields the rows of a trace in the order of arrival.
func (v *View) Rows(number uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if v.assembled {
			for row := v.traceFirst[number]; row < v.traceFirst[number+1] && yield(row); row++ {
			}
			return
		}
		for row := v.traceFirst[number]; int(row) < len(v.Trace); {
			if !yield(row) {
				return
			}
			following := atomic.LoadUint32(&v.next[row])
			if following == 0 {
				return
			}
			row = following - 1
		}
	}
}

// HasSpan reports whether the View has a span of a trace with this id, kind and start. Spans that agree in all
// of these are the same span, sent twice.
func (v *View) HasSpan(number uint32, id SpanID, kind uint8, start uint64) bool {
	if v.assembled {
		return v.hasSpan(number, spanKey{id, kind, start})
	}
	for row := range v.spanIdx.candidates(hashSpan(number, id, kind, start)) {
		if int(row) < len(v.Trace) && v.isSpan(row, number, id, kind, start) {
			return true
		}
	}
	return false
}

// Resource returns the resource number of a row.
func (v *View) Resource(row uint32) uint32 { return v.ScopeResource[v.Scope[row]] }

// Resources is the number of resources.
func (v *View) Resources() int { return max(len(v.ResourceDropped), v.resources) }

// Scopes is the number of scopes.
func (v *View) Scopes() int { return len(v.ScopeResource) }

// Duration returns End - Start of a row in nanoseconds. It is 0 for impossible times: a start of 0, which means
// that the sender set none, or an end before the start. Every other start is a time. Rejected: taking all times
// before some year for none, since the fake clocks of programs under test begin in 1970.
func (v *View) Duration(row uint32) int64 { return Took(v.Start[row], v.End[row]) }

// Took is [View.Duration] for given times, in unix nanoseconds.
func Took(start, end uint64) int64 {
	if start == 0 || end <= start {
		return 0
	}
	return int64(min(end-start, math.MaxInt64))
}

// Began returns the start of a row in unix nanoseconds: its Start, or its End if the sender set no start. It is
// 0 if the sender set neither.
func (v *View) Began(row uint32) uint64 {
	if v.Start[row] == 0 {
		return v.End[row]
	}
	return v.Start[row]
}

// Events returns the event rows [from, to) of a span row.
func (v *View) Events(row uint32) (from, to uint32) { return v.Down(EventLevel, row) }

// Links returns the link rows [from, to) of a span row.
func (v *View) Links(row uint32) (from, to uint32) { return v.Down(LinkLevel, row) }

func children(parents []uint32, row uint32) (from, to uint32) {
	i := sort.Search(len(parents), func(i int) bool { return parents[i] >= row })
	j := i
	for j < len(parents) && parents[j] == row {
		j++
	}
	return uint32(i), uint32(j)
}

// setNext publishes that row follows prev in its trace.
func setNext(next []uint32, prev, row uint32) { atomic.StoreUint32(&next[prev], row+1) }
