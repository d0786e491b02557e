package eval

import (
	"slices"

	"etude/trace"
)

// tree holds the nested-set numbers of a Trace, one entry a span. One counter
// runs through a depth-first walk, root after root: entering a span sets left,
// leaving it sets right, so an ancestor's interval encloses its descendants'.
// up is the parent's left, -1 for a root.
//
// After the roots the walk visits the orphans: spans whose parent is missing, because it has not arrived yet or
// never will. The missing parent gets numbers as well, so orphans that name the same parent are siblings. So
// the relations depend only on the ids of the spans, and queries work on a trace that is still running. Only
// spans below a root show their numbers, as in Tempo. Rejected: Tempo's rule that spans of an incomplete trace
// are unrelated, since every trace begins incomplete.
//
// In a circle of parents the first span counts as an orphan, as does a span that names itself. Rejected:
// excluding circles from all relations, because that loses all spans below them.
//
// The numbers are computed per query and not stored, because a late span would change them all. A trace is
// small, and only structural queries need the numbers.
type tree struct {
	built           bool
	left, right, up []int64
	children        []int64 // direct children, of unreachable spans too
	rooted          int64   // the last number below a root
	last            int64   // the last number
	strict          bool    // see Program.RelateAsTempo

	few         bool                    // ids has the ids, not byID
	ids         []trace.SpanID          // of the spans of a small trace
	shared      bool                    // some spans share an id
	byID        map[trace.SpanID]sameID // of the spans of a large trace
	most        int                     // most entries for which byID had room
	mostOrphans int                     // the same for orphans
	first       []int32                 // first child, or -1
	next        []int32                 // next sibling, or -1
	stack       []int32

	orphans map[trace.SpanID]int32 // first span that names this missing parent
}

// sameID are the spans that share an id: one, or the two of a client and server.
type sameID struct {
	a, b int32 // b is -1 for one
	more bool
}

// numbers returns the tree of the trace. The first call builds it.
func (t *Trace) numbers() *tree {
	if !t.tree.built {
		t.tree.build(t)
		t.tree.built = true
	}
	return &t.tree
}

func (n *tree) build(t *Trace) {
	size := len(t.Spans)
	n.left, n.right = zeroed(n.left, size), zeroed(n.right, size)
	n.up, n.children = zeroed(n.up, size), zeroed(n.children, size)
	n.orphans, n.mostOrphans = emptied(n.orphans, n.mostOrphans, 0)
	ambiguous := n.index(t)
	n.link(t)
	counter := int64(0)
	for i, r := range t.Spans {
		if t.View(r).Parent[r.Row].IsZero() && n.parentOf(t, i) < 0 {
			n.up[i] = -1
			counter = n.walk(int32(i), counter)
		}
	}
	n.rooted = counter
	if ambiguous {
		n.rooted = 0 // as in Tempo
	}
	n.last = counter
	if n.strict && ambiguous {
		clear(n.left)
		clear(n.right)
		clear(n.up)
	}
	if !n.strict {
		n.last = n.walkOrphans(t, counter)
		n.last = n.walkCircles(t, n.last)
	}
}

// walkCircles numbers the spans that no other walk has reached: spans in a circle of parents, and all spans below them.
func (n *tree) walkCircles(t *Trace, counter int64) int64 {
	for i := range t.Spans {
		if n.left[i] > 0 {
			continue
		}
		first := n.firstInCircle(t, int32(i))
		n.unlink(n.parentOf(t, int(first)), first)
		counter++ // the parent
		n.up[first] = counter
		counter = n.walk(first, counter) + 1
	}
	return counter
}

// firstInCircle follows the parents of a span, which lead into a circle, and
// returns the first span in it.
func (n *tree) firstInCircle(t *Trace, at int32) int32 {
	const passed = -1
	for n.right[at] != passed {
		n.right[at] = passed // until the walk numbers it
		at = n.parentOf(t, int(at))
	}
	first := at
	for next := n.parentOf(t, int(at)); next != at; next = n.parentOf(t, int(next)) {
		first = min(first, next)
	}
	return first
}

// unlink removes a span from the children of its parent.
func (n *tree) unlink(parent, child int32) {
	at := &n.first[parent]
	for *at != child {
		at = &n.next[*at]
	}
	*at = n.next[child]
}

// walkOrphans numbers the orphans and all spans below them.
func (n *tree) walkOrphans(t *Trace, counter int64) int64 {
	if len(n.orphans) == 0 { // Fast path
		return counter
	}
	for i, r := range t.Spans {
		parent := t.View(r).Parent[r.Row]
		first, ok := n.orphans[parent]
		if !ok || first != int32(i) {
			continue
		}
		counter++ // the parent
		left := counter
		for at := first; at >= 0; at = n.next[at] {
			n.up[at] = left
			counter = n.walk(at, counter)
		}
		counter++
	}
	return counter
}

// shown returns a number as queries read it: zero for a span that is not below a root.
func (n *tree) shown(span int, number int64) int64 {
	if n.left[span] > n.rooted {
		return 0
	}
	return number
}

// fewSpans is the most spans of a small trace. Comparing its ids one by one is faster than a map.
const fewSpans = 16

// index collects the spans by id. It reports whether more than two share one,
// which leaves the trace without numbers.
func (n *tree) index(t *Trace) (ambiguous bool) {
	if len(t.Spans) <= fewSpans { // Fast path
		return n.indexFew(t)
	}
	return n.indexMany(t)
}

func (n *tree) indexMany(t *Trace) (ambiguous bool) {
	n.few, n.shared = false, false
	n.byID, n.most = emptied(n.byID, n.most, len(t.Spans))
	for i, r := range t.Spans {
		id := t.View(r).SpanID[r.Row]
		same, ok := n.byID[id]
		switch {
		case !ok:
			same = sameID{a: int32(i), b: -1}
		case same.b < 0:
			same.b, n.shared = int32(i), true
		default:
			same.more, ambiguous = true, true
		}
		n.byID[id] = same
	}
	return ambiguous
}

func (n *tree) indexFew(t *Trace) (ambiguous bool) {
	n.few, n.shared, n.ids = true, false, n.ids[:0]
	for _, r := range t.Spans {
		id := t.View(r).SpanID[r.Row]
		if slices.Contains(n.ids, id) {
			n.shared = true
		}
		n.ids = append(n.ids, id)
	}
	if n.shared {
		for _, id := range n.ids {
			same, _ := n.having(id)
			ambiguous = ambiguous || same.more
		}
	}
	return ambiguous
}

// having returns the spans with an id.
func (n *tree) having(id trace.SpanID) (same sameID, ok bool) {
	if !n.few {
		same, ok = n.byID[id]
		return same, ok
	}
	same.b = -1
	for i, have := range n.ids {
		switch {
		case have != id:
		case !ok:
			same.a, ok = int32(i), true
			if !n.shared {
				return same, true
			}
		case same.b < 0:
			same.b = int32(i)
		default:
			same.more = true
		}
	}
	return same, ok
}

// link makes every span a child of its parent. It goes from the last span to the first, so that the lists of
// children are in stored order.
func (n *tree) link(t *Trace) {
	n.first, n.next = filled(n.first, len(t.Spans)), filled(n.next, len(t.Spans))
	for i := len(t.Spans) - 1; i >= 0; i-- {
		parent := n.parentOf(t, i)
		if parent < 0 {
			n.linkOrphan(t, i)
			continue
		}
		n.children[parent]++
		n.next[i], n.first[parent] = n.first[parent], int32(i)
	}
}

// linkOrphan links an orphan to the other orphans with the same parent id.
func (n *tree) linkOrphan(t *Trace, i int) {
	r := t.Spans[i]
	parent := t.View(r).Parent[r.Row]
	if parent.IsZero() {
		return
	}
	if next, ok := n.orphans[parent]; ok {
		n.next[i] = next
	}
	n.orphans[parent] = int32(i)
}

// parentOf returns the index of a span's parent, or -1. A client and a server may
// share an id, as in Zipkin: then the client is the server's parent. Of two spans
// with the parent's id a server span belongs to the client, any other to the
// server.
func (n *tree) parentOf(t *Trace, i int) int32 {
	v, row := t.View(t.Spans[i]), t.Spans[i].Row
	if n.shared {
		if client := n.clientOf(t, i); client >= 0 {
			return client
		}
	}
	if v.Parent[row].IsZero() || !n.strict && v.Parent[row] == v.SpanID[row] {
		return -1
	}
	same, ok := n.having(v.Parent[row])
	if !ok {
		return -1
	}
	if same.b < 0 {
		return same.a
	}
	isServer := func(at int32) bool { return t.kind(at) == trace.KindServer }
	wantServer := trace.Kind(v.Kind[row]) != trace.KindServer
	if isServer(same.a) != wantServer && isServer(same.b) == wantServer {
		return same.b
	}
	return same.a
}

// clientOf returns the client span that shares its id with the server span i, or
// -1.
func (n *tree) clientOf(t *Trace, i int) int32 {
	r := t.Spans[i]
	same, _ := n.having(t.View(r).SpanID[r.Row])
	if n.strict || same.b < 0 || same.more || t.kind(int32(i)) != trace.KindServer {
		return -1
	}
	other := same.a + same.b - int32(i)
	if t.kind(other) != trace.KindClient {
		return -1
	}
	return other
}

func (t *Trace) kind(span int32) trace.Kind {
	r := t.Spans[span]
	return trace.Kind(t.View(r).Kind[r.Row])
}

// walk numbers a root and all spans below it.
func (n *tree) walk(root int32, counter int64) int64 {
	n.stack = append(n.stack[:0], root)
	for len(n.stack) > 0 {
		at := n.stack[len(n.stack)-1]
		if n.left[at] == 0 {
			counter++
			n.left[at] = counter
		}
		// the walk consumes first
		child := n.first[at]
		if child < 0 {
			counter++
			n.right[at] = counter
			n.stack = n.stack[:len(n.stack)-1]
			continue
		}
		n.first[at] = n.next[child]
		n.up[child] = n.left[at]
		n.stack = append(n.stack, child)
	}
	return counter
}

func zeroed(s []int64, n int) []int64 {
	if cap(s) < n {
		return make([]int64, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func filled(s []int32, n int) []int32 {
	if cap(s) < n {
		s = make([]int32, n)
	}
	s = s[:n]
	for i := range s {
		s[i] = -1
	}
	return s
}
