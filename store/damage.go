package store

import (
	"context"
	"errors"

	"etude/store/block"
	"etude/trace"
)

// watched is a snapshot that sets unreadable blocks aside: later queries work without them.
type watched struct {
	trace.Snapshot
	s *Store
}

// Open is described at trace.Snapshot.
func (w *watched) Open(ctx context.Context, part int, need *trace.Need) (*trace.View, error) {
	v, err := w.Snapshot.Open(ctx, part, need)
	return v, w.noticed(ctx, part, err)
}

// OpenTrace is described at trace.TraceOpener.
func (w *watched) OpenTrace(ctx context.Context, part int, id trace.TraceID, need *trace.Need) (*trace.View, error) {
	v, err := trace.OpenTrace(ctx, w.Snapshot, part, id, need)
	return v, w.noticed(ctx, part, err)
}

// Holds is described at trace.Holder.
func (w *watched) Holds(part int, id trace.TraceID) bool { return trace.Holds(w.Snapshot, part, id) }

// ExcludesBoth is described at trace.PairExcluder.
func (w *watched) ExcludesBoth(part int, a, b trace.Condition) bool {
	p, ok := w.Snapshot.(trace.PairExcluder)
	return ok && p.ExcludesBoth(part, a, b)
}

// Tally is described at trace.Tallier.
func (w *watched) Tally(ctx context.Context, part int) (*trace.View, []uint32, error) {
	t, ok := w.Snapshot.(trace.Tallier)
	if !ok {
		return nil, nil, nil
	}
	v, spans, err := t.Tally(ctx, part)
	return v, spans, w.noticed(ctx, part, err)
}

// Pages is described at trace.Pager.
func (w *watched) Pages(ctx context.Context, part int) ([]uint32, error) {
	p, ok := w.Snapshot.(trace.Pager)
	if !ok {
		return nil, nil
	}
	pages, err := p.Pages(ctx, part)
	return pages, w.noticed(ctx, part, err)
}

// Seek is described at trace.Pager.
func (w *watched) Seek(ctx context.Context, part int, c trace.Condition) ([]bool, error) {
	p, ok := w.Snapshot.(trace.Pager)
	if !ok {
		return nil, nil
	}
	pages, err := p.Seek(ctx, part, c)
	return pages, w.noticed(ctx, part, err)
}

// OpenPage is described at trace.Pager.
func (w *watched) OpenPage(ctx context.Context, part, page int, need *trace.Need) (*trace.View, error) {
	p, ok := w.Snapshot.(trace.Pager)
	if !ok {
		return nil, trace.ErrUnpaged
	}
	v, err := p.OpenPage(ctx, part, page, need)
	if errors.Is(err, trace.ErrUnpaged) {
		return nil, err
	}
	return v, w.noticed(ctx, part, err)
}

func (w *watched) noticed(ctx context.Context, part int, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	w.s.blocks.lose(w.s, block.ID(w.Parts()[part].ID.Of), err)
	return err
}

// lose sets aside a block that is in use. It does nothing for a block that the store has already set aside or dropped.
func (b *blocks) lose(s *Store, id block.ID, why error) {
	b.mu.Lock()
	here := false
	for _, h := range b.held {
		here = here || h.id == id
	}
	b.mu.Unlock()
	if !here {
		return
	}
	b.release([]block.ID{id})
	b.set.Swap([]block.ID{id}, nil, func(block.ID) {})
	s.setAside(block.Folder(b.dir, id), why)
}
