package query

import (
	"sync"
	"sync/atomic"

	"etude/trace"
)

// info is what a query wants to know about a View and the View does not keep:
// when each of its traces began and ended, and their order; the distinct values
// of columns that somebody has asked for. It is made when first asked for and kept
// as long as the View is in use. A growing table has a new View, and so a new
// info, after every change; it begins with the chronology of the one before.
type info struct {
	v     *trace.View
	once  sync.Once
	times atomic.Pointer[chronology] // until load, that of an earlier View of the Table, or nil

	// Made when first called.
	all      func() *selection // of all spans
	roots    func() []uint32   // see apparentRoots
	messages func() column     // status messages

	mu    sync.Mutex
	lists map[columnID]*distinct // of all spans; see keepList
	kept  int                    // bytes that the lists take
}

// newInfo begins with what is known of an earlier View of the Table, or nil.
func newInfo(v *trace.View, before *info) *info {
	in := &info{
		v:        v,
		all:      sync.OnceValue(func() *selection { return newSelection(v, nil) }),
		roots:    sync.OnceValue(func() []uint32 { return apparentRoots(v) }),
		messages: sync.OnceValue(func() column { return messageColumn(v) }),
	}
	if before != nil {
		in.times.Store(before.times.Load())
	}
	return in
}

// load returns the chronology of the View.
func (in *info) load() *chronology {
	in.once.Do(func() { in.times.Store(chronologyOf(in.v, in.times.Load())) })
	return in.times.Load()
}

// maxKept bounds the bytes that lists of a View's values take, for each of its
// rows; a row itself takes hundreds.
const maxKept = 16

// values calls yield with the distinct values of a column, the newest first,
// until it returns false.
func (in *info) values(c column, yield func(TagValue) bool) {
	in.mu.Lock()
	d := in.lists[c.id()]
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
	if c.level == trace.ResourceLevel || c.level == trace.ScopeLevel {
		keep = in.all().keep(c.level)
	}
	d := newDistinct(in.v, c, keep)
	in.lists[c.id()] = d
	in.kept += d.memory()
	return d
}
