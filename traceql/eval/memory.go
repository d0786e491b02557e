package eval

import (
	"fmt"
	"sync/atomic"
)

// memory counts what one metrics query keeps, in bytes, and refuses what goes
// beyond a limit. Counted is, roughly, what grows with the data: rows, groups,
// labels, numbers and the samples of the answer. What a query always needs, and
// masks of one bit a row, are not. Any number of goroutines may use it.
type memory struct {
	limit int64 // 0 for none
	used  atomic.Int64
}

// MemoryError is the error of a query that would keep too much.
type MemoryError struct {
	Limit int64  // bytes
	At    string // what the query had come to
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("query keeps more than %d bytes, at %s", e.Limit, e.At)
}

// take counts n bytes more; the format and its arguments say what the query has
// come to.
func (m *memory) take(n int, format string, args ...any) error {
	if used := m.used.Add(int64(n)); m.limit > 0 && used > m.limit {
		return &MemoryError{m.limit, fmt.Sprintf(format, args...)}
	}
	return nil
}

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
)
