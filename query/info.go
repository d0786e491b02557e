package query

import "etude/trace"

// info is a View that a query reads, with the facts of its part.
type info struct {
	v     *trace.View
	facts *facts
}

// all is the selection of all spans.
func (in info) all() *selection { return in.facts.allRows(in.v) }

// values calls yield with the distinct values of a column, the newest first, until it
// returns false.
func (in info) values(c column, yield func(TagValue) bool) {
	known := in.facts.list(in.v, c.id())
	if known != nil {
		for _, v := range known.values {
			if !yield(v) {
				return
			}
		}
		if known.whole {
			return
		}
	}
	// Slow path: scan the column from its end for values after the known ones.
	var keep func(row uint32) bool
	if c.level == trace.ResourceLevel || c.level == trace.ScopeLevel {
		keep = in.all().keep(c.level)
	}
	d, found := newDistinct(in.v, c, keep), &valueList{whole: true}
	d.each(d.upTo, func(v TagValue) bool {
		found.values = append(found.values, v)
		if known != nil && len(found.values) <= len(known.values) {
			return true
		}
		found.whole = yield(v)
		return found.whole
	})
	in.facts.keep(in.v, c.id(), found)
}
