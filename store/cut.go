package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"etude/store/block"
	"etude/trace"
)

// The cutter turns the oldest Tables of the head into blocks: those older than
// BlockOptions.After, and, when the head has reached half of its bound, the oldest
// ones whatever their age. It is the only goroutine that does so.
//
// It waits until there are enough Tables for a large block, which never needs to be merged:
// merging costs more than writing. It waits no longer than until the oldest Table is twice as old
// as After, or the head has reached three quarters of its bound.
//
// It works at low priority. Between two columns of a block it pauses while a query is
// young, and sleeps, so that it takes a quarter of one core. As the head fills
// further, it sleeps less, and not at all from three quarters of the bound on. When the head is full nevertheless,
// Append refuses until there is room: acknowledged spans are never dropped to save memory.
//
// Rejected: to write blocks from the log. It would decode every span a second time.

const (
	cutEvery     = time.Second
	cutTables    = 8                // of a block under load, and most of any
	cutRetry     = 10 * time.Second // after a cut that failed
	cutLeastAge  = 3 * time.Second  // followers of the head have read everything older
	cutShare     = 0.25             // of a core, while there is time
	cutPressure  = 0.5              // of the head's bound: Tables are cut whatever their age
	cutUrgent    = 0.75             // of the head's bound: the cutter does not sleep
	longestSleep = 100 * time.Millisecond

	workBetweenSleeps = 4 * time.Millisecond
)

// cutLoop is the cutter.
func (s *Store) cutLoop() {
	defer close(s.cutEnd)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-s.stop; cancel() }()
	ticker := time.NewTicker(cutEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.cutNudge:
		case <-ticker.C:
		}
		for s.cut(ctx) {
		}
		if s.blocks.failed.Load() != nil && !sleep(ctx, cutRetry) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Store) wakeCutter() {
	select {
	case s.cutNudge <- struct{}{}:
	default:
	}
}

// cut makes one block of the Tables that are due. More tells to call it again.
func (s *Store) cut(ctx context.Context) (more bool) {
	parts := s.due()
	if len(parts) == 0 {
		return false
	}
	err := s.cutParts(ctx, parts)
	if err == nil {
		s.blocks.failed.Store(nil)
		return true
	}
	if ctx.Err() == nil {
		s.blocks.count.failures.Add(1)
		s.blocks.failed.Store(&err)
		s.o.Logger.Error("write a block; trying again", "error", err, "spans", spansOf(parts))
	}
	return false
}

// cutParts makes the block durable, shows it instead of the Tables, and then removes
// their log.
func (s *Store) cutParts(ctx context.Context, parts []*part) error {
	began, b := time.Now(), s.blocks
	opened, err := s.writeBlocks(ctx, parts)
	if err != nil {
		return err
	}
	b.changing.Lock()
	for _, one := range opened {
		b.hold(one)
	}
	b.swap.Lock() // No snapshot has the spans twice, or not at all.
	b.set.Swap(nil, opened, nil)
	s.head.take(parts)
	b.swap.Unlock()
	b.changing.Unlock()
	s.dropSegments(parts)
	b.count.cuts.Add(1)
	s.o.Observer.Cut(time.Since(began))
	s.updateFull()
	return nil
}

// writeBlocks makes the blocks durable, or leaves nothing of them.
func (s *Store) writeBlocks(ctx context.Context, parts []*part) (opened []*block.Block, err error) {
	b := s.blocks
	views, o := make([]*trace.View, 0, len(parts)), origin{Log: logName(s.log.ID())}
	for _, p := range parts {
		o.Segments = append(o.Segments, p.segments...)
		if p.view != nil && p.spans > 0 {
			views = append(views, p.view)
		}
	}
	if len(views) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	pace := &pacer{s: s, last: time.Now(), turns: turns{p: s.o.Priority, closing: s.closing}, ctx: ctx}
	metas, err := block.Write(ctx, block.WriteOptions{FS: b.fs, Dir: b.dir, Tenant: b.o.Tenant, Format: b.o.Format,
		Dedicated: b.o.Dedicated, Before: b.chosen, Origin: text, Pause: pace.pause}, views)
	if err != nil {
		return nil, err
	}
	b.chosen = metas[0].Dedicated
	return s.openWritten(ctx, metas)
}

// openWritten opens blocks that were just written. If it cannot, they go: their spans
// are still where they were. The first one goes first, since the others count for
// nothing without it.
func (s *Store) openWritten(ctx context.Context, metas []*block.Meta) (opened []*block.Block, err error) {
	b := s.blocks
	for _, m := range metas {
		one, openErr := block.Open(ctx, b.fs, block.Folder(b.dir, m.ID), b.o.Cache)
		if openErr != nil {
			err = errors.Join(err, openErr)
			continue
		}
		opened = append(opened, one)
	}
	if err == nil {
		return opened, nil
	}
	for _, one := range opened {
		one.Close()
	}
	for _, m := range metas {
		b.remove(s, block.Folder(b.dir, m.ID))
	}
	return nil, err
}

func spansOf(parts []*part) (n int) {
	for _, p := range parts {
		n += p.spans
	}
	return n
}

// due returns the oldest Tables if they must become a block. Only Tables in their
// final form do.
func (s *Store) due() []*part {
	s.head.mu.Lock()
	parts, idle := s.oldest(s.o.Now())
	s.head.mu.Unlock()
	if idle && len(parts) == 0 && s.rotating.CompareAndSwap(false, true) {
		_ = s.log.Rotate() // The applier seals the growing Table; see enforce.
	}
	return parts
}

// oldest is due for a moment; the caller holds head.mu. Idle tells that the growing Table is
// old, too.
func (s *Store) oldest(now time.Time) (parts []*part, idle bool) {
	pressure, after := s.pressure(), s.blocks.o.After
	oldEnough, late := now.Add(-after).UnixNano(), now.Add(-2*after).UnixNano()
	ahead := now.Add(clockJump).UnixNano() // A Table with later arrivals came before the clock went back.
	seen := now.Add(-cutLeastAge).UnixNano()
	hurry := pressure >= cutUrgent
	spans, bytes, more := 0, int64(0), false
	room := s.bounds.Load().Memory / 4 // The writer takes about as much memory as the Tables.
	for _, p := range s.head.parts {
		isDue := p.newest < oldEnough || p.newest > ahead || pressure >= cutPressure && (p.newest < seen || pressure >= 1)
		if p.open {
			idle, more = isDue && p.spans > 0, !isDue
			break
		}
		if p.table != nil || !isDue {
			more = true
			break
		}
		full := len(parts) == cutTables || spans+p.spans > cutTables*trace.MaxRows || room > 0 && bytes+p.bytes > room
		if full && len(parts) > 0 {
			return parts, false
		}
		parts, spans, bytes = append(parts, p), spans+p.spans, bytes+p.bytes
		hurry = hurry || p.newest < late || p.newest > ahead
	}
	if more && !hurry && len(parts) < cutTables {
		return nil, false
	}
	return parts, idle
}

// pressure is how full the head is, as a share of its bounds; the caller holds
// head.mu.
func (s *Store) pressure() float64 {
	most, full := s.bounds.Load(), 0.0
	if most.Memory > 0 {
		full = float64(s.head.bytes()) / float64(most.Memory)
	}
	if most.Spans > 0 {
		full = max(full, float64(s.head.spans())/float64(most.Spans))
	}
	return full
}

// updateFull notes whether the head has room, for Append.
func (s *Store) updateFull() {
	if s.blocks == nil {
		return
	}
	s.head.mu.Lock()
	pressure := s.pressure()
	s.head.mu.Unlock()
	s.blocks.full.Store(pressure >= 1)
	if pressure >= cutPressure {
		s.wakeCutter()
	}
}

// take removes the given parts from the list.
func (h *head) take(parts []*part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = slices.DeleteFunc(slices.Clone(h.parts), func(p *part) bool { return slices.Contains(parts, p) })
	h.snap = nil
}

// dropSegments removes the log of parts that are in a block now.
func (s *Store) dropSegments(parts []*part) {
	s.garbageMu.Lock()
	defer s.garbageMu.Unlock()
	for _, p := range parts {
		s.garbage = append(s.garbage, leaving{segments: p.segments})
	}
	s.removeGarbage()
}

// pacer keeps the cutter within its share.
type pacer struct {
	s      *Store
	ctx    context.Context
	turns  turns
	last   time.Time // when it last began to work
	yields bool      // it stops while the head fills, where the cutter hurries
}

// pause is called between two columns. It sleeps after a few milliseconds of work: a
// shorter sleep would cost more than it gives.
func (p *pacer) pause() {
	p.turns.pause()
	worked := time.Since(p.last)
	if worked < workBetweenSleeps {
		return
	}
	p.s.head.mu.Lock()
	pressure := p.s.pressure()
	p.s.head.mu.Unlock()
	for p.yields && pressure >= cutPressure && sleep(p.ctx, longestSleep) {
		p.s.head.mu.Lock()
		pressure = p.s.pressure()
		p.s.head.mu.Unlock()
	}
	if share := shareAt(pressure); share < 1 {
		sleep(p.ctx, min(longestSleep, time.Duration(float64(worked)*(1-share)/share)))
	}
	p.last = time.Now()
}

// shareAt is the share of a core that the cutter may take.
func shareAt(pressure float64) float64 {
	switch {
	case pressure >= cutUrgent:
		return 1
	case pressure <= cutPressure:
		return cutShare
	}
	return cutShare + (1-cutShare)*(pressure-cutPressure)/(cutUrgent-cutPressure)
}
