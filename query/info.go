package query

import (
	"cmp"
	"slices"
	"sync"

	"etude/trace"
)

// info is what a search wants to know about a View and the View does not keep:
// when each of its traces began and ended, and their order. It is made when
// first asked for and kept as long as the View is in use; a growing table has a
// new View, and so a new info, after every change.
type info struct {
	v    *trace.View
	once sync.Once

	start, end []uint64 // by trace number, of the rows in this View alone
	order      []uint32 // trace numbers, newest start first, then by id
}

func (in *info) load() *info {
	in.once.Do(in.build)
	return in
}

func (in *info) build() {
	v := in.v
	n := len(v.TraceIDs)
	in.start, in.end = make([]uint64, n), make([]uint64, n)
	for i := range in.start {
		in.start[i] = ^uint64(0)
	}
	for row, number := range v.Trace {
		in.start[number] = min(in.start[number], v.Start[row])
		in.end[number] = max(in.end[number], v.End[row], v.Start[row])
	}
	in.order = make([]uint32, n)
	for i := range in.order {
		in.order[i] = uint32(i)
	}
	slices.SortFunc(in.order, func(a, b uint32) int {
		return newerFirst(in.start[a], v.TraceIDs[a], in.start[b], v.TraceIDs[b])
	})
}

// newerFirst orders traces as answers have them.
func newerFirst(aStart uint64, a trace.TraceID, bStart uint64, b trace.TraceID) int {
	if c := cmp.Compare(bStart, aStart); c != 0 {
		return c
	}
	return slices.Compare(a[:], b[:])
}
