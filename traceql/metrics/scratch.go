package metrics

import (
	"sync"

	"etude/traceql/eval"
)

// scratch lends arrays with one entry a row. A metrics query needs several of
// every table, for a moment: without them it would leave some ten bytes of
// garbage for each span that it reads.
type scratch[T any] struct{ pool sync.Pool }

var (
	slotArrays  scratch[int32]
	kindArrays  scratch[eval.Type]
	bitArrays   scratch[uint64]
	labelArrays scratch[uint32]
	countArrays scratch[uint32]
	valueArrays scratch[float64]
)

// get returns an array of n entries, which hold anything.
func (s *scratch[T]) get(n int) []T {
	if a, ok := s.pool.Get().(*[]T); ok && cap(*a) >= n {
		return (*a)[:n]
	}
	return make([]T, n)
}

// zeroed returns an array of n zeros.
func (s *scratch[T]) zeroed(n int) []T {
	a := s.get(n)
	clear(a)
	return a
}

// put takes back an array that is no longer used; nil does nothing.
func (s *scratch[T]) put(a []T) {
	if a != nil {
		s.pool.Put(&a)
	}
}
