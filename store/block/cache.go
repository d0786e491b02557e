package block

import (
	"sync"

	"etude/trace"
)

// Cache keeps the units that queries read from the parts of all blocks that share it, within a bound of bytes.
//
// It is a segmented list. A unit used once is on probation; used again it is protected. The cache evicts units on
// probation first, the least recently used before others. Protected units, at most four fifths of the bound, fall
// back to probation. So a query that reads days of data once evicts only units on probation, not those that other
// queries use repeatedly.
//
// Evicting the skeleton of a part evicts all its units: codes are useless without their dictionary.
type Cache struct {
	mu        sync.Mutex
	limit     int
	probation queue
	protected queue
	stats     CacheStats
}

// CacheStats counts the work of a Cache.
type CacheStats struct {
	Hits, Misses int64 // units found, and units read
	Evicted      int64 // evicted units
	Bytes, Limit int64
}

// NewCache returns a Cache of at most limit bytes.
func NewCache(limit int64) *Cache { return &Cache{limit: int(limit)} }

// Stats returns the counts.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Bytes, s.Limit = int64(c.probation.bytes+c.protected.bytes), int64(c.limit)
	return s
}

// cached is the entry of a unit in the cache. A unit whose queue is nil is not in the cache.
type cached struct {
	of         *reading
	as         unitName
	in         *queue
	prev, next *unit
}

// queue is a list of units, the most recently used first.
type queue struct {
	first, last *unit
	bytes       int
}

func (q *queue) push(u *unit) {
	u.in, u.prev, u.next = q, nil, q.first
	if q.first != nil {
		q.first.prev = u
	} else {
		q.last = u
	}
	q.first = u
	q.bytes += u.bytes
}

func (q *queue) remove(u *unit) {
	if u.prev != nil {
		u.prev.next = u.next
	} else {
		q.first = u.next
	}
	if u.next != nil {
		u.next.prev = u.prev
	} else {
		q.last = u.prev
	}
	u.in, u.prev, u.next = nil, nil, nil
	q.bytes -= u.bytes
}

// state returns the units of a part in memory, or an empty state.
func (c *Cache) state(p *part) *reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.state == nil {
		p.state = &reading{part: p, dict: trace.NewDict(), units: map[unitName]*unit{}}
	}
	if whole := p.state.units[unitName{}]; whole != nil {
		c.use(whole)
	}
	return p.state
}

// get returns a unit, or nil.
func (c *Cache) get(r *reading, name unitName) *unit {
	if r, name = r.keeper(name); r == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := r.units[name]
	if u == nil {
		c.stats.Misses++
		return nil
	}
	c.stats.Hits++
	c.use(u)
	return u
}

// keeper returns the reading that keeps a unit, and the unit's name there. It returns nil if the cache does not
// keep the unit: the units of a single trace are not kept.
func (p *reading) keeper(name unitName) (*reading, unitName) {
	switch {
	case p.only == nil:
		return p, name
	case name.kind == oneDictionary:
		return p.whole, name
	case p.paged:
		name.page = p.only.page + 1
		return p.whole, name
	}
	return nil, name
}

// use records that a unit was used again.
func (c *Cache) use(u *unit) {
	if u.in == nil {
		return
	}
	u.in.remove(u)
	c.protected.push(u)
	for c.protected.bytes > c.limit/5*4 && c.protected.last != u {
		fallen := c.protected.last
		c.protected.remove(fallen)
		c.probation.push(fallen)
	}
}

// put adds a unit that was read.
func (c *Cache) put(r *reading, name unitName, u *unit) {
	if r, name = r.keeper(name); r == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.part.state != r {
		return // The part has been evicted.
	}
	u.bytes += unitOverhead
	u.of, u.as = r, name
	r.units[name] = u
	c.probation.push(u)
	c.shrink()
}

// unitOverhead estimates the memory of a unit besides its columns.
const unitOverhead = 300

// grow records the growth of a part's dictionary.
func (c *Cache) grow(r *reading, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if whole := r.units[unitName{}]; whole != nil && whole.in != nil {
		whole.bytes += by
		whole.in.bytes += by
		c.shrink()
	}
}

// shrink evicts units until the rest is within the bound.
func (c *Cache) shrink() {
	for c.probation.bytes+c.protected.bytes > c.limit {
		u := c.probation.last
		if u == nil {
			if u = c.protected.last; u == nil {
				return
			}
		}
		c.evict(u)
	}
}

func (c *Cache) evict(u *unit) {
	r := u.of
	if u.as.kind == wholePart {
		c.forget(r)
		return
	}
	u.in.remove(u)
	if u.as.kind == oneTally {
		r.tallied = nil
	}
	delete(r.units, u.as)
	c.stats.Evicted++
}

// forget evicts all units of a part.
func (c *Cache) forget(r *reading) {
	for _, u := range r.units {
		if u.in != nil {
			u.in.remove(u)
			c.stats.Evicted++
		}
	}
	r.units = map[unitName]*unit{}
	if r.part.state == r {
		r.part.state = nil
	}
}

// drop evicts all units of a block.
func (c *Cache) drop(b *Block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range b.parts {
		if p.state != nil {
			c.forget(p.state)
		}
		if p.tallied != nil {
			c.evict(p.tallied)
		}
	}
}
