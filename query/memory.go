package query

import (
	"fmt"
	"sync/atomic"

	"etude/traceql/eval"
)

// memory is the [eval.Memory] of one query: it ends a query that exceeds its own limit or the limit of the pool
// that all queries share.
type memory struct {
	limit int64                              // 0 for none
	pool  *pool                              // nil for none
	job   interface{ tooMuch(*memoryError) } // ends at a limit; nil for none
	used  atomic.Int64
	ended atomic.Bool // the job has been told
}

// pool limits the bytes that several queries keep together.
type pool struct {
	limit int64 // 0 for none
	used  atomic.Int64
}

// inUse returns the bytes that the running queries keep.
func (p *pool) inUse() int64 { return p.used.Load() }

// begin begins with a limit in bytes; 0 means none. The memory also takes from the pool, unless nil. It tells the job,
// unless nil, when it first exceeds a limit.
func (m *memory) begin(limit int64, pool *pool, job interface{ tooMuch(*memoryError) }) {
	m.limit, m.pool, m.job = max(0, limit), pool, job
}

// memoryError is the error of a query that needs too much memory.
type memoryError struct {
	limit  int64  // bytes
	shared bool   // the limit of all queries together
	at     string // the query's progress
}

func (e *memoryError) Error() string {
	if e.shared {
		return fmt.Sprintf("all queries together keep more than %d bytes, this one at %s", e.limit, e.at)
	}
	return fmt.Sprintf("query keeps more than %d bytes, at %s", e.limit, e.at)
}

// Take counts n bytes more. The error is a [*memoryError].
func (m *memory) Take(n int, at eval.Progress) error {
	if n == 0 {
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
		return m.exceeded(n, &memoryError{m.limit, false, at.String()})
	case m.pool != nil && m.pool.limit > 0 && all > m.pool.limit:
		return m.exceeded(n, &memoryError{m.pool.limit, true, at.String()})
	}
	return nil
}

// exceeded returns the refused bytes to the pool at once, so that one excessive request does not end other queries.
func (m *memory) exceeded(n int, err *memoryError) error {
	m.Free(n)
	if m.job != nil && m.ended.CompareAndSwap(false, true) {
		m.job.tooMuch(err)
	}
	return err
}

// Free returns bytes that the query no longer keeps.
func (m *memory) Free(n int) { _ = m.Take(-n, eval.Progress{}) }

// Used returns the bytes that the query keeps now.
func (m *memory) Used() int64 { return m.used.Load() }

// Close returns all remaining bytes to the pool.
func (m *memory) Close() { m.Free(int(m.used.Load())) }
