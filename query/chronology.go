package query

import (
	"cmp"
	"slices"

	"etude/trace"
)

// chronology has the start and end of each trace of a View, by trace number and from the rows of this View
// only, and the order of the traces in answers. It is immutable.
//
// The order costs more than the times, so a search makes it only for a View with candidates.
type chronology struct {
	rows       int // of the View
	start, end []uint64
	newest     uint64   // the greatest start
	order      []uint32 // trace numbers, newest start first, then by id; nil: not made
}

// timesOf returns the times of a View, given those of an earlier View of the same Table, or nil. A fast-growing
// Table has a new View for every query, and most rows of that View were in the previous one.
func timesOf(v *trace.View, before *chronology) *chronology {
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
	if v.TraceStart != nil { // Fast path: the part knows the times of its traces.
		for i := known; i < n; i++ {
			if start := v.TraceStart[i]; start > 0 {
				c.start[i], c.end[i] = start, v.TraceEnd[i]
			}
		}
	} else {
		for row := before.rows; row < c.rows; row++ {
			number, start := v.Trace[row], v.Began(uint32(row))
			if start > 0 {
				c.start[number] = min(c.start[number], start)
			}
			c.end[number] = max(c.end[number], v.End[row], start)
		}
	}
	if n > 0 {
		c.newest = slices.Max(c.start)
	}
	return c
}

// ordered returns the chronology with its order, given an earlier one that has an order, or nil. It keeps the
// order of the traces whose start has not changed.
func (c *chronology) ordered(v *trace.View, before *chronology) *chronology {
	if before == nil || before.rows > c.rows {
		before = &chronology{}
	}
	newer := func(a, b uint32) int {
		return newerFirst(c.start[a], v.TraceIDs[a], c.start[b], v.TraceIDs[b])
	}
	moved := func(number uint32) bool {
		return int(number) >= len(before.start) || before.start[number] != c.start[number]
	}
	var fresh []uint32
	for number := range uint32(len(c.start)) {
		if moved(number) {
			fresh = append(fresh, number)
		}
	}
	slices.SortFunc(fresh, newer)
	order := make([]uint32, 0, len(c.start))
	for _, number := range before.order {
		if moved(number) {
			continue
		}
		for len(fresh) > 0 && newer(fresh[0], number) < 0 {
			order, fresh = append(order, fresh[0]), fresh[1:]
		}
		order = append(order, number)
	}
	with := *c
	with.order = append(order, fresh...)
	return &with
}

// bytes estimates the memory of a chronology; 0 for none.
func (c *chronology) bytes() int {
	if c == nil {
		return 0
	}
	return 64 + 8*(cap(c.start)+cap(c.end)) + 4*cap(c.order)
}

// newerFirst compares traces by their order in answers.
func newerFirst(aStart uint64, a trace.TraceID, bStart uint64, b trace.TraceID) int {
	if c := cmp.Compare(bStart, aStart); c != 0 {
		return c
	}
	return slices.Compare(a[:], b[:])
}
