package query

import (
	"cmp"
	"slices"

	"etude/trace"
)

// chronology has the start and end of each trace of a View, by trace number and from the rows of this View
// only, and the order of the traces in answers. It is immutable.
type chronology struct {
	rows       int // of the View
	start, end []uint64
	order      []uint32 // trace numbers, newest start first, then by id
}

// chronologyOf returns the chronology of a View, given that of an earlier View of the same Table, or nil. A
// fast-growing Table has a new View for every query, and most rows of that View were in the previous one.
func chronologyOf(v *trace.View, before *chronology) *chronology {
	if before == nil || before.rows > v.Spans() {
		before = &chronology{}
	}
	n := len(v.TraceIDs)
	c := &chronology{rows: v.Spans(), start: make([]uint64, n), end: make([]uint64, n)}
	known := copy(c.start, before.start)
	copy(c.end, before.end)
	for i := known; i < n; i++ {
		c.start[i] = ^uint64(0)
	}
	moved := make([]bool, n) // traces whose place has changed
	for i := known; i < n; i++ {
		moved[i] = true
	}
	if v.TraceStart != nil { // Fast path: the part knows the times of its traces.
		for i := known; i < n; i++ {
			if start := v.TraceStart[i]; start > 0 {
				c.start[i], c.end[i] = start, v.TraceEnd[i]
			}
		}
		c.order = c.merge(v, before.order, moved)
		return c
	}
	for row := before.rows; row < c.rows; row++ {
		number, start := v.Trace[row], v.Began(uint32(row))
		if start > 0 && start < c.start[number] {
			c.start[number], moved[number] = start, true
		}
		c.end[number] = max(c.end[number], v.End[row], start)
	}
	c.order = c.merge(v, before.order, moved)
	return c
}

// bytes estimates the memory of a chronology; 0 for none.
func (c *chronology) bytes() int {
	if c == nil {
		return 0
	}
	return 64 + 8*(cap(c.start)+cap(c.end)) + 4*cap(c.order)
}

// merge returns the new order. It keeps the order of the traces that have not moved.
func (c *chronology) merge(v *trace.View, before []uint32, moved []bool) []uint32 {
	newer := func(a, b uint32) int {
		return newerFirst(c.start[a], v.TraceIDs[a], c.start[b], v.TraceIDs[b])
	}
	var fresh []uint32
	for number, moved := range moved {
		if moved {
			fresh = append(fresh, uint32(number))
		}
	}
	slices.SortFunc(fresh, newer)
	order := make([]uint32, 0, len(moved))
	for _, number := range before {
		if moved[number] {
			continue
		}
		for len(fresh) > 0 && newer(fresh[0], number) < 0 {
			order, fresh = append(order, fresh[0]), fresh[1:]
		}
		order = append(order, number)
	}
	return append(order, fresh...)
}

// newerFirst compares traces by their order in answers.
func newerFirst(aStart uint64, a trace.TraceID, bStart uint64, b trace.TraceID) int {
	if c := cmp.Compare(bStart, aStart); c != 0 {
		return c
	}
	return slices.Compare(a[:], b[:])
}
