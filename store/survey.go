package store

import (
	"context"
	"time"

	"etude/store/block"
)

// The store uses a block without a valid sidecar from the start on; queries then read more of it. The same holds
// for the sidecar of an earlier version, which has fewer facts. Meanwhile the
// surveyor reads each such block once, at low priority, and writes its sidecar. The reopened block then
// replaces the former one for new queries. A running query continues with that one.
//
// A crash leaves either the old sidecar or the new one, because the new one gets its name only when it is durable.

// surveyLoop is the surveyor. It ends when it has seen all bare blocks.
func (s *Store) surveyLoop(bare []*block.Block) {
	defer close(s.surveyEnd)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for _, b := range bare {
		if ctx.Err() != nil {
			return
		}
		s.survey(ctx, b.Meta.ID)
	}
}

// survey writes the sidecar of a block. It sets an unreadable block aside. It ignores a block that was merged
// or removed meanwhile.
func (s *Store) survey(ctx context.Context, id block.ID) {
	b, began := s.blocks, time.Now()
	held, release := b.set.Hold([]block.ID{id})
	defer release()
	if len(held) == 0 || !held[0].Outdated() {
		return
	}
	pace := &pacer{s: s, ctx: ctx, last: time.Now(), turns: turns{p: s.o.Priority, closing: s.closing}, yields: true}
	whole, err := held[0].Surveyed(ctx, b.fs, pace.pause)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			whole.Close()
		}
		return
	case err != nil:
		b.lose(s, id, err)
		return
	case !b.renew(whole):
		whole.Close()
		return
	}
	s.o.Logger.Info("sidecar of a block written", "block", id, "took", time.Since(began).Round(time.Millisecond))
}

// renew replaces a block by its reopened form, if the store still has the block.
func (b *blocks) renew(whole *block.Block) bool {
	b.changing.Lock()
	defer b.changing.Unlock()
	ids := []block.ID{whole.Meta.ID}
	if !b.release(ids) {
		return false
	}
	b.hold(whole)
	b.set.Swap(ids, []*block.Block{whole}, func(block.ID) {})
	return true
}
