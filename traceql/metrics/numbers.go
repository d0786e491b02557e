package metrics

import (
	"math/bits"

	"etude/trace"
	"etude/traceql/eval"
)

// numbers is the argument of a function, row by row: an int or duration, or a
// float as its bits. A row without a number has no slot.
type numbers struct {
	spans *trace.View // their durations; nil for other arguments
	kind  []eval.Type
	bits  []uint64
	unit  float64 // of durations
}

func (n *numbers) at(row int) float64 {
	if n.spans != nil {
		return float64(n.spans.Duration(uint32(row))) / n.unit
	}
	return numberOf(n.kind[row], n.bits[row], n.unit)
}

// argument reads the argument of the rows with a slot. It removes the slot of rows on which the function cannot work.
func (q *Query) argument(s *spans, p *Part, slots []int32) numbers {
	r := s.run.Reader(p.view, *q.arg)
	if r.Duration {
		return numbers{spans: p.v, unit: 1e9}
	}
	n := numbers{kind: kindArrays.zeroed(len(slots)), bits: bitArrays.get(len(slots)), unit: 1}
	bucketed := q.buckets()
	if bucketed || q.exact {
		n.unit = 1e9
	}
	switch {
	case s.argTrace != nil:
		for row, v := range s.argTrace[p.view] {
			n.set(row, v)
		}
	case r.Columns != nil && !r.ByScope:
		n.read(r)
	default:
		for row, slot := range slots {
			if slot != noSlot {
				if r.Stop() {
					break
				}
				n.set(row, r.Row(uint32(row)))
			}
		}
	}
	for row, slot := range slots {
		if slot != noSlot && !n.usable(row, bucketed) {
			slots[row] = noSlot
		}
	}
	return n
}

// usable reports whether a function can work on the value of a row. Buckets hold
// whole numbers.
func (n *numbers) usable(row int, bucketed bool) bool {
	switch n.kind[row] {
	case eval.Int, eval.Duration:
		return !bucketed || int64(n.bits[row]) >= leastInBucket
	case eval.Float:
		return !bucketed
	}
	return false
}

func (n *numbers) set(row int, v eval.Value) {
	n.kind[row], n.bits[row] = v.Type, v.Bits()
}

// read sets the rows of a span attribute. The first value of a row stays.
func (n *numbers) read(r *eval.Reader) {
	for i := len(r.Columns) - 1; i >= 0; i-- {
		c := r.Columns[i]
		for at := len(c.Rows) - 1; at >= 0; at-- {
			row := c.Rows[at]
			if int(row) >= len(n.kind) {
				continue
			}
			switch c.Type {
			case trace.Int:
				n.kind[row], n.bits[row] = eval.Int, c.Nums[at]
			case trace.Double:
				n.kind[row], n.bits[row] = eval.Float, c.Nums[at]
			default:
				if v, ok := r.At(c, at); ok {
					n.set(int(row), v)
				}
			}
		}
	}
}

// floats returns the number of each row that has a slot.
func (n *numbers) floats(slots []int32) []float64 {
	out := valueArrays.get(len(slots))
	for row, slot := range slots {
		if slot != noSlot {
			out[row] = n.at(row)
		}
	}
	return out
}

// buckets returns the bucket of each row. It removes the slot of a span with a value below the smallest bucket.
func (n *numbers) buckets(slots []int32) []uint32 {
	out := labelArrays.get(len(slots))
	if n.spans == nil {
		for row, slot := range slots {
			if slot != noSlot {
				out[row] = bucketOf(n.kind[row], n.bits[row])
			}
		}
		return out
	}
	start, end := n.spans.Start[:len(slots)], n.spans.End[:len(slots)]
	for row := range slots {
		took := trace.Took(start[row], end[row])
		if took < leastInBucket {
			slots[row] = noSlot
		}
		out[row] = bucketOf(eval.Duration, uint64(took))
	}
	return out
}

// bucketNumbers is the number of buckets: one per power of two for plain numbers, and as many for nanoseconds.
// The smallest value is leastInBucket.
const (
	bucketNumbers = 128
	leastInBucket = 2
)

// bucketOf returns the bucket of a value from 2 on: the smallest power of two
// that is not below it.
func bucketOf(kind eval.Type, x uint64) uint32 {
	n := uint32(bits.Len64(x - 1))
	if kind == eval.Duration {
		n += bucketNumbers / 2
	}
	return n
}

// bucketEdge returns the upper edge of a bucket, in seconds for durations.
func bucketEdge(n uint32) float64 {
	if n >= bucketNumbers/2 {
		return float64(uint64(1)<<(n-bucketNumbers/2)) / 1e9
	}
	return float64(uint64(1) << n)
}
