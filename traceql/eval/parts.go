package eval

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"etude/trace"
)

// Parts are the parts of a snapshot as one query reads them. Each is opened when
// something of it is first read, and then with the declared columns alone: those of
// masks first, and those of whole traces when a trace is put together. The caller
// opens a part before anything is asked of it, so an error ends the query there, and
// loops over rows read plain slices that cannot fail.
//
// Any goroutine may use Parts.
type Parts struct {
	ctx         context.Context
	snap        trace.Snapshot
	list        []trace.Part
	rows, whole *trace.Need
	o           Keep
	resident    int // how many parts are

	mu     sync.Mutex
	opened []opened
	order  []int // parts that are not resident, as they were opened

	loads atomic.Int64
	dir   *directory // under mu; of the resident parts
	again []Mask     // see Repeated; under againMu
	found bool       // again is
	// againMu is locked before mu.
	againMu sync.Mutex
}

// opened is a View of a part.
type opened struct {
	view  *trace.View
	whole bool // with all columns of Parts.whole
	bytes int  // that the query's memory counts
}

// Keep is what a query uses beyond the parts: nil and zero for nothing.
type Keep struct {
	Memory Memory  // counts what the query keeps, Views included that are not resident
	Places *Places // knows where the traces of resident parts are
	Facts  Facts   // keeps what was found out of other parts
}

// Facts keep which rows of a part older parts have too. The key tells the part, its
// rows and the older parts.
type Facts interface {
	Repeated(id trace.PartID, key uint64) (rows Mask, known bool)
	KeepRepeated(id trace.PartID, key uint64, rows Mask)
}

// NewParts returns the parts of a snapshot for a query. Rows declares what is read
// part by part; whole what is read of traces, and it includes rows.
func NewParts(ctx context.Context, snap trace.Snapshot, rows, whole *trace.Need, o Keep) *Parts {
	o.Memory = Unlimited(o.Memory)
	p := &Parts{ctx: ctx, snap: snap, list: snap.Parts(), rows: rows, whole: whole, o: o}
	p.opened = make([]opened, len(p.list))
	for i := range p.list {
		if p.list[i].Resident {
			p.resident++
		}
	}
	return p
}

// List returns the parts, those received first before others.
func (p *Parts) List() []trace.Part { return p.list }

// View returns a View of a part with the columns that are read part by part, and
// opens it if need be.
func (p *Parts) View(part int) (*trace.View, error) { return p.view(part, false) }

// view returns a View with the columns of rows at least, or of whole.
func (p *Parts) view(part int, whole bool) (*trace.View, error) {
	p.mu.Lock()
	o := p.opened[part]
	p.mu.Unlock()
	if o.view != nil && (o.whole || !whole) { // Fast path
		return o.view, nil
	}
	resident := p.list[part].Resident
	need, whole := p.rows, whole || resident
	if whole {
		need = p.whole
	}
	if !resident && p.ctx.Err() != nil {
		return nil, context.Cause(p.ctx)
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
	return p.keep(part, opened{view: v, whole: whole}, resident), nil
}

// keep puts a View in its place, unless another goroutine has opened as much.
func (p *Parts) keep(part int, o opened, resident bool) *trace.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := &p.opened[part]
	if before.view != nil && (before.whole || !o.whole) {
		return before.view
	}
	if !resident {
		o.bytes = o.view.ColumnBytes()
		if before.view == nil {
			p.order = append(p.order, part)
		}
		_ = p.o.Memory.Take(o.bytes-before.bytes, "a part of %d spans more", o.view.Spans()) // the context tells
	}
	*before = o
	return o.view
}

// release lets go of a View that is not resident.
func (p *Parts) release(part int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := &p.opened[part]; o.view != nil && !p.list[part].Resident {
		p.o.Memory.Free(o.bytes)
		*o = opened{}
		for i, other := range p.order {
			if other == part {
				p.order = append(p.order[:i], p.order[i+1:]...)
				break
			}
		}
	}
}

// keptOpen is how many Views that are not resident a search has at a time. It is more
// than the parts of a block, which all cover the block's time.
const keptOpen = 96

// oldest returns the part that was opened first when there are more than keptOpen.
func (p *Parts) oldest() (part int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) <= keptOpen {
		return 0, false
	}
	return p.order[0], true
}

// overlaps tells whether two parts may have spans of one time.
func (p *Parts) overlaps(a, b int) bool {
	return p.list[a].MinStart <= p.list[b].MaxEnd && p.list[b].MinStart <= p.list[a].MaxEnd
}
