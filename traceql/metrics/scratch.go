package metrics

import (
	"sync"

	"etude/traceql/eval"
)

// scratch lends arrays with one entry per row. A metrics query needs several of them for a short time in every
// View. Without scratch it would leave about ten bytes of garbage per span.
type scratch[T any] struct{ pool sync.Pool }

var (
	slotArrays  scratch[int32]
	kindArrays  scratch[eval.Type]
	bitArrays   scratch[uint64]
	labelArrays scratch[uint32]
	countArrays scratch[uint32]
	valueArrays scratch[float64]
)

// lentFrom is from how many entries on arrays are lent: a short one is as well made anew, and would be in the way of a
// long one.
const lentFrom = 1 << 10

// get returns an array of n entries, with arbitrary content.
func (s *scratch[T]) get(n int) []T {
	if n < lentFrom {
		return make([]T, n)
	}
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

// put takes back an unused array. It ignores nil.
func (s *scratch[T]) put(a []T) {
	if cap(a) >= lentFrom {
		s.pool.Put(&a)
	}
}
