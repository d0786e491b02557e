package wal

import (
	"runtime"
	"sync"
	"time"
)

// Batch is what one write takes: payloads in the order in which they lie in the
// log, or the answer to Rotate. It is written whole or refused whole.
type Batch struct {
	Entries []Entry
	Segment uint64 // where it was written
	Err     error  // why it was not
	Rotated bool   // no payloads, but the answer to Rotate

	payloads []byte // one behind the other
	spans    int
}

// Entry is one payload of a Batch.
type Entry struct {
	Owner   any // the caller's
	Spans   int
	Arrival int64 // unix ns

	end int // where it ends in the batch's payloads
}

// Payload returns the bytes of an entry. They are the batch's.
func (b *Batch) Payload(i int) []byte {
	begin := 0
	if i > 0 {
		begin = b.Entries[i-1].end
	}
	return b.payloads[begin:b.Entries[i].end:b.Entries[i].end]
}

func (b *Batch) add(payload []byte, e Entry) {
	b.payloads = append(b.payloads, payload...)
	e.end = len(b.payloads)
	b.Entries = append(b.Entries, e)
	b.spans += e.Spans
}

// queue gathers payloads in the batches that wait for the committer. Payloads are
// copied, so that a caller who does not want to wait any longer may just leave.
type queue struct {
	wake     chan struct{} // has a token when there may be something to take
	maxSpans int           // of a batch, unless one payload alone has more

	mu      sync.Mutex
	waiting []*Batch // only the last one may grow
	closed  bool

	free sync.Pool // of *Batch
}

func (q *queue) put(payload []byte, e Entry) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.growing(len(payload), e.Spans).add(payload, e)
	q.mu.Unlock()
	q.signal()
	return nil
}

// growing returns the batch that the next payload goes into.
func (q *queue) growing(bytes, spans int) *Batch {
	if n := len(q.waiting); n > 0 {
		b := q.waiting[n-1]
		if !b.Rotated && b.spans+spans <= q.maxSpans && len(b.payloads)+bytes <= commitBytes {
			return b
		}
	}
	b, _ := q.free.Get().(*Batch)
	if b == nil {
		b = new(Batch)
	}
	q.waiting = append(q.waiting, b)
	return b
}

func (q *queue) rotate() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.waiting = append(q.waiting, &Batch{Rotated: true})
	q.mu.Unlock()
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// gather lets everybody who is about to put something do so: as long as others
// can run and that brings more, up to a whole batch, they go first. A sync costs
// the same for one payload and for a hundred. Where others keep the processors
// for long, it yields once and no more.
func (q *queue) gather() {
	began := time.Now()
	for before, n := 0, q.entries(); n > before && time.Since(began) < gatherMost; before, n = n, q.entries() {
		runtime.Gosched()
	}
}

const gatherMost = time.Millisecond

// entries is how many payloads wait in the only batch, 0 when there is none or
// more than one.
func (q *queue) entries() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) != 1 {
		return 0
	}
	return len(q.waiting[0].Entries)
}

// take removes the oldest batch, nil when none waits. Open is false when nothing
// will follow.
func (q *queue) take() (b *Batch, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil, !q.closed
	}
	b = q.waiting[0]
	q.waiting[0] = nil
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	return b, true
}

// recycle keeps a batch's memory for another, unless it is a lot.
func (q *queue) recycle(b *Batch) {
	if cap(b.payloads) > commitBytes {
		return
	}
	clear(b.Entries) // forget the owners
	*b = Batch{Entries: b.Entries[:0], payloads: b.payloads[:0]}
	q.free.Put(b)
}

// close lets nothing more in.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}
