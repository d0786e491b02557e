package wal

import (
	"runtime"
	"sync"
	"time"
)

// Batch holds the payloads of one write, in log order, or the answer to Rotate. The committer writes or refuses
// it as a whole.
type Batch struct {
	Entries []Entry
	Segment uint64 // segment that has the batch
	Err     error  // reason why no segment has it
	Rotated bool   // no payloads, but the answer to Rotate

	payloads []byte // one after the other
	spans    int
}

// Entry is one payload of a Batch.
type Entry struct {
	Owner   any // the caller's
	Spans   int
	Arrival int64 // unix ns

	end int // where it ends in the batch's payloads
}

// Payload returns the bytes of an entry. They belong to the batch.
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

// The queue joins many callers to one committer.
//
// Invariant: the committer commits batches in the order in which put has filled them, and only the last batch
// grows. So log order is the order of put.
//
// put copies a payload into the batch. So a caller may reuse its payload, or stop waiting, at any time. mu is
// the only lock; put holds it for one copy.
//
// Before it takes a batch, the committer yields to callers that are about to put
// (gather): a sync costs the same for one payload and for a hundred. It yields for
// gatherMost at most.
//
// Rejected: a channel of payloads. The committer would receive them one by one and copy them all; now the
// callers' goroutines copy them. Also rejected: a timer that waits for more payloads. A single caller would
// wait for the timer each time.
type queue struct {
	wake     chan struct{} // has a token when a batch may be waiting
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

// growing returns the batch for the next payload.
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

// gather yields to callers that are about to put a payload, for as long as each
// yield brings more payloads and the batch is not full. When other goroutines keep
// the processors busy for long, it yields once only.
func (q *queue) gather() {
	began := time.Now()
	for before, n := 0, q.entries(); n > before && time.Since(began) < gatherMost; before, n = n, q.entries() {
		runtime.Gosched()
	}
}

const gatherMost = time.Millisecond

// entries is the number of payloads in the only batch; 0 when no batch waits, or
// several.
func (q *queue) entries() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) != 1 {
		return 0
	}
	return len(q.waiting[0].Entries)
}

// take removes and returns the oldest batch, or nil if none waits. Open is false if the queue is closed and empty.
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

// recycle keeps a batch's memory for another batch, unless it is unusually large.
func (q *queue) recycle(b *Batch) {
	if cap(b.payloads) > commitBytes {
		return
	}
	clear(b.Entries) // drop the references to the owners
	*b = Batch{Entries: b.Entries[:0], payloads: b.payloads[:0]}
	q.free.Put(b)
}

// close refuses every later put.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}
