package block

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"etude/trace"
)

// Compaction joins blocks into one. All of them are sorted by trace id, so it walks
// them side by side: each input has one page of traces in memory, and what all of
// them have up to the least of their last ids is complete. It fills a row group,
// which is written, and forgotten. So memory holds about a row group and a page of
// each input, however large the blocks are.
//
// Rejected: to copy pages as they are where the ranges of ids do not overlap. Ids are
// random, so each block has traces from the whole range, and pages that could be
// copied do not occur.

// Compact joins blocks, the oldest first, into one with the dedicated columns of the
// last. Spans of a trace come in the order of the blocks; a span that several blocks
// have is written once. What it guarantees is what [Write] does. The inputs stay as
// they are.
func Compact(ctx context.Context, o WriteOptions, blocks []*Block) (metas []*Meta, err error) {
	if len(blocks) == 0 {
		return nil, errors.New("compact: there are no blocks")
	}
	o.setDefaults()
	if o.Dedicated == nil {
		o.Dedicated = blocks[len(blocks)-1].Meta.Dedicated
	}
	o.Dedicated = o.Format.allowed(o.Dedicated)
	c := &compactor{ctx: ctx, o: o, first: NewID()}
	cache := NewCache(inputCache)
	for _, b := range blocks {
		c.inputs = append(c.inputs, newInput(b, cache))
	}
	if err := c.run(); err != nil {
		for _, m := range c.further {
			err = errors.Join(err, removeFolder(o.FS, Folder(o.Dir, m.ID)))
		}
		return nil, fmt.Errorf("compact %d blocks: %w", len(blocks), err)
	}
	return append([]*Meta{c.meta}, c.further...), nil
}

// inputCache is how many bytes are kept of what all pages of a row group share.
const inputCache = 32 << 20

type compactor struct {
	ctx     context.Context
	o       WriteOptions
	inputs  []*input
	first   ID
	w       *blockWriter
	plan    *plan     // of the row group that is being filled
	group   planGroup // the same
	meta    *Meta
	further []*Meta // of blocks with more spans of giant traces
}

// input is a block that is walked.
type input struct {
	b          *Block
	parts      []*part
	part, page int         // to be read next
	view       *trace.View // nil at the end
	next       int         // trace of the view
	source     int         // of the view in the plan; -1: it has none yet
}

// newInput returns the block with parts of its own, which use another cache.
func newInput(b *Block, cache *Cache) *input {
	own := *b
	own.cache = cache
	in := &input{b: &own}
	for _, p := range b.parts {
		mine := newPart(&own, p.number)
		mine.facts = p.facts
		in.parts = append(in.parts, mine)
	}
	return in
}

// advance reads the next page when the present one is used up.
func (in *input) advance(ctx context.Context) error {
	for in.view == nil || in.next >= len(in.view.TraceIDs) {
		in.view, in.next, in.source = nil, 0, -1
		if in.part >= len(in.parts) {
			return nil
		}
		p := in.parts[in.part]
		view, pages, err := p.openPage(ctx, in.page, trace.Everything())
		if errors.Is(err, errPages) { // Another writer's block.
			pages = 1
			view, err = p.open(ctx, trace.Everything())
		}
		if err != nil {
			return err
		}
		in.view = view
		if in.page++; in.page >= pages {
			in.part, in.page = in.part+1, 0
			p.b.cache.drop(&Block{parts: []*part{p}})
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
	dir := Folder(c.o.Dir, c.first)
	if err := c.o.FS.Mkdir(dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeFolder(c.o.FS, dir))
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

// countTraces returns how many different traces the inputs have: the bloom filter
// must be made for as many.
func (c *compactor) countTraces() (int, error) {
	var all []trace.TraceID
	for _, in := range c.inputs {
		for _, p := range in.parts {
			ids, _, err := (&reading{part: p}).readTraceIDs(c.ctx, in.b.footer.groups[p.number].rows)
			if err != nil {
				return 0, err
			}
			all = append(all, ids...)
		}
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

// limit returns the id up to which all spans are in memory, and whether there are any.
func (c *compactor) limit() (limit trace.TraceID, ok bool, err error) {
	for _, in := range c.inputs {
		if err := in.advance(c.ctx); err != nil {
			return limit, false, err
		}
		if in.view == nil {
			continue
		}
		if last := in.view.TraceIDs[len(in.view.TraceIDs)-1]; !ok || less(last, limit) {
			limit, ok = last, true
		}
	}
	return limit, ok, nil
}

// take adds the traces up to an id.
func (c *compactor) take(limit trace.TraceID) error {
	var all []found // src is the number of the input
	for i, in := range c.inputs {
		for in.view != nil && in.next < len(in.view.TraceIDs) && !less(limit, in.view.TraceIDs[in.next]) {
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

// add adds a trace of some inputs to the row group, which is written first when it
// would become too large.
func (c *compactor) add(parts []found) error {
	spans := 0
	for _, f := range parts {
		first := c.inputs[f.src].view
		for range first.Rows(f.number) {
			spans++
		}
	}
	if c.group.spans > 0 && c.group.spans+spans > trace.MaxRows {
		if err := c.flush(); err != nil {
			return err
		}
	}
	for i := range parts {
		parts[i].src = c.source(c.inputs[parts[i].src])
	}
	t := c.plan.join(parts)
	var more []planTrace
	if t.spans > trace.MaxRows { // Slow path: the rest goes to further blocks.
		whole := t
		for t = c.plan.cut(&whole, trace.MaxRows); whole.spans > 0; {
			more = append(more, c.plan.cut(&whole, min(whole.spans, trace.MaxRows)))
		}
	}
	c.group.traces, c.group.spans = append(c.group.traces, t), c.group.spans+t.spans
	for _, m := range more {
		if err := c.writeFurther(m); err != nil {
			return err
		}
	}
	return nil
}

// source returns the number that the view of an input has in the plan.
func (c *compactor) source(in *input) uint32 {
	if in.source < 0 {
		in.source = len(c.plan.sources)
		c.plan.sources = append(c.plan.sources, newSource(in.view))
	}
	return uint32(in.source)
}

// writeFurther writes a block with more spans of a giant trace.
func (c *compactor) writeFurther(t planTrace) error {
	w := &blockWriter{o: c.o, id: NewID(), ctx: c.ctx}
	m, err := w.write(c.plan, []planGroup{{[]planTrace{t}, t.spans}}, c.first)
	if err == nil {
		c.further = append(c.further, m)
	}
	return err
}

// begin begins a row group.
func (c *compactor) begin() {
	c.plan, c.group = &plan{}, planGroup{}
	for _, in := range c.inputs {
		in.source = -1
	}
}

// flush writes the row group and begins another.
func (c *compactor) flush() error {
	if c.group.spans > 0 {
		g := c.w.shredder(c.plan)
		defer g.begin(nil, 0)
		if err := c.w.group(g, &c.group); err != nil {
			return err
		}
	}
	c.begin()
	return nil
}
