package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// Priority gives short queries priority over writes. Writers at full speed take
// every core; a query then waits for a time slice of the scheduler, ten
// milliseconds and more. While a query is young, the appliers of all stores that
// share the Priority pause between two payloads, so the query finds a core.
// Writers wait for their acknowledgement meanwhile and send no more.
//
// Bounds: a query is young for its first queryYouth. An applier pauses for at most
// pauseMost and then works for at least half as long as it paused, whatever queries
// come. So queries cannot stop writes, and writes cost a query one payload's time.
// Close ends a pause at once.
//
// Locks: mu guards none and is held for a few instructions. An applier holds no
// lock while it pauses. Queries never wait.
//
// Rejected: lower scheduling priority for appliers, which Go does not have; a token
// that queries and appliers share, since a query would have to wait for it; and
// runtime.Gosched in the applier, which queues it after goroutines that are ready,
// and the query becomes ready a moment later.
//
// The zero Priority is ready to use, by any goroutine.
type Priority struct {
	young atomic.Int32 // queries that have priority
	mu    sync.Mutex
	none  chan struct{} // closed when the last young query ages; nil while none is young
}

const (
	queryYouth = 20 * time.Millisecond // how long a query has priority
	pauseMost  = 10 * time.Millisecond // longest pause of an applier
	workLeast  = time.Millisecond      // least time it works after a pause; half the pause if that is longer
)

// Query marks the beginning of a query, and done its end.
func (p *Priority) Query() (done func()) {
	p.mu.Lock()
	if p.young.Add(1) == 1 {
		p.none = make(chan struct{})
	}
	p.mu.Unlock()
	aged := time.AfterFunc(queryYouth, p.leave)
	return func() {
		if aged.Stop() {
			p.leave()
		}
	}
}

func (p *Priority) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.young.Add(-1) == 0 {
		close(p.none)
		p.none = nil
	}
}

func (p *Priority) noneYoung() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.none
}

// turns decides when one applier pauses.
type turns struct {
	p       *Priority       // nil: the applier never pauses
	closing <-chan struct{} // closed when it must pause no more
	works   time.Time       // it does not pause before this
}

// pause waits while a young query runs, within the bounds above.
func (t *turns) pause() {
	if t.p == nil || t.p.young.Load() == 0 || time.Now().Before(t.works) { // Fast path: no query is young.
		return
	}
	none := t.p.noneYoung()
	if none == nil {
		return
	}
	began, most := time.Now(), time.NewTimer(pauseMost)
	defer most.Stop()
	select {
	case <-none:
	case <-most.C:
	case <-t.closing:
		t.p = nil // Close waits for the remaining payloads.
	}
	now := time.Now()
	t.works = now.Add(max(workLeast, now.Sub(began)/2))
}
