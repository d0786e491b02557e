package compare

import (
	"slices"
	"strings"

	"etude/trace"
)

// Comparison collects two sides and compares them.
type Comparison struct {
	Before, After *Profile
}

// New returns an empty Comparison. With exact, for one trace against another, the spans of one operation below
// one parent stay separate; otherwise they are merged.
func New(exact bool) *Comparison {
	ops := &operations{numbers: map[operation]int32{}}
	return &Comparison{newProfile(ops, exact), newProfile(ops, exact)}
}

// operations numbers the operations of both sides.
type operations struct {
	numbers map[operation]int32
	list    []operation
}

type operation struct{ service, name string }

func (o *operations) number(service, name string) int32 {
	op := operation{service, name}
	n, ok := o.numbers[op]
	if !ok {
		op = operation{strings.Clone(service), strings.Clone(name)} // The profile outlives the spans.
		n = int32(len(o.list))
		o.numbers[op] = n
		o.list = append(o.list, op)
	}
	return n
}

// Profile is one side: traces merged by the path of operations from the root.
type Profile struct {
	ops    *operations
	exact  bool
	nodes  []node // parents before children; the first is the top
	index  map[place]int32
	wholes []int64 // the duration of each trace
	spans  int
}

// place identifies a node. position numbers the siblings of one operation if exact.
type place struct{ parent, op, position int32 }

// node sums up the spans of a side's traces at one place.
type node struct {
	place
	first, last, next     int32 // the children in the order of their first appearance
	calls, errors         int64
	length, path, own, at float64 // nanoseconds; path is the length while the parent waited; at is the start relative to the parent's
	example               Example
	longest               int64
}

// Example is the longest span of a node.
type Example struct {
	Trace int // number of the trace, in the order of Add
	Span  trace.SpanID
}

func newProfile(ops *operations, exact bool) *Profile {
	p := &Profile{ops: ops, exact: exact, index: map[place]int32{}}
	p.nodes = append(p.nodes, node{place: place{none, ops.number("", ""), 0}, first: none, last: none, next: none})
	return p
}

// Add merges a trace into the side. It does not keep the slice.
func (p *Profile) Add(spans []Span) {
	t := newTree(spans)
	number := len(p.wholes)
	p.wholes = append(p.wholes, t.top.to-t.top.from)
	p.spans += len(spans)
	top := &p.nodes[0]
	top.calls++
	top.length += float64(t.top.to - t.top.from)
	top.path = top.length
	top.own += float64(t.top.own)

	at := make([]int32, len(spans)) // the node of each span
	var seen map[place]int32
	if p.exact {
		seen = map[place]int32{}
	}
	for _, i := range t.order {
		parent, from := int32(0), t.top.from
		if up := t.parent[i]; up != none {
			parent, from = at[up], t.from[up]
		}
		s := &t.spans[i]
		where := place{parent, p.ops.number(s.Service, s.Name), 0}
		if p.exact {
			where.position = seen[where]
			seen[place{parent, where.op, 0}]++
		}
		at[i] = p.node(where)
		p.nodes[at[i]].add(t, i, from, Example{number, s.ID})
	}
}

func (p *Profile) node(at place) int32 {
	n, ok := p.index[at]
	if ok {
		return n
	}
	n = int32(len(p.nodes))
	p.index[at] = n
	p.nodes = append(p.nodes, node{place: at, first: none, last: none, next: none})
	if up := &p.nodes[at.parent]; up.first == none {
		up.first, up.last = n, n
	} else {
		p.nodes[up.last].next = n
		up.last = n
	}
	return n
}

func (n *node) add(t *tree, i int32, from int64, e Example) {
	length := t.to[i] - t.from[i]
	if n.calls == 0 || length > n.longest {
		n.example, n.longest = e, length
	}
	n.calls++
	if t.spans[i].Error {
		n.errors++
	}
	n.length += float64(length)
	n.own += float64(t.own[i])
	n.at += float64(t.from[i] - from)
	if t.onPath[i] {
		n.path += float64(length)
	}
}

// children returns a node's children.
func (p *Profile) children(of int32) (list []int32) {
	if of == none {
		return nil
	}
	for c := p.nodes[of].first; c != none; c = p.nodes[c].next {
		list = append(list, c)
	}
	return list
}

// Traces is the number of traces added.
func (p *Profile) Traces() int { return len(p.wholes) }

// Spans is the number of their spans.
func (p *Profile) Spans() int { return p.spans }

// Nodes is the number of their nodes, including the top.
func (p *Profile) Nodes() int { return len(p.nodes) }

// Bytes estimates the memory of the Profile.
func (p *Profile) Bytes() int { return len(p.nodes)*(136+48) + 8*len(p.wholes) }

// Quantile returns the duration that the share q of all traces does not exceed, in nanoseconds; 0 without
// traces.
func (p *Profile) Quantile(q float64) int64 {
	if len(p.wholes) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(p.wholes))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Mean is the mean duration of a trace, in nanoseconds.
func (p *Profile) Mean() float64 { return p.mean(p.nodes[0].length) }

// mean divides by the number of traces.
func (p *Profile) mean(sum float64) float64 { return sum / float64(max(1, len(p.wholes))) }
