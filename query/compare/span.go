package compare

import (
	"cmp"
	"slices"

	"etude/trace"
)

// Span has the fields of a span that a comparison reads. Times are unix nanoseconds.
type Span struct {
	ID, Parent    trace.SpanID
	Service, Name string
	Kind          trace.Kind
	Start, End    uint64
	Error         bool
}

// none is the parent of a root.
const none = int32(-1)

// tree is one trace. All slices except order are indexed by span.
type tree struct {
	spans  []Span
	parent []int32
	order  []int32 // parents before children, siblings by start; each span once
	orphan []bool  // its named parent is missing

	// Nanoseconds from the trace's first moment.
	start, end []int64
	// The times, cut to the parent's.
	from, to []int64
	own      []int64 // the part of from..to without waiting for a child
	onPath   []bool  // the parent waits for the span

	top top
}

// top is the time of the whole trace, like a span around all others.
type top struct {
	from, to int64
	own      int64
}

// newTree arranges spans with any ids: of several spans with one id the first is the parent, and a cycle of
// parents is cut at its first span.
func newTree(spans []Span) *tree {
	n := len(spans)
	t := &tree{
		spans: spans, parent: make([]int32, n), orphan: make([]bool, n),
		start: make([]int64, n), end: make([]int64, n), from: make([]int64, n), to: make([]int64, n),
		own: make([]int64, n), onPath: make([]bool, n),
	}
	t.link()
	t.setTimes()
	t.arrange()
	t.correctClocks()
	t.findPath()
	return t
}

// link finds the parents. A server may share its client's id, as in Zipkin. Then it becomes the client's child,
// and spans that name the id become the server's children.
func (t *tree) link() {
	byID := make(map[trace.SpanID]int32, len(t.spans))
	servers := map[trace.SpanID]int32{}
	for i := range t.spans {
		s := &t.spans[i]
		first, again := byID[s.ID]
		switch {
		case s.ID.IsZero():
		case !again:
			byID[s.ID] = int32(i)
		case s.Kind == trace.KindServer && t.spans[first].Kind == trace.KindClient:
			servers[s.ID] = int32(i)
		case s.Kind == trace.KindClient && t.spans[first].Kind == trace.KindServer:
			byID[s.ID], servers[s.ID] = int32(i), first
		}
	}
	for i := range t.spans {
		t.parent[i] = none
		s := &t.spans[i]
		if server, ok := servers[s.ID]; ok && server == int32(i) {
			t.parent[i] = byID[s.ID]
			continue
		}
		if s.Parent.IsZero() {
			continue
		}
		p, ok := servers[s.Parent]
		if !ok {
			p, ok = byID[s.Parent]
		}
		if t.orphan[i] = !ok || p == int32(i); !t.orphan[i] {
			t.parent[i] = p
		}
	}
}

// setTimes replaces a missing start by the start of the trace, and an end before the start by the start.
func (t *tree) setTimes() {
	base := ^uint64(0)
	for i := range t.spans {
		if s := t.spans[i].Start; s > 0 {
			base = min(base, s)
		}
	}
	for i := range t.spans {
		s := &t.spans[i]
		if s.Start > base {
			t.start[i] = offset(s.Start - base)
		}
		t.end[i] = t.start[i]
		if s.End > base {
			t.end[i] = max(t.start[i], offset(s.End-base))
		}
	}
}

// longest limits offsets, so that sums over a thousand traces are exact: 52 days.
const longest = 1 << 52

func offset(n uint64) int64 { return int64(min(n, longest)) }

// arrange sorts the spans into order.
func (t *tree) arrange() {
	n := len(t.spans)
	byStart := make([]int32, n)
	for i := range byStart {
		byStart[i] = int32(i)
	}
	slices.SortStableFunc(byStart, func(a, b int32) int { return cmp.Compare(t.start[a], t.start[b]) })
	first, next := make([]int32, n), make([]int32, n)
	for i := range first {
		first[i] = none
	}
	for _, i := range slices.Backward(byStart) {
		if p := t.parent[i]; p != none {
			next[i], first[p] = first[p], i
		}
	}
	t.order = make([]int32, 0, n)
	placed := make([]bool, n)
	stack := make([]int32, 0, 16)
	place := func(root int32) {
		for stack = append(stack[:0], root); len(stack) > 0; {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			placed[i] = true
			t.order = append(t.order, i)
			from := len(stack)
			for c := first[i]; c != none; c = next[c] {
				if !placed[c] {
					stack = append(stack, c)
				}
			}
			slices.Reverse(stack[from:])
		}
	}
	for _, i := range byStart {
		if t.parent[i] == none {
			place(i)
		}
	}
	for _, i := range byStart { // spans on or below a cycle
		if !placed[i] {
			t.parent[i], t.orphan[i] = none, true
			place(i)
		}
	}
}
