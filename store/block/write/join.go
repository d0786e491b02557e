package write

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"etude/store/block/layout"
	"etude/trace"
)

// Compaction joins blocks into one. All of them are sorted by trace id, so it walks them side by side. Each
// input has one page of traces in memory, and all traces up to the least of the pages' last ids are complete.
// Compaction fills a row group, writes it, and frees it. So memory holds about one row group and one page of
// each input, independent of the size of the blocks.
//
// Rejected: copying pages whose ranges of ids do not overlap. Ids are random, so each block has traces from the whole
// range, and no page can be copied.

// Input is a block to join. Its Views ascend by trace id: a trace is in one View.
type Input interface {
	TraceIDs(context.Context) ([]trace.TraceID, error) // of all Views
	Next(context.Context) (*trace.View, error)         // nil at the end; it has every column
}

// Join joins blocks into one. The inputs come oldest first. The spans of a trace keep the order of the blocks.
// Join writes a span once even if several blocks have it. It gives the guarantees of [Write]. The options name
// the dedicated columns.
func Join(ctx context.Context, o Options, blocks []Input) (metas []*layout.Meta, err error) {
	o.setDefaults()
	o.Dedicated = o.Format.Allowed(o.Dedicated)
	c := &compactor{ctx: ctx, o: o, first: layout.NewID()}
	for _, b := range blocks {
		c.inputs = append(c.inputs, &joined{Input: b})
	}
	if err := c.run(); err != nil {
		for _, m := range c.further {
			err = errors.Join(err, layout.RemoveFolder(o.FS, layout.Folder(o.Dir, m.ID)))
		}
		return nil, fmt.Errorf("compact %d blocks: %w", len(blocks), err)
	}
	return append([]*layout.Meta{c.meta}, c.further...), nil
}

type compactor struct {
	ctx     context.Context
	o       Options
	inputs  []*joined
	first   layout.ID
	w       *blockWriter
	plan    *plan     // of the row group that Join is filling
	group   planGroup // the same
	meta    *layout.Meta
	further []*layout.Meta // of blocks with more spans of giant traces
}

// joined is a block that Join walks.
type joined struct {
	Input
	view   *trace.View // nil at the end
	next   int         // trace of the view
	source int         // of the view in the plan; -1: it has none yet
}

// advance reads the next page if the current one is finished.
func (in *joined) advance(ctx context.Context) (err error) {
	for in.view == nil || in.next >= len(in.view.TraceIDs) {
		in.next, in.source = 0, -1
		if in.view, err = in.Next(ctx); in.view == nil {
			return err
		}
	}
	return nil
}

func (c *compactor) run() (err error) {
	traces, err := c.countTraces()
	if err != nil {
		return err
	}
	c.w = &blockWriter{o: c.o, id: c.first, ctx: c.ctx}
	dir := layout.Folder(c.o.Dir, c.first)
	if err := c.o.FS.Mkdir(dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, layout.RemoveFolder(c.o.FS, dir))
		}
	}()
	if err := c.w.create(dir, traces); err != nil {
		return err
	}
	if err := c.w.seal(c.walk()); err != nil {
		return err
	}
	c.meta = c.w.meta()
	return c.w.beside(c.meta, dir)
}

// countTraces returns the number of distinct traces of the inputs, which sets the size of the bloom filter.
func (c *compactor) countTraces() (int, error) {
	var all []trace.TraceID
	for _, in := range c.inputs {
		ids, err := in.TraceIDs(c.ctx)
		if err != nil {
			return 0, err
		}
		all = append(all, ids...)
	}
	slices.SortFunc(all, compareIDs)
	return len(slices.Compact(all)), nil
}

func compareIDs(a, b trace.TraceID) int { return bytes.Compare(a[:], b[:]) }

// walk writes all row groups.
func (c *compactor) walk() error {
	c.begin()
	for {
		limit, ok, err := c.limit()
		if err != nil {
			return err
		}
		if !ok {
			return c.flush()
		}
		if err := c.take(limit); err != nil {
			return err
		}
	}
}

// limit returns the id up to which all spans are in memory. It reports whether any spans are left.
func (c *compactor) limit() (limit trace.TraceID, ok bool, err error) {
	for _, in := range c.inputs {
		if err := in.advance(c.ctx); err != nil {
			return limit, false, err
		}
		if in.view == nil {
			continue
		}
		if last := in.view.TraceIDs[len(in.view.TraceIDs)-1]; !ok || compareIDs(last, limit) < 0 {
			limit, ok = last, true
		}
	}
	return limit, ok, nil
}

// take adds all traces up to an id.
func (c *compactor) take(limit trace.TraceID) error {
	var all []found // src is the number of the input
	for i, in := range c.inputs {
		for in.view != nil && in.next < len(in.view.TraceIDs) && compareIDs(limit, in.view.TraceIDs[in.next]) >= 0 {
			all = append(all, found{in.view.TraceIDs[in.next], uint32(i), uint32(in.next)})
			in.next++
		}
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(compareIDs(a.id, b.id), cmp.Compare(a.src, b.src)) })
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].id == all[from].id {
			to++
		}
		if err := c.add(all[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// add adds a trace of some inputs to the row group. If that would become too large, add first writes it and
// begins a new one.
func (c *compactor) add(parts []found) error {
	pieces := c.plan.split(c.joined(parts))
	if first := &pieces[0]; c.group.spans > 0 && !c.plan.fits(c.group.spans+first.spans, c.group.bytes+first.bytes) {
		if err := c.flush(); err != nil {
			return err
		}
		pieces = c.plan.split(c.joined(parts)) // with the sources of the new plan
	}
	t := pieces[0]
	c.group.traces, c.group.spans, c.group.bytes = append(c.group.traces, t), c.group.spans+t.spans, c.group.bytes+t.bytes
	for _, m := range pieces[1:] {
		if err := c.writeFurther(m); err != nil {
			return err
		}
	}
	return nil
}

// joined merges the inputs' parts of a trace.
func (c *compactor) joined(parts []found) planTrace {
	sources := make([]found, len(parts))
	for i, f := range parts {
		sources[i] = found{f.id, c.source(int(f.src)), f.number}
	}
	return c.plan.join(sources)
}

// source returns the number that the view of an input has in the plan.
func (c *compactor) source(input int) uint32 {
	in := c.inputs[input]
	if in.source < 0 {
		in.source = len(c.plan.sources)
		c.plan.sources = append(c.plan.sources, newSource(in.view, input))
	}
	return uint32(in.source)
}

// writeFurther writes a block with more spans of a giant trace.
func (c *compactor) writeFurther(t planTrace) error {
	w := &blockWriter{o: c.o, id: layout.NewID(), ctx: c.ctx}
	m, err := w.write(c.plan, []planGroup{groupOf(t)}, c.first)
	if err == nil {
		c.further = append(c.further, m)
	}
	return err
}

// begin begins a row group.
func (c *compactor) begin() {
	c.plan, c.group = &plan{most: c.o.GroupBytes}, planGroup{}
	for _, in := range c.inputs {
		in.source = -1
	}
}

// flush writes the row group and begins another.
func (c *compactor) flush() error {
	if c.group.spans > 0 {
		groups := []planGroup{c.group}
		g := c.w.shredder(c.plan, groups)
		defer g.begin(nil, 0, 0)
		c.w.sources(c.plan)
		defer c.w.tools.facts.End()
		if err := c.w.group(g, &groups[0]); err != nil {
			return err
		}
		if err := c.w.summed(); err != nil {
			return err
		}
	}
	c.begin()
	return nil
}
