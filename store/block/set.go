package block

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"etude/trace"
)

// Set holds the blocks of a store. A snapshot keeps its blocks readable until it is closed, even if they are removed
// meanwhile.
type Set struct {
	mu     sync.Mutex
	blocks []*Block
}

// Swap removes blocks and adds others in one step: no snapshot sees half of it. When the last snapshot with a
// removed block closes, the Set closes the block and then calls gone with its id.
func (s *Set) Swap(out []ID, in []*Block, gone func(ID)) {
	s.mu.Lock()
	var left []*Block
	kept := slices.Clone(s.blocks)[:0]
	for _, b := range s.blocks {
		if slices.Contains(out, b.Meta.ID) {
			left = append(left, b)
			b.gone = func() { gone(b.Meta.ID) }
		} else {
			kept = append(kept, b)
		}
	}
	for _, b := range in {
		b.users++
		kept = append(kept, b)
	}
	s.blocks = kept
	s.mu.Unlock()
	s.release(left)
}

// Blocks returns the metas of the blocks.
func (s *Set) Blocks() []*Meta {
	s.mu.Lock()
	defer s.mu.Unlock()
	metas := make([]*Meta, len(s.blocks))
	for i, b := range s.blocks {
		metas[i] = b.Meta
	}
	return metas
}

// release gives up one use of each block.
func (s *Set) release(blocks []*Block) {
	for _, b := range blocks {
		s.mu.Lock()
		b.users--
		last, gone := b.users == 0, b.gone
		s.mu.Unlock()
		if !last {
			continue
		}
		b.Close()
		if gone != nil {
			gone()
		}
	}
}

// Snapshot returns a snapshot of the present blocks.
func (s *Set) Snapshot() trace.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &snapshot{set: s, blocks: slices.Clone(s.blocks)}
	for _, b := range n.blocks {
		b.users++
		n.parts = append(n.parts, b.parts...)
	}
	slices.SortStableFunc(n.parts, compareArrival) // stable: among equals the block added first comes first
	for _, p := range n.parts {
		n.described = append(n.described, p.describe())
	}
	return n
}

// compareArrival orders parts by when their spans were received.
func compareArrival(a, b *part) int {
	return cmp.Or(cmp.Compare(a.facts.FirstArrival, b.facts.FirstArrival), cmp.Compare(a.facts.LastArrival, b.facts.LastArrival))
}

func (p *part) describe() trace.Part {
	f := &p.facts
	return trace.Part{ID: trace.PartID{Of: p.b.Meta.ID, Number: uint32(p.number)}, Spans: f.Spans,
		MinStart: f.MinStart, MaxEnd: f.MaxEnd, FirstArrival: f.FirstArrival, LastArrival: f.LastArrival}
}

// snapshot is a trace.Snapshot of blocks.
type snapshot struct {
	set       *Set
	blocks    []*Block
	parts     []*part
	described []trace.Part
	close     sync.Once
}

func (s *snapshot) Parts() []trace.Part { return s.described }

func (s *snapshot) Excludes(part int, c trace.Condition) bool {
	return s.parts[part].facts.Excludes(&c)
}

// ExcludesBoth is described at trace.PairExcluder.
func (s *snapshot) ExcludesBoth(part int, a, b trace.Condition) bool {
	return s.parts[part].facts.ExcludesBoth(&a, &b)
}

func (s *snapshot) Open(ctx context.Context, part int, need *trace.Need) (*trace.View, error) {
	return s.parts[part].open(ctx, need)
}

func (s *snapshot) OpenTrace(ctx context.Context, part int, id trace.TraceID, need *trace.Need) (*trace.View, error) {
	return s.parts[part].openTrace(ctx, id, need)
}

// Holds is described at trace.Holder.
func (s *snapshot) Holds(part int, id trace.TraceID) bool { return s.parts[part].facts.Has(id) }

// Tally is described at trace.Tallier.
func (s *snapshot) Tally(ctx context.Context, part int) (*trace.View, []uint32, error) {
	return s.parts[part].tally(ctx)
}

// Pages is described at trace.Pager.
func (s *snapshot) Pages(ctx context.Context, part int) ([]uint32, error) {
	return s.parts[part].pages(ctx)
}

// Seek is described at trace.Pager.
func (s *snapshot) Seek(ctx context.Context, part int, c trace.Condition) ([]bool, error) {
	return s.parts[part].seek(ctx, &c)
}

// OpenPage is described at trace.Pager.
func (s *snapshot) OpenPage(ctx context.Context, part, page int, need *trace.Need) (*trace.View, error) {
	return s.parts[part].openKept(ctx, page, need)
}

func (s *snapshot) Find(_ context.Context, id trace.TraceID) (parts []int, _ error) {
	for i, p := range s.parts {
		if p.facts.Has(id) {
			parts = append(parts, i)
		}
	}
	return parts, nil
}

func (s *snapshot) Close() { s.close.Do(func() { s.set.release(s.blocks) }) }
