package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"etude/trace"
)

// Parts on disk page by page.
//
// A search reads only a few traces of a part, so it reads only the pages with these traces. To find candidates
// it reads the pages in which the conditions of the filters may hold, see [trace.Pager]. To load a whole trace
// it reads the trace's page. Candidates come from the same masks as in a whole part, each over the rows of one
// page. The Run records them by the trace numbers of the part. So both ways find the same traces.
//
// A page's View numbers its rows differently from the part's View. So their masks are separate: a Bound belongs
// to one View. Both share only facts by trace number.

// pagesOf are the pages of a part. First never changes: goroutines read it without the lock.
type pagesOf struct {
	first []uint32 // the first trace of each page, and last the number of traces; nil if queries read the part whole
	open  []pageView
}

// pageView is an open page.
type pageView struct {
	page  int
	has   depth
	view  *trace.View
	bytes int
	row   uint32 // the page's first row, as a row of the part
}

// ByPage makes the Parts read whole traces of non-resident parts page by page, if the snapshot can; see
// [Run.SpanAt]. Ids declares the columns that [Run.OpenTraces] makes present. The caller calls ByPage before it
// reads any part.
func (p *Parts) ByPage(ids func() *trace.Need) {
	if p.resident < len(p.list) {
		p.pager, _ = p.snap.(trace.Pager)
		p.ids = ids()
	}
}

// paged returns the pages of a part, or nil if queries read the part whole.
func (p *Parts) paged(part int) (*pagesOf, error) {
	if p.pager == nil || p.list[part].Resident {
		return nil, nil
	}
	p.mu.Lock()
	known, ok := p.pages[part]
	p.mu.Unlock()
	if !ok {
		first, err := p.pager.Pages(p.ctx, part)
		if err != nil {
			return nil, p.failed(err)
		}
		known = &pagesOf{first: first}
		p.mu.Lock()
		if p.pages == nil {
			p.pages = map[int]*pagesOf{}
		}
		p.pages[part] = known
		p.mu.Unlock()
	}
	if known.first == nil {
		return nil, nil
	}
	return known, nil
}

func (p *Parts) failed(err error) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	return fmt.Errorf("read a part of the stored spans: %w", err)
}

// of returns the page that has a trace.
func (o *pagesOf) of(number uint32) int {
	return sort.Search(len(o.first)-2, func(i int) bool { return o.first[i+1] > number })
}

// page returns a View of a page with the columns of a depth at least; or nil if the part turns out to have no pages.
func (p *Parts) page(part, page int, d depth) (*trace.View, error) {
	p.mu.Lock()
	o := p.pages[part]
	if o.first == nil { // Another goroutine found out.
		p.mu.Unlock()
		return nil, nil
	}
	for i := range o.open {
		if w := &o.open[i]; w.page == page && w.has >= d {
			p.mu.Unlock()
			return w.view, nil
		}
	}
	p.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil, context.Cause(p.ctx)
	}
	if err := p.o.Room.Enter(p.ctx); err != nil {
		return nil, err
	}
	v, err := p.pager.OpenPage(p.ctx, part, page, p.need(d))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, trace.ErrUnpaged):
		p.pages[part] = &pagesOf{open: o.open}
		return nil, nil
	case err != nil:
		return nil, p.failed(err)
	case len(v.TraceIDs) != int(o.first[page+1]-o.first[page]):
		return nil, fmt.Errorf("read a part of the stored spans: page %d has %d traces where %d were promised", page, len(v.TraceIDs), o.first[page+1]-o.first[page])
	}
	w := pageView{page: page, has: d, view: v, bytes: v.ColumnBytes()}
	if at := p.views[part].opened.Load(); at != nil { // The open part knows the trace's place.
		for w.row = range at.view.Rows(o.first[page]) {
			break
		}
	}
	o.open = append(o.open, w)
	p.bytes += w.bytes
	p.countDict(part, v)
	return v, nil
}

// releasePages releases the pages of a part. The caller holds the lock.
func (p *Parts) releasePages(part int) {
	if o := p.pages[part]; o != nil {
		for i := range o.open {
			p.bytes -= o.open[i].bytes
		}
		o.open = nil
	}
}

// wholeTrace returns a View with all columns of the trace at a place, and its number there.
func (p *Parts) wholeTrace(at in) (*trace.View, uint32, error) {
	o, err := p.paged(at.view)
	if err != nil {
		return nil, 0, err
	}
	if o != nil {
		page := o.of(at.number)
		first := o.first[page]
		v, err := p.page(at.view, page, ofWhole)
		if v != nil || err != nil {
			return v, at.number - first, err
		}
	}
	v, err := p.view(at.view, ofWhole)
	return v, at.number, err
}

// SpanAt returns the index of the span of a whole trace that is at a row of a part, or -1 if there is none.
func (r *Run) SpanAt(t *Trace, at Ref) int {
	return slices.IndexFunc(t.Spans, func(ref Ref) bool {
		return ref.View == at.View && ref.Row+r.parts.rowOf(at.View, t.View(ref)) == at.Row
	})
}

// rowOf returns the row of the part that corresponds to the first row of a View.
func (p *Parts) rowOf(part int, v *trace.View) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.pages[part]; o != nil {
		for i := range o.open {
			if o.open[i].view == v {
				return o.open[i].row
			}
		}
	}
	return 0
}

// OpenTraces opens a part with only the columns of [Parts.ByPage]. If queries read the part whole, it does the
// same as [Run.Open].
func (r *Run) OpenTraces(part int) error {
	if b := r.bound[part]; b != nil && b.V != nil {
		return nil
	}
	v, err := r.parts.view(part, ofTraces)
	if err != nil {
		return err
	}
	r.tie(part, v).lean = r.parts.ids != nil && !r.parts.list[part].Resident
	return nil
}

// tiePage binds the Program to a View of a page.
func (r *Run) tiePage(part int, v *trace.View) *Bound {
	for _, b := range r.pages[part] {
		if b.V == v {
			return b
		}
	}
	if r.pages == nil {
		r.pages = map[int][]*Bound{}
	}
	b := r.p.bind(r.ctx, v, r.memory)
	r.pages[part] = append(r.pages[part], b)
	return b
}

// prepare finds the candidates of a node's filters page by page. If that is not possible, it opens the part.
func (r *Run) prepare(part int, n node) error {
	if !r.bound[part].lean {
		return nil
	}
	o, err := r.parts.paged(part)
	if err != nil {
		return err
	}
	if o == nil {
		return r.Open(part)
	}
	pages, err := r.sought(part, len(o.first)-1, n)
	if err != nil {
		return err
	}
	if pages == nil || 2*count(pages) > len(pages) {
		return r.Open(part)
	}
	picks := picksOf(n, nil)
	found, err := r.byPage(part, o, pages, picks)
	if err == nil && found == nil {
		return r.Open(part)
	}
	for i := range found {
		r.cands[candKey{picks[i], part}] = found[i]
		if found[i] == nil {
			r.lacking(part, picks[i])
		}
	}
	return err
}

func count(pages []bool) (n int) {
	for _, p := range pages {
		if p {
			n++
		}
	}
	return n
}

// picksOf appends the filters that decide on the candidates of a node.
func picksOf(n node, picks []pick) []pick {
	switch n := n.(type) {
	case pick:
		return append(picks, n)
	case *logical:
		return picksOf(n.r, picksOf(n.l, picks))
	case *structural:
		if n.negated {
			return picksOf(n.r, picks)
		}
		return picksOf(n.r, picksOf(n.l, picks))
	case *group:
		if first := firstNode(n.stages); first != nil {
			return picksOf(first, picks)
		}
	}
	return picks
}

// sought returns the pages in which a span may matter to a node. nil means all pages.
func (r *Run) sought(part, pages int, n node) ([]bool, error) {
	var all []bool
	for _, f := range picksOf(n, nil) {
		met, err := r.soughtBy(part, pages, f)
		if met == nil || err != nil {
			return nil, err
		}
		all = either(all, met)
	}
	return all, nil
}

// either adds the pages of b to a. nil means no pages.
func either(a, b []bool) []bool {
	if a == nil {
		return slices.Clone(b)
	}
	for i, in := range b {
		a[i] = a[i] || in
	}
	return a
}

// soughtBy returns the pages in which a filter may keep a span: the pages in which every clause may hold.
func (r *Run) soughtBy(part, pages int, f pick) (all []bool, err error) {
	if r.excluded(part, int(f)) {
		return make([]bool, pages), nil
	}
	for _, c := range r.p.filters[f].has {
		met, err := r.soughtByClause(part, pages, c)
		switch {
		case err != nil:
			return nil, err
		case met == nil:
		case all == nil:
			all = met
		default:
			for i := range all {
				all[i] = all[i] && met[i]
			}
		}
	}
	return all, nil
}

// soughtByClause returns the pages in which one of the conditions may hold. nil means all pages.
func (r *Run) soughtByClause(part, pages int, c clause) ([]bool, error) {
	all := make([]bool, pages)
	for _, condition := range c {
		if r.parts.snap.Excludes(part, condition) {
			continue
		}
		met, err := r.parts.pager.Seek(r.ctx, part, condition)
		if err != nil {
			return nil, r.parts.failed(err)
		}
		if met == nil {
			return nil, nil
		}
		all = either(all, met)
	}
	return all, nil
}

// byPage returns the candidates of filters from the rows of some pages; the other pages have none. It returns
// nil if the part turns out to have no pages.
func (r *Run) byPage(part int, o *pagesOf, pages []bool, picks []pick) ([]Mask, error) {
	traces := len(r.View(part).TraceIDs)
	found := make([]Mask, len(picks))
	for page, in := range pages {
		if !in {
			continue
		}
		first := o.first[page]
		v, err := r.parts.page(part, page, ofRows)
		if v == nil || err != nil {
			return nil, err
		}
		b := r.tiePage(part, v)
		for i, f := range picks {
			for row := range b.mask(int(f)).Rows {
				if found[i] == nil {
					found[i] = NewMask(traces)
				}
				found[i].Set(first + v.Trace[row])
			}
		}
	}
	for _, m := range found {
		_ = r.memory.Take(8*len(m), Progress{Format: "the candidates of %d filters", A: len(r.cands)}) // the context tells
	}
	return found, nil
}

// openPlaces opens the parts or the pages at the places of a trace.
func (r *Run) openPlaces() error {
	r.atPage = r.atPage[:0]
	for _, at := range r.places {
		b, err := r.openPlace(at)
		if err != nil {
			return err
		}
		r.atPage = append(r.atPage, b)
	}
	return nil
}

func (r *Run) openPlace(at in) (*Bound, error) {
	if b := r.bound[at.view]; b == nil || b.V == nil || b.lean {
		o, err := r.parts.paged(at.view)
		if err != nil {
			return nil, err
		}
		if o != nil {
			v, err := r.parts.page(at.view, o.of(at.number), ofRows)
			if err != nil {
				return nil, err
			}
			if v != nil {
				return r.tiePage(at.view, v), nil
			}
		}
	}
	return nil, r.Open(at.view)
}

// keepsAt reports whether a filter keeps a span at a place of r.places.
func (r *Run) keepsAt(place int, at in, f pick) bool {
	m, known := r.cands[candKey{f, at.view}]
	b := r.atPage[place]
	if known || b == nil {
		if !known {
			m = r.local(at.view, f)
		}
		return m != nil && m.Has(at.number)
	}
	if r.excluded(at.view, int(f)) {
		return false
	}
	number, ok := b.V.FindTrace(r.mayID)
	if !ok {
		return false
	}
	mask := b.mask(int(f))
	for row := range b.V.Rows(number) {
		if mask.Has(row) {
			return true
		}
	}
	return false
}
