package query

import "etude/traceql/eval"

// valueBytes estimates the memory of a value besides its text: in the set, in the sorted list and in the answer.
const valueBytes = 160

// collector gathers distinct values up to the limits of a request.
type collector struct {
	limit, maxStale int  // 0 for no bound
	untyped         bool // values of the same text are one
	room            *int // remaining bytes of the answer
	memory          *memory

	seen  map[TagValue]struct{}
	stale int // values since the last new one
	full  bool
}

func newCollector(req TagRequest, room *int, memory *memory) *collector {
	return &collector{limit: req.Limit, maxStale: req.MaxStale, room: room, memory: memory, seen: map[TagValue]struct{}{}}
}

// add adds a value. It reports whether the collector needs more.
func (c *collector) add(v TagValue) (more bool) {
	if c.full {
		return false
	}
	if c.untyped {
		v.Type = ""
	}
	size := len(v.Type) + len(v.Value)
	if size > maxTagBytes {
		return true // Too large for any answer: skip it, and go on.
	}
	if _, ok := c.seen[v]; ok {
		c.stale++
		c.full = c.maxStale > 0 && c.stale >= c.maxStale
		return !c.full
	}
	if size > *c.room {
		c.full = true
		return false
	}
	if c.memory.Take(size+valueBytes, eval.Progress{Format: "%d names or values", A: len(c.seen)}) != nil {
		c.full = true // the context tells
		return false
	}
	*c.room -= size
	c.stale = 0
	c.seen[v] = struct{}{}
	c.full = c.limit > 0 && len(c.seen) >= c.limit
	return !c.full
}

// has reports whether the collector has the value.
func (c *collector) has(v TagValue) bool {
	if c.untyped {
		v.Type = ""
	}
	_, ok := c.seen[v]
	return ok
}
