package generator

import "etude/trace"

// A client that gets no answer sends its spans again. If the Table of the first time still grows, it does not take
// them. If the store has begun another Table since, that one has the spans as well, and queries count each once. So
// does the generator: it looks a span up in the Tables before, by the properties that identify it.
//
// Few spans need that. Only a trace that an earlier Table has, too, may have spans sent again, and each trace is looked
// up once. A span that starts after all spans of the earlier Tables have ended is new. Rejected: a set of the ids of
// all spans of the last minutes, which costs every span an insertion.
//
// Limits: a span counts again if the client sends it after retryWindow, or after more than retryTables Tables.

const (
	retryTables = 4
	retryWindow = int64(5 * 60 * 1e9) // ns
)

// earlier are the Tables that may have the spans of a later one.
type earlier struct {
	views  []*trace.View
	latest uint64 // no span of the Tables starts after it, unix ns
}

// before returns the Tables before views[i] that may have its new spans.
func before(views []*trace.View, i int, now int64) (e earlier) {
	for _, v := range views[max(0, i-retryTables):i] {
		if _, newest := v.Arrivals(); newest >= now-retryWindow {
			_, end := v.Times()
			e.views, e.latest = append(e.views, v), max(e.latest, end)
		}
	}
	return e
}

// lookUp finds the new traces of the View that the earlier Tables have, too. Doing this for many traces at once is far
// faster than one by one between other work, since the processor waits for many reads of memory at a time.
func (e *earlier) lookUp(c *cursor, v *trace.View) {
	from := len(c.continued)
	c.continued = append(c.continued, make([]bool, len(v.TraceIDs)-from)...)
	if len(e.views) == 0 {
		return
	}
	for number, id := range v.TraceIDs[from:] {
		lookup := id.Lookup()
		for _, old := range e.views {
			if _, ok := lookup.In(old); ok {
				c.continued[from+number] = true
			}
		}
	}
}

// has reports whether an earlier Table has the span of a row.
func (e *earlier) has(c *cursor, v *trace.View, row uint32) bool {
	lookup := v.TraceIDs[v.Trace[row]].Lookup()
	for _, old := range e.views {
		if number, ok := lookup.In(old); ok && old.HasSpan(number, v.SpanID[row], v.Kind[row], v.Start[row]) {
			return true
		}
	}
	return false
}
