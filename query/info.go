package query

import (
	"cmp"
	"slices"
	"sync"

	"etude/trace"
)

// info is what a query wants to know about a View and the View does not keep:
// when each of its traces began and ended, and their order; the distinct values
// of columns that somebody has asked for. It is made when first asked for and kept as long as the View is in use; a growing table has a
// new View, and so a new info, after every change.
type info struct {
	v    *trace.View
	once sync.Once

	start, end []uint64 // by trace number, of the rows in this View alone
	order      []uint32 // trace numbers, newest start first, then by id

	// Made when first called.
	all      func() *selection // of all spans
	roots    func() []uint32   // see apparentRoots
	messages func() column     // status messages

	mu    sync.Mutex
	lists map[columnID]*distinct // of all spans; see keepList
	kept  int                    // bytes that the lists take
}

func newInfo(v *trace.View) *info {
	return &info{
		v:        v,
		all:      sync.OnceValue(func() *selection { return newSelection(v, nil) }),
		roots:    sync.OnceValue(func() []uint32 { return apparentRoots(v) }),
		messages: sync.OnceValue(func() column { return messageColumn(v) }),
	}
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

// maxKept bounds the bytes that lists of a View's values take, for each of its
// rows; a row itself takes hundreds.
const maxKept = 16

// values calls yield with the distinct values of a column, the newest first,
// until it returns false.
func (in *info) values(c column, yield func(TagValue) bool) {
	in.mu.Lock()
	d := in.lists[c.id]
	if d == nil {
		d = in.keepList(c)
	}
	in.mu.Unlock()
	d.each(func(n int) (found []uint32, done bool) {
		in.mu.Lock()
		defer in.mu.Unlock()
		before := d.memory()
		found, done = d.upTo(n)
		in.kept += d.memory() - before
		return found, done
	}, yield)
}

// keepList begins the list of a column. Lists that together have grown too large
// are all forgotten first; who reads one goes on with it. The lock is held.
func (in *info) keepList(c column) *distinct {
	if in.lists == nil || in.kept > maxKept*in.v.Spans() {
		in.lists, in.kept = map[columnID]*distinct{}, 0
	}
	var keep func(row uint32) bool
	if c.of == resourceTable || c.of == scopeTable {
		keep = in.all().keep(c.of)
	}
	d := newDistinct(in.v, c, keep)
	in.lists[c.id] = d
	in.kept += d.memory()
	return d
}
