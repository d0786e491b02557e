package block

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"etude/trace"
)

// To read one trace, or one page of traces, the reader needs one page of each column, because our writer cuts
// all columns into pages at the same traces. The reader decodes the pages and cuts off the entries of other
// traces before it makes columns. A file of another writer may cut its columns elsewhere; then the reader
// notices and reads the whole row group.

// onlyTraces is a range of traces within one page of every column.
type onlyTraces struct {
	skeleton *skeleton // of the part
	page     int
	from, to int // traces within the page
	of       int // number of traces of the page

	rowFrom, rowTo int // the same range in spans
	rows           int
}

var errPages = errors.New("its pages are not cut as those of other columns")

// cut removes the entries of all other traces.
func (o *onlyTraces) cut(v *values) error {
	if len(v.pages) != len(o.skeleton.pages) {
		return errPages
	}
	return o.cutPage(v, v.pages[o.page])
}

// perSpan is the greatest level of columns that have one value for each span.
const perSpan = 3

// levelsToCut adds the levels that cut needs.
func (w *wants) levelsToCut(l *fileColumn) {
	if w.only == nil {
		return
	}
	if whole := w.only.to-w.only.from == w.only.of; whole || l.rep == 0 || !w.rep && !w.def && l.isPerSpan() {
		return
	}
	w.rep, w.def = true, true
}

func (l *fileColumn) isPerSpan() bool { return l.rep == perSpan && l.def == perSpan }

// cutPage is cut for a page with the given number of entries.
func (o *onlyTraces) cutPage(v *values, entries int) error {
	whole := o.to-o.from == o.of
	switch {
	case v.found != nil: // It was not decoded.
		return nil
	case v.column.rep == 0:
		if entries != o.of || v.column.def != 0 {
			return errPages
		}
		return v.keep(o.from, o.to, o.from, o.to)
	case v.rep == nil && v.column.isPerSpan():
		if len(v.index)+len(v.nums) != o.rows {
			return errPages
		}
		return v.keep(0, 0, o.rowFrom, o.rowTo)
	case v.rep == nil && whole:
		return nil
	}
	if bytes.Count(v.rep, []byte{0}) != o.of || len(v.rep) == 0 || v.rep[0] != 0 {
		return errPages
	}
	if whole {
		return nil
	}
	from := traceAt(v.rep, 0, o.from)
	to := traceAt(v.rep, from, o.to-o.from)
	full := []byte{v.column.def}
	before := bytes.Count(v.def[:from], full)
	return v.keep(from, to, before, before+bytes.Count(v.def[from:to], full))
}

// traceAt returns where a trace begins: the n-th after the trace that begins at from.
func traceAt(rep []uint8, from, n int) int {
	for ; n > 0; n-- {
		next := bytes.IndexByte(rep[from+1:], 0)
		if next < 0 {
			return len(rep)
		}
		from += 1 + next
	}
	return from
}

// keep removes all but a range of entries and a range of values.
func (v *values) keep(from, to, first, last int) error {
	if v.rep != nil {
		v.rep = v.rep[from:to]
	}
	if v.def != nil {
		v.def = v.def[from:to]
	}
	if v.column.typ == format.ByteArray {
		if last > len(v.index) {
			return errEntries
		}
		v.index = v.index[first:last]
		return nil
	}
	if last > len(v.nums) {
		return errEntries
	}
	v.nums = v.nums[first:last]
	return nil
}

// openTrace returns a View of one trace of the part, or nil if the part does not have the trace. The cache keeps whole
// traces: who looks at one asks for it again, and it takes a page of each column to read.
func (p *part) openTrace(ctx context.Context, id trace.TraceID, need *trace.Need) (*trace.View, error) {
	v, err := p.openOnly(ctx, id, need)
	if errors.Is(err, errPages) { // Slow path
		return p.open(ctx, need)
	}
	return v, err
}

func (p *part) openOnly(ctx context.Context, id trace.TraceID, need *trace.Need) (v *trace.View, err error) {
	if err := p.hold(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	defer p.recovered(&v, &err)
	whole, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	number, ok := slices.BinarySearchFunc(whole.skeleton.ids, id, func(a, b trace.TraceID) int { return bytes.Compare(a[:], b[:]) })
	if !ok {
		return nil, nil
	}
	if !isEverything(need) {
		return whole.some(ctx, number, number+1, need, false)
	}
	name := unitName{kind: oneTrace, page: number}
	if u := p.b.cache.get(whole, name); u != nil {
		return u.view, nil
	}
	v, err = whole.some(ctx, number, number+1, need, false)
	if err == nil {
		p.b.cache.put(whole, name, &unit{view: v, bytes: v.ColumnBytes() + traceBytes})
	}
	return v, err
}

// traceBytes estimates the memory of a View of a trace besides its columns.
const traceBytes = 2 << 10

// isEverything reports whether a View has all that a block has.
func isEverything(need *trace.Need) bool {
	for _, level := range levelsBelow {
		if !need.AllKeys[level] {
			return false
		}
	}
	return need.Columns&trace.AllColumns == trace.AllColumns
}

// openPage returns a View of the traces of one page, and how many pages there are.
func (p *part) openPage(ctx context.Context, page int, need *trace.Need) (v *trace.View, pages int, err error) {
	if err := p.hold(ctx); err != nil {
		return nil, 0, err
	}
	defer p.release()
	defer p.recovered(&v, &err)
	whole, err := p.begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	v, err = whole.page(ctx, page, need, false)
	return v, len(whole.skeleton.pages), err
}

// page returns a View of the traces of one page.
func (p *reading) page(ctx context.Context, page int, need *trace.Need, keep bool) (*trace.View, error) {
	from := 0
	for _, n := range p.skeleton.pages[:page] {
		from += n
	}
	return p.some(ctx, from, from+p.skeleton.pages[page], need, keep)
}

// pages is [trace.Pager.Pages].
func (p *part) pages(ctx context.Context) (first []uint32, err error) {
	if err := p.hold(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	defer p.recoveredFrom(&err)
	r, err := p.begin(ctx)
	if err != nil || p.loose || len(r.skeleton.pages) < 2 {
		return nil, err
	}
	first = make([]uint32, 1, len(r.skeleton.pages)+1)
	for i, n := range r.skeleton.pages {
		first = append(first, first[i]+uint32(n))
	}
	return first, nil
}

// openKept is [trace.Pager.OpenPage]. The cache keeps the units that it reads.
func (p *part) openKept(ctx context.Context, page int, need *trace.Need) (v *trace.View, err error) {
	if err := p.hold(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	defer p.recovered(&v, &err)
	whole, err := p.begin(ctx)
	switch {
	case err != nil:
		return nil, err
	case page >= len(whole.skeleton.pages):
		return nil, trace.ErrUnpaged
	}
	if v, err = whole.page(ctx, page, need, true); errors.Is(err, errPages) {
		p.loose = true
		return nil, trace.ErrUnpaged
	}
	return v, err
}

// some returns a View of some traces of one page.
func (p *reading) some(ctx context.Context, from, to int, need *trace.Need, keep bool) (*trace.View, error) {
	one := &reading{part: p.part, dict: p.dict, skeleton: p.skeleton.only(from, to), only: p.skeleton.place(from, to), whole: p, paged: keep}
	if !keep {
		one.scratch = &scratch{read: map[scratchKey]*values{}}
	}
	before := p.dict.Bytes()
	units, err := one.need(ctx, need)
	if grown := p.dict.Bytes() - before; grown > 0 {
		p.b.cache.grow(p, grown)
	}
	if err != nil {
		return nil, err
	}
	return one.assemble(need, units), nil
}

// place returns the page of a range of traces and their place in it.
func (s *skeleton) place(from, to int) *onlyTraces {
	o := &onlyTraces{skeleton: s, from: from, to: to}
	for o.from >= s.pages[o.page] {
		o.from, o.to = o.from-s.pages[o.page], o.to-s.pages[o.page]
		o.page++
	}
	o.of = s.pages[o.page]
	first := from - o.from
	row := s.First[first]
	o.rows = int(s.First[first+o.of] - row)
	o.rowFrom, o.rowTo = int(s.First[from]-row), int(s.First[to]-row)
	return o
}

// only returns the skeleton of some traces.
func (s *skeleton) only(from, to int) *skeleton {
	one := *s
	begin, end := s.First[from], s.First[to]
	one.ids, one.First = s.ids[from:to], make([]uint32, 0, to-from+1)
	for _, row := range s.First[from : to+1] {
		one.First = append(one.First, row-begin)
	}
	one.Trace, one.Scope = make([]uint32, end-begin), s.Scope[begin:end]
	for i, t := range s.Trace[begin:end] {
		one.Trace[i] = t - uint32(from)
	}
	one.extra, one.hasExtra, one.pages, one.lacks = nil, false, nil, maps.Clone(s.lacks)
	return &one
}
