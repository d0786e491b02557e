package block

import (
	"context"
	"errors"

	"etude/store/block/write"
	"etude/trace"
)

// Compact joins blocks into one. The inputs come oldest first; the result has the dedicated columns of the
// last. The spans of a trace keep the order of the blocks. Compact writes a span once even if several blocks
// have it. It gives the guarantees of [Write], and does not change the inputs.
func Compact(ctx context.Context, o WriteOptions, blocks []*Block) (metas []*Meta, err error) {
	if len(blocks) == 0 {
		return nil, errors.New("compact: there are no blocks")
	}
	if o.Dedicated == nil {
		o.Dedicated = blocks[len(blocks)-1].Meta.Dedicated
	}
	cache := NewCache(inputCache)
	inputs := make([]write.Input, len(blocks))
	for i, b := range blocks {
		inputs[i] = newInput(b, cache)
	}
	return write.Join(ctx, o, inputs)
}

// inputCache bounds the cached bytes that all pages of a row group share.
const inputCache = 32 << 20

// input reads a block page by page.
type input struct {
	b          *Block
	parts      []*part
	part, page int // to be read next
}

// newInput returns a copy of the block whose parts use a separate cache.
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

// TraceIDs returns the ids of all traces.
func (in *input) TraceIDs(ctx context.Context) (all []trace.TraceID, err error) {
	for _, p := range in.parts {
		ids, _, err := (&reading{part: p}).readTraceIDs(ctx, in.b.footer.groups[p.number].rows)
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	return all, nil
}

// Next returns the spans of the next page, nil at the end.
func (in *input) Next(ctx context.Context) (*trace.View, error) {
	if in.part >= len(in.parts) {
		return nil, nil
	}
	p := in.parts[in.part]
	view, pages, err := p.openPage(ctx, in.page, trace.Everything())
	if errors.Is(err, errPages) { // Another writer's block.
		pages = 1
		view, err = p.open(ctx, trace.Everything())
	}
	if err != nil {
		return nil, err
	}
	if in.page++; in.page >= pages {
		in.part, in.page = in.part+1, 0
		p.b.cache.drop(&Block{parts: []*part{p}})
	}
	return view, nil
}
