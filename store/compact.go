package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"etude/store/block"
	"etude/trace"
)

// The compactor merges neighbouring blocks, so that a store has few blocks at every rate of spans. It merges at
// least compactLeast blocks of one hour and one level or, when the hour is over, all remaining blocks of the
// hour. It leaves a block with several full row groups as it is: a merge would not reduce the number of row
// groups, which is the cost of a query. So under load the compactor merges nothing.
//
// Only blocks that are neighbours in the order of arrival merge. So the spans of a trace stay in the order of
// arrival across blocks.
//
// A merged block names its inputs in its meta.json. The compactor makes it durable first, then replaces the
// inputs for readers in one step, and then removes the inputs. After a crash in between the next start removes
// them.
//
// The compactor has the lowest priority: it stops while the head fills or a query is young.

const (
	compactEvery  = 10 * time.Second
	compactWindow = time.Hour
	compactGrace  = 5 * time.Minute   // after the end of a window, until its remaining blocks merge
	compactLeast  = 4                 // least blocks of one level
	compactMost   = 8                 // inputs
	compactBytes  = 128 << 20         // most bytes of the inputs together; also at most an eighth of the bound on disk
	compactSpans  = 3 * trace.MaxRows // spans from which the compactor leaves a block as it is
)

// compactLoop is the compactor.
func (s *Store) compactLoop() {
	defer close(s.compactEnd)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-s.stop; cancel() }()
	for sleep(ctx, compactEvery) {
		for s.compact(ctx, s.o.Now()) {
		}
	}
}

// compact merges the next group of blocks, if there is one. More means that the caller should call it again.
func (s *Store) compact(ctx context.Context, now time.Time) (more bool) {
	inputs := s.blocks.mergeable(now, s.mergeBytes())
	if len(inputs) == 0 || s.unremoved(inputs) {
		return false
	}
	err := s.merge(ctx, inputs)
	if err != nil && ctx.Err() == nil {
		s.blocks.count.failures.Add(1)
		s.o.Logger.Error("merge blocks; they stay as they are", "error", err, "blocks", len(inputs))
		s.blocks.mu.Lock()
		defer s.blocks.mu.Unlock()
		for _, h := range inputs {
			h.alone = true
		}
	}
	return err == nil
}

// mergeBytes returns the most bytes of a merged block. At the bound on disk a whole block leaves, so a block
// may take only a small part of the bound.
func (s *Store) mergeBytes() int64 {
	if most := s.bounds.Load().Disk; most > 0 {
		return min(compactBytes, most/8)
	}
	return compactBytes
}

// mergeable returns neighbours that should become one block of at most the given number of bytes.
func (b *blocks) mergeable(now time.Time, most int64) []*heldBlock {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(b.held, byArrival)
	for from := 0; from < len(b.held); {
		run := neighbours(b.held[from:], now, most)
		if len(run) >= 2 {
			return slices.Clone(run)
		}
		from++
	}
	return nil
}

func byArrival(x, y *heldBlock) int {
	return cmp.Or(cmp.Compare(x.first, y.first), cmp.Compare(x.newest, y.newest), cmp.Compare(x.id.String(), y.id.String()))
}

// neighbours returns how many of the blocks, from the first one on, merge.
func neighbours(held []*heldBlock, now time.Time, most int64) []*heldBlock {
	window := held[0].window()
	over := time.Unix(0, 0).Add(time.Duration(window+1) * compactWindow).Add(compactGrace).Before(now)
	n, bytes := 0, int64(0)
	for _, h := range held[:min(len(held), compactMost)] {
		if h.alone || h.spans >= compactSpans || h.window() != window || h.format != held[0].format || !over && h.level != held[0].level || bytes+h.bytes > most {
			break
		}
		n, bytes = n+1, bytes+h.bytes
	}
	if !over && n < compactLeast {
		return nil
	}
	return held[:n]
}

// window returns the hour in which the last span of a block arrived.
func (h *heldBlock) window() int64 { return h.newest / int64(compactWindow) }

// unremoved reports whether log segments of the blocks still exist. The merged block would not name them.
func (s *Store) unremoved(inputs []*heldBlock) bool {
	for _, h := range inputs {
		if h.log == logName(s.log.ID()) && s.log.Size(h.segments...) > 0 {
			return true
		}
	}
	return false
}

// merge joins several blocks into one, which replaces them for readers.
func (s *Store) merge(ctx context.Context, inputs []*heldBlock) error {
	b := s.blocks
	began := time.Now()
	ids, level := make([]block.ID, len(inputs)), uint32(0)
	for i, h := range inputs {
		ids[i], level = h.id, max(level, h.level)
	}
	open, release := b.set.Hold(ids) // Retention may remove them meanwhile.
	defer release()
	if len(open) != len(ids) {
		return nil
	}
	text, err := json.Marshal(origin{Inputs: ids})
	if err != nil {
		return err
	}
	pace := &pacer{s: s, ctx: ctx, last: time.Now(), turns: turns{p: s.o.Priority, closing: s.closing}, yields: true}
	metas, err := block.Compact(ctx, block.WriteOptions{FS: b.fs, Dir: b.dir, Tenant: b.o.Tenant, Format: inputs[0].format,
		Dedicated: b.o.Dedicated, Level: level + 1, Origin: text, Pause: pace.pause,
		GroupBytes: s.groupBytes()}, open)
	if err != nil {
		return err
	}
	merged, err := s.openWritten(ctx, metas)
	if err != nil {
		return err
	}
	if !b.replace(s, ids, merged) {
		s.discard(merged)
		return nil
	}
	b.count.merges.Add(1)
	s.o.Logger.Debug("blocks merged", "blocks", len(ids), "level", level+1, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// replace replaces the inputs of a merge by its results. It refuses if an input has left meanwhile, because its
// spans would come back.
func (b *blocks) replace(s *Store, ids []block.ID, merged []*block.Block) bool {
	b.changing.Lock()
	defer b.changing.Unlock()
	if !b.release(ids) {
		return false
	}
	for _, one := range merged {
		b.hold(one)
	}
	b.set.Swap(ids, merged, func(id block.ID) { b.remove(s, block.Folder(b.dir, id)) })
	return true
}

// release forgets blocks that leave. It does nothing unless the store has all of them.
func (b *blocks) release(ids []block.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(b.held), func(h *heldBlock) bool { return slices.Contains(ids, h.id) })
	if len(b.held)-len(rest) != len(ids) {
		return false
	}
	b.held = rest
	return true
}

// discard removes blocks that no snapshot has seen.
func (s *Store) discard(blocks []*block.Block) {
	for _, one := range blocks {
		one.Close()
	}
	for _, one := range blocks { // Remove the first one first; see openWritten.
		s.blocks.remove(s, block.Folder(s.blocks.dir, one.Meta.ID))
	}
}
