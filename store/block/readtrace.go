package block

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"etude/trace"
)

// One trace of a row group is read from one page of each column: our writer cuts all
// columns into pages at the same traces. The pages are decoded, and the entries of
// other traces are cut off before anything is made of them. A file of another writer
// may cut its columns elsewhere; that is noticed, and the whole row group is read.

// onlyTrace is a trace by its place in the pages of all columns.
type onlyTrace struct {
	page  int
	pages int // that each column has
	trace int // within the page
	of    int // so many traces that the page has
}

var errPages = errors.New("its pages are not cut as those of other columns")

// cut leaves the entries of the trace.
func (o *onlyTrace) cut(v *values) error {
	if len(v.pages) != o.pages {
		return errPages
	}
	if v.column.rep == 0 {
		if v.pages[o.page] != o.of || v.column.def != 0 {
			return errPages
		}
		return v.keep(o.trace, o.trace+1, o.trace, o.trace+1)
	}
	if bytes.Count(v.rep, []byte{0}) != o.of || len(v.rep) == 0 || v.rep[0] != 0 {
		return errPages
	}
	from := 0
	for range o.trace {
		from += 1 + max(0, bytes.IndexByte(v.rep[from+1:], 0))
	}
	to := len(v.rep)
	if next := bytes.IndexByte(v.rep[from+1:], 0); next >= 0 {
		to = from + 1 + next
	}
	full := []byte{v.column.def}
	before := bytes.Count(v.def[:from], full)
	return v.keep(from, to, before, before+bytes.Count(v.def[from:to], full))
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
	r := &reading{part: p, dict: whole.dict, skeleton: whole.skeleton.only(number), only: whole.skeleton.place(number)}
	before := r.dict.Bytes()
	units, err := r.need(ctx, need)
	if grown := r.dict.Bytes() - before; grown > 0 {
		p.b.cache.grow(whole, grown)
	}
	if err != nil {
		return nil, err
	}
	return r.assemble(need, units), nil
}

// place returns where a trace lies in the pages.
func (s *skeleton) place(number int) *onlyTrace {
	o := &onlyTrace{trace: number, pages: len(s.pages)}
	for o.trace >= s.pages[o.page] {
		o.trace -= s.pages[o.page]
		o.page++
	}
	o.of = s.pages[o.page]
	return o
}

// only returns the skeleton of one trace.
func (s *skeleton) only(number int) *skeleton {
	one := *s
	from, to := s.first[number], s.first[number+1]
	one.ids, one.first = s.ids[number:number+1], []uint32{0, to - from}
	one.trace, one.scope = make([]uint32, to-from), s.scope[from:to]
	one.extra, one.hasExtra, one.pages = nil, false, nil
	return &one
}
