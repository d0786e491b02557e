package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"etude/otlp"
	"etude/store/wal"
)

// Append stores the spans of an OTLP ExportTraceServiceRequest and returns when they are on disk and visible to
// Tables. It keeps no reference to the payload. It leaves out spans that can never be stored; rejected is their
// number.
//
// Errors other than ctx's: an error with InvalidSpans() means that the payload can never be stored. An error
// with RetryAfter() means that the client may send it again after that time: too much is waiting
// (*[OverloadError]), the disk is full or fails (*[wal.WriteError]), or the store is closed ([ErrClosed]). If
// Append returns an error, or ctx ends while it waits, the store may still have stored the spans.
func (s *Store) Append(ctx context.Context, payload []byte) (rejected otlp.Rejected, err error) {
	if err := ctx.Err(); err != nil {
		return rejected, fmt.Errorf("append spans: %w", err)
	}
	began, size := s.o.Now(), int64(len(payload))
	if err := s.admit(size); err != nil { // bounds memory: refused here or answered below
		return rejected, err
	}
	valid, stats, err := otlp.Validate(payload) // 1. leave out invalid spans
	s.countInvalid(&stats, err)
	if err != nil || stats.Spans == 0 {
		s.waiting.Add(-size)
		return stats.Rejected, err
	}
	w := s.newWaiter(size)
	err = s.log.Submit(valid, stats.Spans, began.UnixNano(), w) // 2. the log, durable; 3. the head, in log order: apply
	if err != nil {
		s.waiting.Add(-size)
		s.waiters.Put(w)
		return rejected, s.submitError(err)
	}
	if err = s.wait(ctx, w); err != nil {
		return rejected, err
	}
	s.o.Observer.Acknowledged(time.Since(began)) // 4. acknowledged
	return stats.Rejected, nil
}

// admit reserves room in the queue. It admits a payload larger than the whole queue if no other payload waits.
func (s *Store) admit(size int64) error {
	if b := s.blocks; b != nil && b.full.Load() {
		s.count.overloaded.Add(1)
		return &OverloadError{Waiting: s.waiting.Load(), Limit: s.o.MaxQueue, Full: true}
	}
	before := s.waiting.Add(size) - size
	if before > 0 && before+size > s.o.MaxQueue {
		s.waiting.Add(-size)
		s.count.overloaded.Add(1)
		return &OverloadError{Waiting: before, Limit: s.o.MaxQueue}
	}
	if before == 0 { // Nothing waited, so nothing has stalled.
		s.moved.Store(time.Now().UnixNano())
	}
	return nil
}

func (s *Store) countInvalid(stats *otlp.Stats, err error) {
	switch {
	case err != nil:
		s.count.invalid.Add(1)
	case stats.Rejected.Spans > 0:
		s.count.rejected.Add(int64(stats.Rejected.Spans))
	}
	if stats.Mended {
		s.count.mended.Add(1)
	}
}

func (s *Store) submitError(err error) error {
	if errors.Is(err, wal.ErrClosed) {
		return ErrClosed
	}
	s.count.invalid.Add(1) // too large for a record
	return err
}

// waiter waits for the acknowledgement of a payload.
type waiter struct {
	size int64      // of the payload
	done chan error // has room for one: the applier does not wait for a caller that has left
}

func (s *Store) newWaiter(size int64) *waiter {
	w, _ := s.waiters.Get().(*waiter)
	if w == nil {
		w = &waiter{done: make(chan error, 1)}
	}
	w.size = size
	return w
}

// wait returns the applier's answer. If ctx ends first, the applier keeps the waiter, and wait drops the answer.
func (s *Store) wait(ctx context.Context, w *waiter) error {
	select {
	case err := <-w.done:
		s.waiters.Put(w)
		return err
	case <-ctx.Done():
		return fmt.Errorf("append spans: %w (they may be stored)", ctx.Err())
	}
}
