// Package quota shares a limited number of things, such as series, among owners that choose their names and
// numbers themselves.
//
// Two limits hold. At most max things exist at a time. And after the first max, at most max things an hour are
// made: a series that has ended stays in the memory of the database for hours, so a flood of names that come
// and go would fill the memory within the first limit.
//
// Half of each limit is reserved. Of this half, each of the owners (as many as the pool was made for) may hold
// an equal part, independent of the others, so a new owner always finds room. The other half is for owners that
// want more: an owner may hold at most twice as many things as are still free there. So one owner that floods
// gets two thirds of that half, and leaves a third to the next one.
//
// Rejected: first come, first served gives everything to the first flood. A fixed equal part of all is too
// little for a large owner among small ones. "As many as are free", without a reserved part, is fair to floods
// that grow together, but after ten successive floods a thousandth is left.
package quota

import (
	"sync"
	"time"
)

// Pool is a limited number of things. A nil Pool has no limit. Its methods are safe for concurrent use.
type Pool struct {
	max    int
	owners int
	part   int // of each owner in the reserved half

	mu    sync.Mutex
	used  int
	parts int            // things that owners hold within their parts
	held  map[string]int // things by owner
	left  float64        // things that may still be made, refilled with max an hour
	at    time.Time      // time of the last refill
}

// refill is the time in which max more things may be made.
const refill = time.Hour

// New returns a Pool of max things for a number of owners; 0 things means no limit.
func New(max, owners int) *Pool {
	p := &Pool{max: max, owners: owners, held: map[string]int{}, left: float64(max)}
	if owners > 0 {
		p.part = max / 2 / owners
	}
	return p
}

// Take gives an owner n more things and reports whether there was room.
func (p *Pool) Take(owner string, n int, now time.Time) bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.max > 0 {
		p.fill(now)
		if !p.room(owner, n) {
			return false
		}
		p.left -= float64(n)
	}
	p.add(owner, n)
	return true
}

func (p *Pool) room(owner string, n int) bool {
	held, known := p.held[owner]
	if held+n <= p.part && (known || len(p.held) < p.owners) {
		return n <= p.max-p.used && float64(n) <= p.left
	}
	aside := p.part*p.owners - p.parts // parts that owners may still claim
	free := min(p.max-p.used-aside, int(p.left)-p.max/2)
	return n <= free && held+n <= 2*free
}

func (p *Pool) fill(now time.Time) {
	if passed := now.Sub(p.at); !p.at.IsZero() && passed > 0 {
		p.left = min(float64(p.max), p.left+float64(p.max)*float64(passed)/float64(refill))
	}
	p.at = now
}

func (p *Pool) add(owner string, n int) {
	held := p.held[owner]
	p.used += n
	p.parts += min(held+n, p.part) - min(held, p.part)
	if p.held[owner] = held + n; held+n == 0 {
		delete(p.held, owner)
	}
}

// Give returns n things of an owner to the pool.
func (p *Pool) Give(owner string, n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(owner, -n)
}

// Undo is Give for things that Take gave but that were not made.
func (p *Pool) Undo(owner string, n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(owner, -n)
	p.left += float64(n)
}

// Used is the number of things that exist.
func (p *Pool) Used() int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// Held is the number of things that an owner has.
func (p *Pool) Held(owner string) int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[owner]
}
