package store

import (
	"fmt"
	"time"

	"etude/store/wal"
)

// apply is the applier: the only goroutine that adds to the head.
//
// Invariant: it adds committed payloads in log order, so the head always equals the result of a replay of the
// log. It acknowledges a payload only after its rows are in the head.
//
// Locks: it holds head.growing while it adds one payload, and no lock between payloads. Code that must work
// while a payload takes long (/metrics, readiness, the keeper, Close) never waits for growing. Close waits for
// the applier for closePatience, then abandons it: the remaining payloads are in the log, and the next start
// replays them.
//
// Rejected: several appliers. The rows of one segment go to one Table, so the appliers would take turns, and
// the head would no longer have the log's order.
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
		began := time.Now()
		for i := range b.Entries {
			turns.pause()
			s.applyOne(b, i)
		}
		s.head.weigh()
		s.updateFull()
		s.o.Observer.Applied(time.Since(began))
		s.log.Recycle(b)
		if s.over() {
			s.wakeKeeper()
		}
	}
}

// applyOne adds one payload and answers its sender.
func (s *Store) applyOne(b *wal.Batch, i int) {
	err := b.Err
	switch {
	case err != nil:
		s.count.refused.Add(1)
	case s.isAbandoned():
		err = ErrClosed
	default:
		err = s.add(b.Segment, &b.Entries[i], b.Payload(i))
	}
	s.answer(&b.Entries[i], err)
}

// answer sends the result of a payload to its waiter.
func (s *Store) answer(e *wal.Entry, err error) {
	w := e.Owner.(*waiter)
	s.moved.Store(time.Now().UnixNano())
	s.waiting.Add(-w.size)
	w.done <- err
}

// committed hands a batch from the committer to the applier. If Close has abandoned the applier, the batch
// stays only in the log.
func (s *Store) committed(b *wal.Batch) {
	select {
	case s.commits <- b:
		return
	case <-s.abandoned:
	}
	for i := range b.Entries {
		s.answer(&b.Entries[i], ErrClosed)
	}
}

func (s *Store) isAbandoned() bool {
	select {
	case <-s.abandoned:
		return true
	default:
		return false
	}
}

func (s *Store) add(segment uint64, e *wal.Entry, payload []byte) error {
	added, lost, sealed, err := s.head.add(segment, payload, e.Arrival)
	s.seal(sealed)
	s.note(lost)
	if err != nil { // It has passed Validate: a fault of ours.
		s.o.Logger.Error("add stored spans to the head", "error", err)
		return fmt.Errorf("add stored spans to the head: %w", err)
	}
	s.count.payloads.Add(1)
	s.count.spans.Add(int64(added))
	s.count.duplicates.Add(int64(e.Spans - added))
	return nil
}

// seal converts a part to its final form in the background. It ignores nil. No goroutine writes to the Table
// any more, and readers have their own Views.
func (s *Store) seal(p *part) {
	if p == nil {
		return
	}
	s.sealing.Go(func() {
		began := time.Now()
		p.table.Seal()
		s.o.Observer.Sealed(time.Since(began))
		s.head.sealed(p, p.table.View(), int64(p.table.Bytes()))
		s.wakeCutter()
	})
}
