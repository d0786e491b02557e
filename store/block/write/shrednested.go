package write

import (
	"encoding/binary"

	"etude/trace"
)

// nested computes Tempo's nested-set numbers and child counts of one trace by the rules of section 10 of
// Tempo's format.
//
// Two spans that share an id are the client and the server half of one call, as
// Zipkin reports it; three or more are noise, and the whole trace then has no tree.
type nested struct {
	left, right, parentLeft, children []int32 // by span

	slots []nestedSlot // open addressing by span id; a power of two
	round uint32
	spans nestedSpans
	first []int32 // span -> its first child, -1: none
	last  []int32
	next  []int32 // span -> the next child of the same parent
	stack []int32
}

type nestedSlot struct {
	id            uint64
	round         uint32
	first, second int32 // spans of the id; second is -1 for one alone
}

// nestedSpans has the columns of the spans of a trace that the tree needs.
type nestedSpans struct {
	ids, parents []trace.SpanID
	kinds        []uint8
}

// compute fills the four slices for the spans of a trace, in stored order.
func (n *nested) compute(spans nestedSpans) {
	n.reset(len(spans.ids))
	crowded := n.index(spans)
	if crowded {
		return
	}
	rooted := false
	for i, parent := range spans.parents {
		if parent.IsZero() {
			rooted = true
			continue
		}
		if p := n.parentOf(i); p >= 0 {
			n.attach(int32(i), p)
		}
	}
	if !rooted {
		return
	}
	counter := int32(0)
	for i, parent := range spans.parents {
		if parent.IsZero() {
			counter = n.number(int32(i), counter)
		}
	}
}

func (n *nested) reset(size int) {
	for _, s := range []*[]int32{&n.left, &n.right, &n.parentLeft, &n.children} {
		*s = zeroed(*s, size)
	}
	for _, s := range []*[]int32{&n.first, &n.last, &n.next} {
		*s = zeroed(*s, size)
		for i := range *s {
			(*s)[i] = -1
		}
	}
	want := 16
	for want < 2*size {
		want *= 2
	}
	if len(n.slots) < want {
		n.slots = make([]nestedSlot, want)
	}
	n.round++
}

// zeroed returns a slice of n zeros, in the memory of s if there is enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	s = s[:n]
	clear(s)
	return s
}

// index files the spans by id and reports whether three share one.
func (n *nested) index(spans nestedSpans) (crowded bool) {
	n.spans = spans
	for i, id := range spans.ids {
		slot := n.slot(id)
		switch {
		case slot.round != n.round:
			*slot = nestedSlot{binary.LittleEndian.Uint64(id[:]), n.round, int32(i), -1}
		case slot.second < 0:
			slot.second = int32(i)
		default:
			return true
		}
	}
	return false
}

// slot returns the slot of an id, or the free one where it would be.
func (n *nested) slot(id trace.SpanID) *nestedSlot {
	key := binary.LittleEndian.Uint64(id[:])
	mask := uint64(len(n.slots) - 1)
	for at := key * 0x9e3779b97f4a7c15 >> 20; ; at++ {
		if slot := &n.slots[at&mask]; slot.round != n.round || slot.id == key {
			return slot
		}
	}
}

// parentOf returns the span that another is a child of, or -1 if the trace does not have the parent.
func (n *nested) parentOf(span int) int32 {
	slot := n.slot(n.spans.parents[span])
	switch {
	case slot.round != n.round:
		return -1
	case slot.second < 0:
		return slot.first
	}
	want := uint8(trace.KindServer)
	if n.spans.kinds[span] == want {
		want = uint8(trace.KindClient)
	}
	for _, half := range [2]int32{slot.first, slot.second} {
		if n.spans.kinds[half] == want {
			return half
		}
	}
	return -1
}

func (n *nested) attach(child, parent int32) {
	n.children[parent]++
	if n.first[parent] < 0 {
		n.first[parent] = child
	} else {
		n.next[n.last[parent]] = child
	}
	n.last[parent] = child
}

// number walks the tree below a root, depth first.
func (n *nested) number(root, counter int32) int32 {
	counter++
	n.left[root], n.parentLeft[root] = counter, -1
	n.stack = append(n.stack[:0], root)
	for len(n.stack) > 0 {
		top := n.stack[len(n.stack)-1]
		if child := n.first[top]; child >= 0 {
			n.first[top] = n.next[child] // the next child, for when the walk returns
			counter++
			n.left[child], n.parentLeft[child] = counter, n.left[top]
			n.stack = append(n.stack, child)
			continue
		}
		counter++
		n.right[top] = counter
		n.stack = n.stack[:len(n.stack)-1]
	}
	return counter
}
