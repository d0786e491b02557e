package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// Priority gives short queries priority over writes. Writers at full speed use every core, so a query waits ten
// milliseconds and more for a time slice of the scheduler. While a query is young, the appliers of all stores
// that share the Priority pause between two payloads, so that the query gets a core. Meanwhile the writers wait
// for their acknowledgement and send nothing.
//
// Limits: a query is young for its first queryYouth. An applier pauses for at most pauseMost and then works for
// at least half as long as it paused, even if new queries arrive. So queries cannot stop writes, and a query
// waits for at most one payload. Close ends a pause at once.
//
// Locks: mu protects none and is held for a few instructions. An applier holds no lock while it pauses. Queries
// never wait.
//
// Rejected: a lower scheduling priority for appliers, which Go does not have; a token shared by queries and
// appliers, because a query would have to wait for it; runtime.Gosched in the applier, because it yields only
// to goroutines that are ready, and the query becomes ready a moment later.
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
