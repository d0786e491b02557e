package store

import (
	"context"
	"runtime"
	"time"

	"etude/trace"
)

// Tables returns the Views of a snapshot of the head.
func (s *Store) Tables() (views []*trace.View) {
	snap := s.head.snapshot(s.log.ID())
	for i := range snap.Parts() {
		v, _ := snap.Open(context.Background(), i, trace.Everything())
		views = append(views, v)
	}
	return views
}

// HoldApplier stops the applier before its next payload, as a heavy payload does
// that takes very long to add, until release is called.
func (s *Store) HoldApplier() (release func()) {
	s.head.growing.lock()
	s.head.publish()
	s.head.heavy.Store(true)
	return func() {
		s.head.heavy.Store(false)
		s.head.growing.unlock()
	}
}

// PublishedSpans counts what a reader sees that does not wait for the applier.
func (s *Store) PublishedSpans() (n int) {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	for _, p := range s.head.parts {
		if p.view != nil {
			n += p.view.Spans()
		}
	}
	return n
}

// Parts returns the memory and the spans of each part, the oldest first.
func (s *Store) Parts() (bytes, spans []int64) {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	for _, p := range s.head.parts {
		bytes, spans = append(bytes, p.bytes), append(spans, int64(p.spans))
	}
	return bytes, spans
}

// CutAll makes a block of all Tables, as the cutter does when they are old.
func (s *Store) CutAll(ctx context.Context) error {
	if s.rotating.CompareAndSwap(false, true) {
		if err := s.log.Rotate(); err != nil {
			return err
		}
	}
	for s.rotating.Load() && ctx.Err() == nil {
		runtime.Gosched()
	}
	s.sealing.Wait()
	s.head.mu.Lock()
	var parts []*part
	for _, p := range s.head.parts {
		if !p.open && p.table == nil {
			parts = append(parts, p)
		}
	}
	s.head.mu.Unlock()
	if len(parts) == 0 {
		return nil
	}
	return s.cutParts(ctx, parts)
}

// Merge merges blocks as the compactor would at a moment.
func (s *Store) Merge(ctx context.Context, now time.Time) (merged bool) { return s.compact(ctx, now) }

// Enforce does what the keeper does from time to time.
func (s *Store) Enforce() { s.enforce() }
