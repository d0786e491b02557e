package eval

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"etude/trace"
)

// Parts are the parts of a snapshot as one query reads them. Each is opened when it is first read, and with the
// declared columns only: first those of masks, and those of whole traces when a trace is assembled. The caller opens
// a part before it uses it, so an error ends the query there, and loops over rows read plain slices that cannot fail.
//
// Any goroutine may use Parts.
type Parts struct {
	ctx         context.Context
	snap        trace.Snapshot
	list        []trace.Part
	rows, whole *trace.Need
	o           Keep
	resident    int // how many parts are

	opened []atomic.Pointer[opened]  // written under mu
	dir    atomic.Pointer[directory] // of the resident parts
	mu     sync.Mutex
	order  []int // parts that are not resident, as they were opened
	bytes  int   // of their columns

	loads atomic.Int64
	again []Mask // see Repeated; under againMu
	found bool   // again is
	// againMu is locked before mu.
	againMu sync.Mutex
}

// opened is a View of a part.
type opened struct {
	view  *trace.View
	whole bool // with all columns of Parts.whole
	bytes int  // of the columns of a part that is not resident
}

// Keep has the state that a query uses besides the parts: nil and zero for none.
type Keep struct {
	Memory Memory  // counts the query's memory, except for columns of parts
	Places *Places // finds the traces of resident parts
	Facts  Facts   // caches facts about other parts
}

// Facts keep which rows of a part older parts have too. The key tells the part, its
// rows and the older parts.
type Facts interface {
	Repeated(id trace.PartID, key uint64) (rows Mask, known bool)
	KeepRepeated(id trace.PartID, key uint64, rows Mask)
}

// NewParts returns the parts of a snapshot for a query. Rows declares the columns to read part by part; whole, which
// includes rows, those to read of whole traces.
func NewParts(ctx context.Context, snap trace.Snapshot, rows, whole *trace.Need, o Keep) *Parts {
	o.Memory = Unlimited(o.Memory)
	p := &Parts{ctx: ctx, snap: snap, list: snap.Parts(), rows: rows, whole: whole, o: o}
	p.opened = make([]atomic.Pointer[opened], len(p.list))
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
	if o := p.opened[part].Load(); o != nil && (o.whole || !whole) { // Fast path
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
	before := p.opened[part].Load()
	if before != nil && (before.whole || !o.whole) {
		return before.view
	}
	if !resident {
		o.bytes = o.view.ColumnBytes()
		p.bytes += o.bytes
		if before == nil {
			p.order = append(p.order, part)
		} else {
			p.bytes -= before.bytes
		}
	}
	p.opened[part].Store(&o)
	return o.view
}

// Release releases the columns of a part that is needed no longer, unless it is resident. A Run that has it open is
// told by [Run.Release].
func (p *Parts) Release(part int) {
	if p.list[part].Resident { // Fast path
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.opened[part].Load(); o != nil {
		p.bytes -= o.bytes
		p.opened[part].Store(nil)
		for i, other := range p.order {
			if other == part {
				p.order = append(p.order[:i], p.order[i+1:]...)
				break
			}
		}
	}
}

// keptOpen is how many Views that are not resident a query has open at a time, keptBytes
// how many bytes of columns. A search goes back and forth between the parts of a block,
// which all cover the block's time. The columns themselves are counted by the cache that
// they came from.
const (
	keptOpen  = 128
	keptBytes = 64 << 20
)

// oldest returns the part that was opened first when more are open than are kept.
func (p *Parts) oldest() (part int, ok bool) {
	if p.resident == len(p.list) { // Fast path
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) < 2 || len(p.order) <= keptOpen && p.bytes <= keptBytes {
		return 0, false
	}
	return p.order[0], true
}

// overlaps reports whether two parts may have spans of one time.
func (p *Parts) overlaps(a, b int) bool {
	return p.list[a].MinStart <= p.list[b].MaxEnd && p.list[b].MinStart <= p.list[a].MaxEnd
}
