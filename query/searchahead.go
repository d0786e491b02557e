package query

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A search for a rare value reads a few parts, one after the other, and stops only after the last. So other goroutines read
// them ahead of it, one per processor: the search mostly waits for them. A search that may read many parts often
// stops after the first ones; there, reading ahead would be for nothing.

// rareParts: a search reads ahead if it can rule out all but one of so many parts. mostAhead bounds the parts, and
// aheadReaders the goroutines.
const rareParts, mostAhead, aheadReaders = 4, 64, 4

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
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(parts), aheadReaders) {
		done.Go(func() {
			defer func() { _ = recover() }() // The search meets the same panic.
			for i := next.Add(1) - 1; i < int64(len(parts)); i = next.Add(1) - 1 {
				s.run.Ahead(ctx, parts[i])
			}
		})
	}
	return func() {
		cancel()
		done.Wait()
	}
}
