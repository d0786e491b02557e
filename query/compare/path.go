package compare

import (
	"cmp"
	"slices"

	"etude/trace"
)

// correctClocks moves spans whose clock differs from their caller's, as the page does. It moves a child of
// another service that is outside its parent, together with its descendants in the same service. A child no
// longer than its parent is centred in it; a longer one begins with it. A consumer may begin at any time.
func (t *tree) correctClocks() {
	copy(t.from, t.start) // as sent, until cut
	for _, i := range t.order {
		p := t.parent[i]
		if p == none {
			continue
		}
		s, above := &t.spans[i], &t.spans[p]
		by := t.start[p] - t.from[p] // distance by which the parent was moved
		if s.Service != above.Service {
			by = clockError(t.start[p], t.end[p], t.start[i], t.end[i], s.Kind)
		}
		t.start[i], t.end[i] = t.start[i]+by, t.end[i]+by
	}
}

// clockError is the distance by which a child must be moved.
func clockError(from, to, start, end int64, kind trace.Kind) int64 {
	switch length := end - start; {
	case length > to-from:
		return max(0, from-start)
	case start >= from && end <= to, kind == trace.KindConsumer:
		return 0
	default:
		return from + (to-from-length)/2 - start
	}
}

// findPath cuts each span to its parent and finds the children it waits for.
func (t *tree) findPath() {
	n := len(t.spans)
	below := make([]int32, n) // the children of each span, in one slice
	at := make([]int32, n+1)
	roots := t.cut()
	for _, i := range t.order {
		if p := t.parent[i]; p != none {
			at[p+1]++
		}
	}
	for i := range n {
		at[i+1] += at[i]
	}
	fill := slices.Clone(at)
	for _, i := range t.order {
		if p := t.parent[i]; p != none {
			below[fill[p]] = i
			fill[p]++
		}
	}
	for _, i := range t.order {
		t.own[i] = t.wait(t.from[i], t.to[i], below[at[i]:at[i+1]])
	}
	t.top.own = t.wait(t.top.from, t.top.to, roots)
}

// cut sets from and to. It returns the children of the top: the root, or all roots if there is not exactly one.
func (t *tree) cut() []int32 {
	var roots, all []int32
	for _, i := range t.order {
		t.from[i], t.to[i] = t.start[i], t.end[i]
		if p := t.parent[i]; p != none {
			t.from[i] = min(max(t.from[i], t.from[p]), t.to[p])
			t.to[i] = max(min(t.to[i], t.to[p]), t.from[i])
			continue
		}
		if all = append(all, i); !t.orphan[i] {
			roots = append(roots, i)
		}
	}
	if len(roots) != 1 {
		roots = all
	}
	for k, i := range roots {
		if k == 0 {
			t.top.from, t.top.to = t.from[i], t.to[i]
		}
		t.top.from, t.top.to = min(t.top.from, t.from[i]), max(t.top.to, t.to[i])
	}
	return slices.Clone(roots) // wait reorders them
}

// wait walks backwards from to, marks the children on the path, and returns the time without a child.
func (t *tree) wait(from, to int64, children []int32) (own int64) {
	slices.SortFunc(children, func(a, b int32) int {
		return cmp.Or(cmp.Compare(t.to[b], t.to[a]), cmp.Compare(t.from[a], t.from[b]), cmp.Compare(a, b))
	})
	at := to
	for _, c := range children {
		if t.to[c] > at || t.to[c] == t.from[c] {
			continue
		}
		t.onPath[c] = true
		own += at - t.to[c]
		at = t.from[c]
	}
	return own + at - from
}
