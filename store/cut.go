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

// The cutter turns the oldest Tables of the head into blocks: the Tables older than BlockOptions.After and, if
// the head has reached half of its bound, the oldest Tables of any age. It is the only goroutine that does so.
//
// It waits until the head has enough Tables for a large block, because the compactor never has to merge a large
// block, and a merge costs more than a write. The wait ends when the oldest Table is twice as old as After, or
// the head has reached three quarters of its bound.
//
// It works at low priority. Between two columns of a block it pauses while a query is young, and then sleeps so
// that it uses a quarter of one core. As the head fills, it sleeps less; from three quarters of the bound on it
// does not sleep. If the head still becomes full, Append refuses payloads until there is room. The store never
// drops acknowledged spans to save memory.
//
// Rejected: writing blocks from the log. The cutter would decode every span a second time.

const (
	cutEvery     = time.Second
	cutTables    = 8                // Tables of a block under load, and the most of any block
	cutRetry     = 10 * time.Second // after a cut that failed
	cutLeastAge  = 3 * time.Second  // by this age all followers of the head have read a Table
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

// cut makes one block of the Tables that are due. More means that the caller should call it again.
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

// cutParts makes the block durable, swaps it for the Tables, and then removes their log segments.
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
	b.swap.Lock() // So no snapshot has the spans twice, and none lacks them.
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

// writeBlocks writes the blocks durably. After an error it leaves none of them.
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
		Dedicated: b.o.Dedicated, Before: b.chosen, Origin: text, Pause: pace.pause, GroupBytes: s.groupBytes()}, views)
	if err != nil {
		return nil, err
	}
	b.chosen = metas[0].Dedicated
	return s.openWritten(ctx, metas)
}

// groupBytes bounds a row group: the writer, the compactor and each query have one or a few of them in memory.
func (s *Store) groupBytes() int {
	if most := s.bounds.Load().Memory; most > 0 {
		return int(max(leastGroup, min(most/6, mostGroup)))
	}
	return mostGroup
}

const leastGroup, mostGroup = 4 << 20, 64 << 20

// openWritten opens the blocks that the caller has just written. If it cannot, it removes them: their spans are
// still in their source. It removes the first block first, because the others do not count without it.
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

// due returns the oldest Tables if they must become a block. It returns only Tables in their final form.
func (s *Store) due() []*part {
	s.head.mu.Lock()
	parts, idle := s.oldest(s.o.Now())
	s.head.mu.Unlock()
	if idle && len(parts) == 0 && s.rotating.CompareAndSwap(false, true) {
		_ = s.log.Rotate() // The applier seals the growing Table; see enforce.
	}
	return parts
}

// oldest is due at one time; the caller holds head.mu. Idle means that the growing Table is old, too.
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

// pressure returns the size of the head as a share of its bounds; the caller holds head.mu.
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

// updateFull sets full, by which Append refuses payloads.
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

// dropSegments removes the log segments of parts that are now in a block.
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
	yields bool      // true: it stops while the head fills; false: it then works faster
}

// The writer calls pause between two columns. After a few milliseconds of work pause sleeps; a sleep after each
// column would cost more than it yields.
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

// shareAt returns the share of a core that the cutter may use.
func shareAt(pressure float64) float64 {
	switch {
	case pressure >= cutUrgent:
		return 1
	case pressure <= cutPressure:
		return cutShare
	}
	return cutShare + (1-cutShare)*(pressure-cutPressure)/(cutUrgent-cutPressure)
}
