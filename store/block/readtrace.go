package block

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"etude/trace"
)

// One trace of a row group, or one page of traces, is read from one page of each column: our writer cuts all
// columns into pages at the same traces. The reader decodes the pages and cuts off the entries of other traces before
// it makes columns. A file of another writer may cut its columns elsewhere; then the reader notices and reads the
// whole row group.

// onlyTraces are some traces by their place in the pages of all columns.
type onlyTraces struct {
	page     int
	pages    int // that each column has
	from, to int // within the page
	of       int // so many traces that the page has
}

var errPages = errors.New("its pages are not cut as those of other columns")

// cut leaves the entries of the traces.
func (o *onlyTraces) cut(v *values) error {
	if len(v.pages) != o.pages {
		return errPages
	}
	if v.column.rep == 0 {
		if v.pages[o.page] != o.of || v.column.def != 0 {
			return errPages
		}
		return v.keep(o.from, o.to, o.from, o.to)
	}
	if bytes.Count(v.rep, []byte{0}) != o.of || len(v.rep) == 0 || v.rep[0] != 0 {
		return errPages
	}
	from := traceAt(v.rep, 0, o.from)
	to := traceAt(v.rep, from, o.to-o.from)
	full := []byte{v.column.def}
	before := bytes.Count(v.def[:from], full)
	return v.keep(from, to, before, before+bytes.Count(v.def[from:to], full))
}

// traceAt returns where the trace begins that comes n traces behind the one at from.
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

// keep leaves a range of entries and a range of values.
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

// openTrace returns a View that has one trace of the part alone, or nil when it does
// not have the trace.
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
	return whole.some(ctx, number, number+1, need)
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
	from := 0
	for _, n := range whole.skeleton.pages[:page] {
		from += n
	}
	v, err = whole.some(ctx, from, from+whole.skeleton.pages[page], need)
	return v, len(whole.skeleton.pages), err
}

// some returns a View of some traces of one page.
func (p *reading) some(ctx context.Context, from, to int, need *trace.Need) (*trace.View, error) {
	one := &reading{part: p.part, dict: p.dict, skeleton: p.skeleton.only(from, to), only: p.skeleton.place(from, to)}
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

// place returns where traces lie in the pages.
func (s *skeleton) place(from, to int) *onlyTraces {
	o := &onlyTraces{from: from, to: to, pages: len(s.pages)}
	for o.from >= s.pages[o.page] {
		o.from, o.to = o.from-s.pages[o.page], o.to-s.pages[o.page]
		o.page++
	}
	o.of = s.pages[o.page]
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
	one.extra, one.hasExtra, one.pages = nil, false, nil
	return &one
}
