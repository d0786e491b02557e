package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// Priority lets short queries go first. While one runs, the appliers of the
// stores that have the Priority pause, so that a query finds a core to run on
// beside writers that would take all of them. Writers wait for their
// acknowledgement meanwhile, and so send no more.
//
// Neither can starve the other: a query goes first for its first few
// milliseconds only, and an applier that has paused works half as long before it
// pauses again. The zero Priority is ready; queries and appliers may use it from
// any goroutine.
type Priority struct {
	young atomic.Int32 // queries that go first
	mu    sync.Mutex
	none  chan struct{} // closed when no query is young any more; nil while none is
}

const (
	queryYouth = 20 * time.Millisecond // how long a query goes first
	pauseMost  = 10 * time.Millisecond // how long an applier pauses
	workLeast  = time.Millisecond      // how long it works after a pause; after a longer one, half as long
)

// Query says that a query begins to run; done, that it has ended.
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

// turns are those of one applier.
type turns struct {
	p       *Priority       // nil: nobody goes before it
	closing <-chan struct{} // closed when it is to pause no more
	works   time.Time       // until when it does not pause
}

// pause lets queries go first if it is their turn.
func (t *turns) pause() {
	if t.p == nil || t.p.young.Load() == 0 || time.Now().Before(t.works) { // Fast path: nobody asks.
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
		t.p = nil // Close waits for what is left: queries go beside it.
	}
	now := time.Now()
	t.works = now.Add(max(workLeast, now.Sub(began)/2))
}
