package store

import (
	"fmt"
	"time"

	"etude/store/wal"
)

// apply is the applier: the only goroutine that adds to the head. It takes
// committed payloads in log order, so that the head holds what a replay of the
// log would, and acknowledges each after it has been added.
func (s *Store) apply() {
	defer close(s.applied)
	turns := turns{p: s.o.Priority, closing: s.closing}
	for b := range s.commits {
		if b.Rotated {
			s.seal(s.head.seal())
			s.rotating.Store(false)
			s.wakeKeeper()
			continue
		}
		for i := range b.Entries {
			turns.pause()
			s.applyOne(b, i)
		}
		s.log.Recycle(b)
		if s.over() {
			s.wakeKeeper()
		}
	}
}

// applyOne adds one payload and answers its sender.
func (s *Store) applyOne(b *wal.Batch, i int) {
	err := b.Err
	if err != nil {
		s.count.refused.Add(1)
	} else {
		err = s.add(b.Segment, &b.Entries[i], b.Payload(i))
	}
	w := b.Entries[i].Owner.(*waiter)
	s.waiting.Add(-w.size)
	w.done <- err
}

func (s *Store) add(segment uint64, e *wal.Entry, payload []byte) error {
	added, sealed, err := s.head.add(segment, payload, e.Arrival)
	s.seal(sealed)
	if err != nil { // It has passed Validate: a fault of ours.
		s.o.Logger.Error("add stored spans to the head", "error", err)
		return fmt.Errorf("add stored spans to the head: %w", err)
	}
	s.count.payloads.Add(1)
	s.count.spans.Add(int64(added))
	s.count.duplicates.Add(int64(e.Spans - added))
	return nil
}

// seal gives a part its final form beside everything else; nil does nothing.
// Nobody writes to the Table any more, and readers have views of their own.
func (s *Store) seal(p *part) {
	if p == nil {
		return
	}
	s.sealing.Go(func() {
		began := time.Now()
		p.table.Seal()
		s.o.Observer.Sealed(time.Since(began))
		s.head.sealed(p, p.table.View(), int64(p.table.Bytes()))
	})
}
