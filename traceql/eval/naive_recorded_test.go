package eval

import "slices"

// This file is the plain form of the rules that are known from recorded answers
// only: those of tempocolumns.go, temposelect.go and tempolineage.go.

// plainQuery is what all conditions of a query know of each other.
type plainQuery struct {
	known    map[string]bool
	selected bool         // names not yet known are not read any more
	onEvents []*plainTest // tests of event.n so far
}

// reading takes note of a name. It reports whether its value is read at all.
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

// plainLineages is &>> and &<<: tempolineage.go's rule below roots, the plain one for
// the others.
func plainLineages(t plainTrace, upper, lower plainTrace) plainTrace {
	var above, below plainTrace
	for _, u := range upper {
		if t.rooted(u) {
			above = append(above, u)
		}
	}
	for _, l := range lower {
		if t.rooted(l) {
			below = append(below, l)
		}
	}
	out := plainLineage(t, above, below)
	for _, u := range upper {
		for _, l := range lower {
			if !t.rooted(u) && t.related(">>", u, l) {
				out = append(out, u, l)
			}
		}
	}
	return out
}

// plainLineage is &>> and &<< as tempolineage.go words them.
func plainLineage(t plainTrace, upper, lower plainTrace) (out plainTrace) {
	upper, lower = t.walk(upper), t.walk(lower)
	related := func(l, r *plainSpan) bool { return t.rooted(l) && t.related(">>", l, r) }
	outermost := func(s *plainSpan) *plainSpan {
		for _, u := range upper { // in the order of the walk, the outermost comes first
			if related(u, s) {
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
			if related(top, l) {
				last = l
			}
		}
		if last != nil && related(u, last) {
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
			if !related(b, l) {
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
	if !t.rooted(s) {
		return nil
	}
	path, _ := t.path(s)
	for _, p := range path {
		place = append([]int{slices.Index(t, p)}, place...)
	}
	return place
}

// precedes reports whether the walk enters a before b, follows whether it enters a
// after it has left b. Spans below no root are left and entered first of all.
func (t plainTrace) precedes(a, b *plainSpan) bool { return slices.Compare(t.place(a), t.place(b)) < 0 }
func (t plainTrace) follows(a, b *plainSpan) bool {
	return t.precedes(b, a) && !(t.rooted(b) && t.related(">>", b, a))
}
