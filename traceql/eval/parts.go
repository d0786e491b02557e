package eval

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"etude/trace"
)

// Parts are the parts of a snapshot as one query reads them. Parts opens a part at the first read, and only
// with the declared columns: first the columns of masks, later, to assemble a trace, the columns of whole
// traces. The caller opens a part before it uses it, so an error ends the query there, and loops over rows read
// plain slices that cannot fail.
//
// Any goroutine may use Parts.
type Parts struct {
	ctx      context.Context
	snap     trace.Snapshot
	list     []trace.Part
	needs    func() (rows, whole *trace.Need)
	ids      *trace.Need        // see ByPage
	pager    trace.Pager        // of snap, nil for none
	pairs    trace.PairExcluder // of snap, nil for none
	o        Keep
	resident int // number of resident parts

	views []partView
	dir   atomic.Pointer[directory] // of the resident parts
	mu    sync.Mutex
	order []int // open non-resident parts, in the order of opening
	bytes int   // of their columns, pages and dictionaries
	held  int   // bytes that o.Room counts
	pages map[int]*pagesOf
	dicts map[int]*dictsOf

	loads atomic.Int64
	again []Mask // see Repeated; under againMu
	found bool   // again is known
	// againMu is locked before mu.
	againMu sync.Mutex
}

// partView has the View of a resident part, or of another part, which its goroutine writes under mu.
type partView struct {
	resident atomic.Pointer[trace.View]
	opened   atomic.Pointer[opened]
}

// opened is a View of a non-resident part.
type opened struct {
	view  *trace.View
	has   depth
	bytes int // of the columns
}

// depth says which columns of a part are open.
type depth uint8

const (
	ofTraces depth = iota // the columns of Parts.ids
	ofRows
	ofWhole
)

// Keep has the state that a query uses besides the parts. nil and zero mean none.
type Keep struct {
	Memory Memory  // counts the query's memory, except for columns of parts
	Places *Places // finds the traces of resident parts
	Facts  Facts   // caches facts about other parts
	Open   int     // bytes of the non-resident parts that are open at a time; 64 MiB
	Room   Room    // bounds these bytes for all queries together
	// Searched is called with a View whose texts a pattern has searched; see [trace.Dict.Learn]. Goroutines may call it
	// at the same time.
	Searched func(*trace.View)
}

// Room bounds the bytes of the non-resident parts that all queries have open. Any goroutine may use it.
type Room interface {
	// Enter waits until the query may open a part.
	Enter(context.Context) error
	// Grow counts n bytes more, or fewer. At its bound it ends the query's context.
	Grow(n int)
	// Full reports that the bound is reached: a query then keeps only one part open.
	Full() bool
}

type noRoom struct{}

func (noRoom) Enter(context.Context) error { return nil }
func (noRoom) Grow(int)                    {}
func (noRoom) Full() bool                  { return false }

// Facts caches facts about parts for later queries: the rows of a part that older parts have, too, under a key that identifies
// the part, its rows and the older parts; and filters by their texts.
type Facts interface {
	Repeated(id trace.PartID, key uint64) (rows Mask, known bool)
	KeepRepeated(id trace.PartID, key uint64, rows Mask)
	// Lacks and KeepLacking are about the filters that no span of a part on disk meets.
	Lacks(id trace.PartID, filter string) bool
	KeepLacking(id trace.PartID, filter string)
}

// NewParts returns the parts of a snapshot for a query. Needs declares the columns: rows for reading part by
// part, and whole, which includes rows, for reading whole traces. Parts calls needs once, before it opens the
// first non-resident part. So a query of only resident parts declares nothing.
func NewParts(ctx context.Context, snap trace.Snapshot, needs func() (rows, whole *trace.Need), o Keep) *Parts {
	o.Memory = Unlimited(o.Memory)
	if o.Room == nil {
		o.Room = noRoom{}
	}
	if o.Open <= 0 {
		o.Open = keptBytes
	}
	p := &Parts{ctx: ctx, snap: snap, list: snap.Parts(), o: o}
	p.views = make([]partView, len(p.list))
	for i := range p.list {
		if p.list[i].Resident {
			p.resident++
		}
	}
	if p.resident < len(p.list) {
		p.needs = sync.OnceValues(needs)
		p.pairs, _ = snap.(trace.PairExcluder)
	}
	return p
}

// List returns the parts in the order of arrival.
func (p *Parts) List() []trace.Part { return p.list }

// View returns a View of a part with the columns for reading part by part. It opens the part if necessary.
func (p *Parts) View(part int) (*trace.View, error) { return p.view(part, ofRows) }

// view returns a View with the columns of a depth at least.
func (p *Parts) view(part int, d depth) (*trace.View, error) {
	at := &p.views[part]
	if v := at.resident.Load(); v != nil { // Fast path
		return v, nil
	}
	if o := at.opened.Load(); o != nil && o.has >= d { // Fast path
		return o.view, nil
	}
	if p.list[part].Resident {
		v, err := p.open(part, nil)
		if err == nil {
			at.resident.Store(v)
		}
		return v, err
	}
	if p.ctx.Err() != nil {
		return nil, context.Cause(p.ctx)
	}
	if d == ofTraces && p.ids == nil {
		d = ofRows
	}
	v, err := p.open(part, p.need(d))
	if err != nil {
		return nil, err
	}
	return p.keep(part, opened{view: v, has: d}), nil
}

// need returns the columns that a depth declares.
func (p *Parts) need(d depth) *trace.Need {
	rows, whole := p.needs()
	return [...]*trace.Need{ofTraces: p.ids, ofRows: rows, ofWhole: whole}[d]
}

func (p *Parts) open(part int, need *trace.Need) (*trace.View, error) {
	if !p.list[part].Resident {
		if err := p.o.Room.Enter(p.ctx); err != nil {
			return nil, err
		}
	}
	v, err := p.snap.Open(p.ctx, part, need)
	switch {
	case p.ctx.Err() != nil && err != nil:
		return nil, context.Cause(p.ctx)
	case err != nil:
		return nil, fmt.Errorf("read a part of the stored spans: %w", err)
	case v.Spans() != p.list[part].Spans:
		return nil, fmt.Errorf("read a part of the stored spans: it has %d spans where %d were promised", v.Spans(), p.list[part].Spans)
	}
	return v, nil
}

// keep stores an opened View, unless another goroutine has stored one with as many columns.
func (p *Parts) keep(part int, o opened) *trace.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.views[part].opened.Load()
	if before != nil && before.has >= o.has {
		return before.view
	}
	o.bytes = o.view.ColumnBytes()
	p.bytes += o.bytes
	p.countDict(part, o.view)
	if before == nil {
		p.order = append(p.order, part)
	} else {
		p.bytes -= before.bytes
	}
	p.views[part].opened.Store(&o)
	return o.view
}

// dictsOf are the dictionaries of the Views of a part. Views share one until it grows, or until the cache drops it.
type dictsOf struct {
	seen  map[*byte]bool
	bytes int
}

// countDict counts the dictionary of a View. The caller holds the lock.
func (p *Parts) countDict(part int, v *trace.View) {
	d := p.dicts[part]
	if d == nil {
		if p.dicts == nil {
			p.dicts = map[int]*dictsOf{}
		}
		d = &dictsOf{seen: map[*byte]bool{}}
		p.dicts[part] = d
	}
	if at := v.Strings.Memory(); !d.seen[at] {
		d.seen[at] = true
		d.bytes += v.Strings.Bytes()
		p.bytes += v.Strings.Bytes()
	}
	p.settle()
}

// settle tells the room how many bytes are open. The caller holds the lock.
func (p *Parts) settle() {
	if n := p.bytes - p.held; n != 0 {
		p.held = p.bytes
		p.o.Room.Grow(n)
	}
}

// Close gives back the room of all open parts. The caller does not use the Parts any more.
func (p *Parts) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes = 0
	p.settle()
}

// Release releases the columns of a non-resident part that the query no longer needs. If a Run has the part
// open, the caller uses [Run.Release] instead.
func (p *Parts) Release(part int) {
	if p.list[part].Resident { // Fast path
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.views[part].opened.Load(); o != nil {
		p.bytes -= o.bytes
		p.views[part].opened.Store(nil)
		for i, other := range p.order {
			if other == part {
				p.order = append(p.order[:i], p.order[i+1:]...)
				break
			}
		}
	}
	p.releasePages(part)
	if d := p.dicts[part]; d != nil {
		p.bytes -= d.bytes
		delete(p.dicts, part)
	}
	p.settle()
}

// keptOpen bounds the non-resident Views that a query has open at a time; Keep.Open, keptBytes by default, bounds their
// bytes. A search alternates between the parts of a block, which all cover the block's time.
const (
	keptOpen  = 128
	keptBytes = 64 << 20
)

// oldest returns the part that was opened first, if more are open than the bounds allow. It returns the only one if
// that one has several dictionaries, of which a release leaves one.
func (p *Parts) oldest() (part int, ok bool) {
	if p.resident == len(p.list) { // Fast path
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.order) == 0 || len(p.order) <= keptOpen && p.bytes <= p.o.Open && !p.o.Room.Full():
		return 0, false
	case len(p.order) > 1:
		return p.order[0], true
	}
	d := p.dicts[p.order[0]]
	return p.order[0], d != nil && len(d.seen) > 1 && p.bytes > p.o.Open
}

// overlaps reports whether two parts may have spans at the same time.
func (p *Parts) overlaps(a, b int) bool {
	return p.list[a].MinStart <= p.list[b].MaxEnd && p.list[b].MinStart <= p.list[a].MaxEnd
}
