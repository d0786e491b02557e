package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"etude/store/wal"
)

// Append stores the spans of an OTLP ExportTraceServiceRequest and returns when
// they are on disk and visible to Tables. It keeps no reference to the payload.
//
// Errors, apart from ctx's: one with InvalidSpans() says that the payload can
// never be stored; one with RetryAfter(), that it may be sent again after that
// time: too much is waiting (*[OverloadError]), the disk is full or fails
// (*[wal.WriteError]), or the store is closed ([ErrClosed]). After an error, and
// after ctx has ended while waiting, the spans may be stored all the same.
func (s *Store) Append(ctx context.Context, payload []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("append spans: %w", err)
	}
	began, size := time.Now(), int64(len(payload))
	if err := s.admit(size); err != nil { // bounds memory: refused here or answered below
		return err
	}
	stats, err := s.limits.Validate(payload) // 1. nothing invalid gets any further
	if err != nil || stats.Spans == 0 {
		s.waiting.Add(-size)
		return s.countInvalid(err)
	}
	p := s.newPending(payload, stats.Spans, began)
	err = p.entry.Encode(payload, p.spans, p.arrival)
	if err == nil {
		err = s.log.Submit(&p.entry) // 2. the log, durable; 3. the head, in log order: apply
	}
	if err != nil {
		s.waiting.Add(-size)
		s.recycle(p)
		return s.submitError(err)
	}
	if err = s.wait(ctx, p); err == nil { // 4. acknowledged
		s.o.Observer.Acknowledged(time.Since(began))
	}
	return err
}

// admit takes a place in the queue. A payload larger than the whole queue gets
// in when it is alone.
func (s *Store) admit(size int64) error {
	before := s.waiting.Add(size) - size
	if before > 0 && before+size > s.o.MaxQueue {
		s.waiting.Add(-size)
		s.count.overloaded.Add(1)
		return &OverloadError{Waiting: before, Limit: s.o.MaxQueue}
	}
	return nil
}

func (s *Store) countInvalid(err error) error {
	if err != nil {
		s.count.invalid.Add(1)
	}
	return err
}

func (s *Store) submitError(err error) error {
	if errors.Is(err, wal.ErrClosed) {
		return ErrClosed
	}
	return s.countInvalid(err)
}

// pending is a payload between Append and its acknowledgement. The caller's
// payload may be read only while the caller waits; state settles who may go: the
// caller by setting abandoned, or the applier by setting applying.
type pending struct {
	entry   wal.Entry
	payload []byte
	spans   int
	arrival int64
	state   atomic.Int32
	done    chan error // has room for one
}

const (
	waiting int32 = iota
	applying
	abandoned
)

func (s *Store) newPending(payload []byte, spans int, arrival time.Time) *pending {
	p, _ := s.pendings.Get().(*pending)
	if p == nil {
		p = &pending{done: make(chan error, 1)}
		p.entry.Owner = p
	}
	p.payload, p.spans, p.arrival = payload, spans, arrival.UnixNano()
	p.state.Store(waiting)
	return p
}

// wait returns the applier's answer. When ctx ends first the pending is left to
// the applier, which then reads the payload from the record; if the applier is
// at it already, the answer comes at once.
func (s *Store) wait(ctx context.Context, p *pending) error {
	select {
	case err := <-p.done:
		s.recycle(p)
		return err
	case <-ctx.Done():
	}
	if p.state.CompareAndSwap(waiting, abandoned) {
		return fmt.Errorf("append spans: %w (they may be stored)", ctx.Err())
	}
	err := <-p.done
	s.recycle(p)
	return err
}

// recycle keeps p for another payload, unless it holds a lot of memory.
func (s *Store) recycle(p *pending) {
	small := len(p.payload) <= 1<<20
	p.payload = nil
	if small {
		s.pendings.Put(p)
	}
}
