package query

import (
	"context"
	"runtime"
	"slices"
	"sync"
)

// A search for a rare value reads a few parts, one after the other, and stops only after the last. So another goroutine reads
// them ahead of it. A search that may read many parts often stops after the first ones; there, reading ahead would
// be for nothing.

// rareParts: a search reads ahead if it can rule out all but one of so many parts, and mostAhead bounds the parts.
const rareParts, mostAhead = 4, 64

// ahead starts to read the parts of the cursors but for the first. The caller calls stop, which waits.
func (s *search) ahead() (stop func()) {
	n := len(s.cursors)
	if n < 2 || n > mostAhead || n*rareParts > len(s.list) || runtime.GOMAXPROCS(0) < 2 {
		return func() {}
	}
	inOrder := slices.Clone(s.cursors)
	slices.SortFunc(inOrder, func(a, b *cursor) int { return newerFirst(a.start(), a.id(), b.start(), b.id()) })
	parts := make([]int, 0, n)
	for _, c := range inOrder[1:] {
		parts = append(parts, c.part)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	var done sync.WaitGroup
	done.Go(func() {
		defer func() { _ = recover() }() // The search meets the same panic.
		for _, part := range parts {
			s.run.Ahead(ctx, part)
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}
