package store

import (
	"fmt"
	"time"
)

// apply is the applier: the only goroutine that adds to the head. It takes
// committed payloads in log order, so that the head holds what a replay of the
// log would, and acknowledges each after it has been added.
func (s *Store) apply() {
	defer close(s.applied)
	var buf []byte
	for batch := range s.commits {
		for _, e := range batch {
			if e.Rotated {
				s.seal(s.head.seal())
				s.rotating.Store(false)
				s.wakeKeeper()
				continue
			}
			buf = s.applyOne(e.Owner.(*pending), buf)
		}
		if s.over() {
			s.wakeKeeper()
		}
	}
}

// applyOne adds one payload and answers its sender; buf is memory to use again.
func (s *Store) applyOne(p *pending, buf []byte) []byte {
	size := int64(len(p.payload))
	payload, err := p.payload, p.entry.Err
	left := !p.state.CompareAndSwap(waiting, applying)
	if left && err == nil { // Slow path: the sender has gone, and the payload with it.
		payload, err = p.entry.Payload(buf)
		buf = payload
	}
	if err != nil {
		s.count.refused.Add(1)
	} else {
		err = s.add(p, payload)
	}
	s.waiting.Add(-size)
	if left {
		s.recycle(p)
	} else {
		p.done <- err
	}
	return buf
}

func (s *Store) add(p *pending, payload []byte) error {
	added, sealed, err := s.head.add(p.entry.Segment, payload, p.arrival)
	s.seal(sealed)
	if err != nil { // It has passed Validate: a fault of ours.
		s.o.Logger.Error("add stored spans to the head", "error", err)
		return fmt.Errorf("add stored spans to the head: %w", err)
	}
	s.count.payloads.Add(1)
	s.count.spans.Add(int64(added))
	s.count.duplicates.Add(int64(p.spans - added))
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
