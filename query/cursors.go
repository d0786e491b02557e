package query

import (
	"slices"

	"etude/trace"
	"etude/traceql/eval"
)

// cursor walks over the candidate traces of one part, newest first. The search opens the part when the cursor
// first becomes the newest of all. It computes the candidates when the cursor becomes the newest again, and puts
// them in order if there are any. It never opens most parts, because they are too old.
type cursor struct {
	part  int
	last  uint64          // no trace of the part starts later
	times *chronology     // nil until known
	ids   []trace.TraceID // by trace number; nil until the part is open
	order []uint32        // trace numbers, newest first: of all traces or of the candidates; nil until known
	at    int             // position in order
	ready bool            // the candidates are known
	sure  eval.Mask       // traces that may have a result
	cand  eval.Mask       // these and the doubtful ones, see eval.Run.May
}

// start returns the start of the trace at the cursor or, before the cursor is ready, a time after which no
// trace of the part starts. Later traces of the cursor are not newer.
func (c *cursor) start() uint64 {
	switch {
	case c.times == nil:
		return c.last
	case c.order == nil:
		return c.times.newest
	}
	return c.times.start[c.order[c.at]]
}

// settle moves to the next candidate at or after the position. It reports
// whether there is one.
func (c *cursor) settle() bool {
	if !c.ready {
		return true
	}
	if c.cand == nil {
		return false
	}
	for c.at < len(c.order) && !c.cand.Has(c.order[c.at]) {
		c.at++
	}
	return c.at < len(c.order)
}

// id returns the id of the trace at the cursor. While it is unknown, id returns the first of all ids.
func (c *cursor) id() (id trace.TraceID) {
	if c.ids == nil || c.order == nil {
		return id
	}
	return c.ids[c.order[c.at]]
}

// fewCandidates: if at most one of so many traces of a part is a candidate, a search puts only candidates in order.
const fewCandidates = 8

// few returns the candidates in order, or nil if they are many.
func (c *cursor) few() []uint32 {
	numbers := make([]uint32, 0, 16)
	for number := range c.cand.Rows {
		if numbers = append(numbers, number); len(numbers)*fewCandidates > len(c.ids) {
			return nil
		}
	}
	slices.SortFunc(numbers, func(a, b uint32) int {
		return newerFirst(c.times.start[a], c.ids[a], c.times.start[b], c.ids[b])
	})
	return numbers
}

// isSure reports whether the part alone makes the trace at the cursor a candidate.
func (c *cursor) isSure() bool { return c.sure != nil && c.sure.Has(c.order[c.at]) }

// before reports whether the trace of the first cursor precedes the trace of the second in answers. Ids break
// ties: of a million traces with one start, the search evaluates only those in the answer.
func (c *cursor) before(o *cursor) bool {
	return newerFirst(c.start(), c.id(), o.start(), o.id()) < 0
}

// cursors are a heap: the first precedes all others. Comparing every cursor for each trace would cost the
// square of the stored spans.
type cursors []*cursor

func (h cursors) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// down moves a cursor down the heap to its place.
func (h cursors) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[first]) {
				first = child
			}
		}
		if first == i {
			return
		}
		h[i], h[first] = h[first], h[i]
		i = first
	}
}

// drop removes the first cursor.
func (h *cursors) drop() {
	last := len(*h) - 1
	(*h)[0] = (*h)[last]
	*h = (*h)[:last]
	h.down(0)
}
