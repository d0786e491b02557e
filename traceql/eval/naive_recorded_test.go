package eval

import "slices"

// This file is the plain form of the rules that are known from recorded answers
// only: those of pushdown.go and of lineage.go.

func (c *plainCond) firstKey() (string, bool) {
	if c.first == nil {
		return "", false
	}
	return c.first()
}

// onFirst decides a test on the first event that has the key.
func (c *plainCond) onFirst(t plainTrace, s *plainSpan, key string) bool {
	for i := range s.events {
		if _, ok := s.events[i].attrs[key]; ok {
			return c.test(t, s, &s.events[i])
		}
	}
	return false
}

// plainQuery is what all conditions of a query know of each other.
type plainQuery struct {
	tests    []*plainTest
	filters  int
	mixed    bool // some filter is more than a chain of &&
	reads    bool // by() or an aggregate reads a value
	known    map[string]bool
	selected bool // names not yet known are not read any more
	tree     bool // there is a structural operator

	loaders []func(t plainTrace, s *plainSpan) bool // conditions, and values that are read
}

// all is the condition of { }. Beside a structural operator a span below no root
// has to be loaded by something else.
func (q *plainQuery) all(t plainTrace, s *plainSpan) bool {
	return !q.tree || t.path(s) != nil ||
		slices.ContainsFunc(q.loaders, func(load func(plainTrace, *plainSpan) bool) bool { return load(t, s) })
}

// alone tells whether a query is but one chain of &&.
func (q *plainQuery) alone() bool { return q.filters == 1 && !q.mixed && !q.reads }

// reading takes note of a name. It tells whether its value is read at all.
func (q *plainQuery) reading(name string) bool {
	if !q.selected {
		q.known[name] = true
	}
	return q.known[name]
}

// plainTest is a comparison of an attribute with a literal.
type plainTest struct {
	scope, key, op string
	lit            plainValue
}

// holds decides a test for a value, of an array for the elements that some test
// of the same table loads.
func (q *plainQuery) holds(x *plainTest, v plainValue) bool {
	array, ok := v.([]plainValue)
	if !ok {
		return q.loads(x, v) && plainMixed(v, x.op, x.lit)
	}
	var left []plainValue
	for _, e := range array {
		if q.loads(x, e) {
			left = append(left, e)
		}
	}
	pass := func(e plainValue) bool { return plainMixed(e, x.op, x.lit) }
	if x.op == "!=" && slices.ContainsFunc(left, func(e plainValue) bool { return !pass(e) }) {
		return false
	}
	return slices.ContainsFunc(left, pass)
}

// loads tells whether a test, or another one of the same table, asks for values
// of this type and selects this one.
func (q *plainQuery) loads(x *plainTest, v plainValue) bool {
	if plainCompare(v, x.op, x.lit) {
		return true
	}
	for _, o := range q.tests {
		same := o.scope == x.scope || (o.scope == "." || x.scope == ".") &&
			o.scope != "event." && x.scope != "event."
		own := o.scope == "span." && o.key == "http.url" // has a column for itself
		if o != x && same && !own && plainCompare(v, o.op, o.lit) {
			return true
		}
	}
	return false
}

// plainMixed compares numbers of different types, too.
func plainMixed(v plainValue, op string, lit plainValue) bool {
	if i, ok := v.(int64); ok {
		if _, ok := lit.(float64); ok {
			v = float64(i)
		}
	} else if i, ok := lit.(int64); ok {
		if _, ok := v.(float64); ok {
			lit = float64(i)
		}
	}
	return plainCompare(v, op, lit)
}

// plainLineage is &>> and &<< as lineage.go words them.
func plainLineage(t plainTrace, upper, lower plainTrace) (out plainTrace) {
	upper, lower = t.walk(upper), t.walk(lower)
	outermost := func(s *plainSpan) *plainSpan {
		for _, u := range upper { // in the order of the walk, the outermost comes first
			if t.related(">>", u, s) {
				return u
			}
		}
		return nil
	}
	var above, below plainTrace
	for _, u := range upper {
		top := outermost(u)
		if top == nil {
			top = u
		}
		var last *plainSpan
		for _, l := range lower {
			if t.related(">>", top, l) {
				last = l
			}
		}
		if last != nil && t.related(">>", u, last) {
			above = append(above, u)
		}
	}
	for i, l := range lower {
		top := outermost(l)
		if top == nil {
			continue
		}
		var before *plainSpan // the last one that ends before l begins
		for _, b := range lower[:i] {
			if !t.related(">>", b, l) {
				before = b
			}
		}
		if !slices.ContainsFunc(upper, func(u *plainSpan) bool {
			return !slices.Contains(above, u) && t.precedes(u, top) && (before == nil || t.follows(u, before))
		}) {
			below = append(below, l)
		}
	}
	return append(above, below...)
}

// walk returns the spans of a set as a walk through the trace meets them, first
// those below no root.
func (t plainTrace) walk(set plainTrace) plainTrace {
	set = slices.Clone(set)
	slices.SortStableFunc(set, func(a, b *plainSpan) int { return slices.Compare(t.place(a), t.place(b)) })
	return set
}

// place is the way down to a span from the roots, as positions in the trace;
// empty for a span below no root.
func (t plainTrace) place(s *plainSpan) (place []int) {
	for _, p := range t.path(s) {
		place = append([]int{slices.Index(t, p)}, place...)
	}
	return place
}

// precedes tells whether the walk enters a before b, follows whether it enters a
// after it has left b. Spans below no root are left and entered first of all.
func (t plainTrace) precedes(a, b *plainSpan) bool { return slices.Compare(t.place(a), t.place(b)) < 0 }
func (t plainTrace) follows(a, b *plainSpan) bool {
	return t.precedes(b, a) && !t.related(">>", b, a)
}
