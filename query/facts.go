package query

import (
	"container/list"
	"strings"
	"sync"

	"etude/trace"
	"etude/traceql/eval"
)

// factCache caches facts about parts that are costly to compute. It holds no View, so it keeps no column of a dropped
// part in memory. Its bound is in bytes; it evicts the facts of the least recently used part first.
//
// Order of locks: facts before the cache.
type factCache struct {
	limit int64

	mu     sync.Mutex
	parts  map[trace.PartID]*facts
	recent list.List // of *facts, the one used last in front
	bytes  int64
}

// facts are the known facts about one part. Rows of a part never change, so facts about a number of rows stay
// true. If a part has grown, the cache extends its chronology and drops the other facts.
type facts struct {
	cache *factCache
	id    trace.PartID
	place *list.Element // in cache.recent; nil after eviction
	bytes int64         // that the cache counts

	mu          sync.Mutex
	times       *chronology // of the newest View
	ordered     *chronology // the newest that has an order; often times itself
	repeated    eval.Mask   // rows that older parts have, too; repeatedKey identifies these parts
	repeatedKey uint64      // 0 for none

	lacking []string // see KeepLacking

	rows  int // number of rows that the fields below describe
	all   *selection
	roots []uint32 // see apparentRoots
	lists map[columnID]*valueList
}

func newFactCache(limit int64) *factCache {
	return &factCache{limit: limit, parts: map[trace.PartID]*facts{}}
}

// factBytes estimates the memory of empty facts.
const factBytes = 400

// of returns the facts of a part.
func (c *factCache) of(id trace.PartID) *facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.parts[id]; f != nil {
		c.recent.MoveToFront(f.place)
		return f
	}
	f := &facts{cache: c, id: id}
	f.place, c.parts[id] = c.recent.PushFront(f), f
	c.grow(f, factBytes)
	return f
}

// count adds n bytes, possibly negative, to the memory of facts.
func (c *factCache) count(f *facts, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.place != nil {
		c.grow(f, bytes)
	}
}

// grow is count for a caller that holds the lock. It evicts other facts until the bytes fit. Queries that use
// the evicted facts are not affected.
func (c *factCache) grow(f *facts, bytes int) {
	f.bytes += int64(bytes)
	c.bytes += int64(bytes)
	for last := c.recent.Back(); c.bytes > c.limit && last.Value != f; last = c.recent.Back() {
		gone := c.recent.Remove(last).(*facts)
		gone.place = nil
		c.bytes -= gone.bytes
		delete(c.parts, gone.id)
	}
}

// used returns the bytes of all facts.
func (c *factCache) used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// chronology returns the chronology of a View of the part, possibly without the order.
func (f *facts) chronology(v *trace.View) *chronology {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.times
	if before != nil && before.rows == v.Spans() {
		return before
	}
	times := timesOf(v, before)
	if before == nil || before.rows < times.rows {
		f.keepTimes(times, f.ordered)
	}
	return times
}

// inOrder returns a chronology of a View with its order.
func (f *facts) inOrder(v *trace.View, c *chronology) *chronology {
	if c.order != nil {
		return c
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.ordered
	if before != nil && before.rows == c.rows {
		return before
	}
	with := c.ordered(v, before)
	switch {
	case before != nil && before.rows > with.rows:
	case f.times != nil && f.times.rows > with.rows:
		f.keepTimes(f.times, with)
	default:
		f.keepTimes(with, with)
	}
	return with
}

// keepTimes stores the chronologies. The caller holds the lock.
func (f *facts) keepTimes(times, ordered *chronology) {
	before := f.timesBytes()
	f.times, f.ordered = times, ordered
	f.cache.count(f, f.timesBytes()-before)
}

func (f *facts) timesBytes() int {
	if f.times == f.ordered {
		return f.times.bytes()
	}
	return f.times.bytes() + f.ordered.bytes()
}

// known returns the cached chronology of a part with the given number of spans, or nil.
func (f *facts) known(spans int) *chronology {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.times != nil && f.times.rows == spans {
		return f.times
	}
	return nil
}

// Repeated returns the cached rows of a part under a key.
func (c *factCache) Repeated(id trace.PartID, key uint64) (rows eval.Mask, known bool) {
	f := c.of(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.repeated, f.repeatedKey == key
}

// KeepRepeated caches the rows of a part under a key.
func (c *factCache) KeepRepeated(id trace.PartID, key uint64, rows eval.Mask) {
	f := c.of(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	c.count(f, 8*(len(rows)-len(f.repeated)))
	f.repeated, f.repeatedKey = rows, key
}

// about prepares the facts for a View. Then the caller, who holds the lock, may read and set the fields after
// rows. It returns false if the facts already describe a newer View.
func (f *facts) about(v *trace.View) bool {
	if f.rows < v.Spans() {
		kept := 0
		for _, l := range f.lists {
			kept += l.bytes()
		}
		f.cache.count(f, -kept-4*len(f.roots)-f.all.bytes())
		f.rows, f.all, f.roots, f.lists = v.Spans(), nil, nil, nil
	}
	return f.rows == v.Spans()
}

// allRows returns the selection of all spans of a View.
func (f *facts) allRows(v *trace.View) *selection {
	f.mu.Lock()
	defer f.mu.Unlock()
	current := f.about(v)
	if current && f.all != nil {
		return f.all.in(v)
	}
	all := newSelection(v, nil)
	if current {
		f.all = all.in(nil)
		f.cache.count(f, all.bytes())
	}
	return all
}

// apparentRoots returns the cached apparentRoots of a View.
func (f *facts) apparentRoots(v *trace.View) []uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	current := f.about(v)
	if current && f.roots != nil {
		return f.roots
	}
	roots := apparentRoots(v)
	if current {
		f.roots = roots
		f.cache.count(f, 4*len(roots))
	}
	return roots
}

// valueList has distinct values of a column, the newest first, as far as queries have needed them.
type valueList struct {
	values []TagValue
	whole  bool // there are no more
	texts  int  // bytes
}

// own copies the texts into memory of their own, in one allocation, so that they do not keep the View in memory.
func (l *valueList) own() {
	l.texts = 0
	for _, v := range l.values {
		l.texts += len(v.Value)
	}
	var b strings.Builder
	b.Grow(l.texts)
	for _, v := range l.values {
		b.WriteString(v.Value)
	}
	all := b.String()
	for i := range l.values {
		n := len(l.values[i].Value)
		l.values[i].Value, all = all[:n], all[n:]
	}
}

func (l *valueList) bytes() int { return 64 + 32*len(l.values) + l.texts }

// list returns the cached values of a column, or nil.
func (f *facts) list(v *trace.View, c columnID) *valueList {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.about(v) {
		return nil
	}
	return f.lists[c]
}

// keep caches the values of a column if they are more than the cached ones. It copies their texts out of the
// memory of the View.
func (f *facts) keep(v *trace.View, c columnID, l *valueList) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.lists[c]
	if !f.about(v) || before != nil && (before.whole || len(before.values) >= len(l.values)) && !l.whole {
		return
	}
	l.own()
	if f.lists == nil {
		f.lists = map[columnID]*valueList{}
	}
	f.lists[c] = l
	bytes := l.bytes()
	if before != nil {
		bytes -= before.bytes()
	}
	f.cache.count(f, bytes)
}
