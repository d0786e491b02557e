package eval

import (
	"fmt"
	"sync/atomic"
)

// Memory counts what one query keeps, in bytes, and ends the query when it goes
// beyond a limit: its own, or that of a [Pool] which several queries share.
// Counted is, roughly, what grows with the data: rows, groups, labels, numbers,
// masks, spans of a trace, the answer and its text. What a query always needs is
// not. Any number of goroutines may use it; a nil Memory has no limit.
//
// Whoever meets the limit need not carry an error out of a deep loop: over has
// ended the query's context by then, and everything that takes long looks at it.
type Memory struct {
	limit int64 // 0 for none
	pool  *Pool // nil for none
	over  func(*MemoryError)
	used  atomic.Int64
	ended atomic.Bool // over has been called
}

// Pool is what several queries may keep together, in bytes.
type Pool struct {
	Limit int64 // 0 for none
	used  atomic.Int64
}

// Used is how much the queries that run keep now.
func (p *Pool) Used() int64 { return p.used.Load() }

// NewMemory returns a Memory with a limit in bytes, 0 for none, that takes from a
// pool unless it is nil. Over, unless nil, is called when a limit is first met.
func NewMemory(limit int64, pool *Pool, over func(*MemoryError)) *Memory {
	return &Memory{limit: max(0, limit), pool: pool, over: over}
}

// MemoryError is the error of a query that would keep too much.
type MemoryError struct {
	Limit  int64  // bytes
	Shared bool   // the limit is that of all queries together
	At     string // what the query had come to
}

func (e *MemoryError) Error() string {
	if e.Shared {
		return fmt.Sprintf("all queries together keep more than %d bytes, this one at %s", e.Limit, e.At)
	}
	return fmt.Sprintf("query keeps more than %d bytes, at %s", e.Limit, e.At)
}

// Take counts n bytes more; the format and its numbers say what the query has come
// to. They are put together only when a limit is met. The error is a
// [*MemoryError].
func (m *Memory) Take(n int, format string, args ...int) error {
	if m == nil || n == 0 {
		return nil
	}
	var all int64
	used := m.used.Add(int64(n))
	if m.pool != nil {
		all = m.pool.used.Add(int64(n))
	}
	switch {
	case n < 0:
		return nil
	case m.limit > 0 && used > m.limit:
		return m.exceeded(n, &MemoryError{m.limit, false, says(format, args)})
	case m.pool != nil && m.pool.Limit > 0 && all > m.pool.Limit:
		return m.exceeded(n, &MemoryError{m.pool.Limit, true, says(format, args)})
	}
	return nil
}

func says(format string, numbers []int) string {
	args := make([]any, len(numbers))
	for i, n := range numbers {
		args[i] = n
	}
	return fmt.Sprintf(format, args...)
}

// exceeded gives back at once what the query does not get, so that a query which
// asks for far too much refuses no other.
func (m *Memory) exceeded(n int, err *MemoryError) error {
	m.Free(n)
	if m.over != nil && m.ended.CompareAndSwap(false, true) {
		m.over(err)
	}
	return err
}

// Free gives bytes back that are not kept any longer.
func (m *Memory) Free(n int) { _ = m.Take(-n, "") }

// Used is how many bytes the query keeps now.
func (m *Memory) Used() int64 { return m.used.Load() }

// Close gives back all that has not been freed.
func (m *Memory) Close() { m.Free(int(m.used.Load())) }

// atSeries is the format for series and their samples.
const atSeries = "%d series of %d samples"

// What things take, in bytes.
const (
	valueBytes  = 64
	labelBytes  = valueBytes + 96 // a distinct value, with its key and its place in a map
	pairBytes   = 40              // likewise a pair of numbers
	attrBytes   = 16 + valueBytes
	seriesBytes = 160     // a series of the answer, and its key while it is put together
	sampleBytes = 16 + 48 // a sample of the answer, and the text that is made of it
	rankedBytes = 48      // a sample while topk or bottomk ranks it
	spanBytes   = 136     // a span of a trace that is put together: its place, and its numbers in the tree
	groupBytes  = 200     // a spanset of by(), with its attribute, its key and its place in a map
)
