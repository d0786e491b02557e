package generator

import (
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
)

// sparse is the buckets of a native histogram. Bounds grow by 2^(2^-schema). A
// histogram begins with the finest buckets, a factor of 1.003 apart. When it has more
// than maxSparse, neighbours are joined, which squares the factor. Durations that lie
// within a factor of a million of each other fit into buckets 1.044 apart, so a
// quantile is at most 4.4 % from the truth. Durations that are alike keep the finest
// buckets, so a quantile is at most 0.3 % above the greatest of them. Tempo begins at
// 1.09 and keeps 100 buckets.
type sparse struct {
	schema int32
	zeros  float64
	counts map[int32]float64 // bucket i holds values up to 2^(i * 2^-schema)
}

const (
	finestSchema  = 8
	coarsest      = -4
	maxSparse     = 320
	zeroThreshold = 0x1p-128
)

func newSparse() *sparse { return &sparse{schema: finestSchema, counts: map[int32]float64{}} }

// observe adds a value, not negative.
func (s *sparse) observe(value, weight float64) {
	if value <= zeroThreshold {
		s.zeros += weight
		return
	}
	s.counts[s.bucket(value)] += weight
	for len(s.counts) > maxSparse && s.schema > coarsest {
		s.halve()
	}
}

// bucket returns the index of a value's bucket. Splitting off the exponent keeps
// powers of two, which are bounds, exact.
func (s *sparse) bucket(value float64) int32 {
	frac, exp := math.Frexp(value) // value = frac * 2^exp, 0.5 <= frac < 1
	if s.schema > 0 {
		scale := float64(int(1) << s.schema)
		return int32(math.Ceil(math.Log2(frac)*scale)) + int32(exp)<<s.schema
	}
	index := int32(exp)
	if frac == 0.5 {
		index--
	}
	return halfUp(index, -s.schema)
}

// halfUp halves an index n times, rounding up: bucket i lies in bucket
// ceil(i/2) of the next coarser schema.
func halfUp(index, n int32) int32 {
	for range n {
		index = (index + 1) >> 1
	}
	return index
}

func (s *sparse) halve() {
	coarser := make(map[int32]float64, len(s.counts))
	for i, n := range s.counts {
		coarser[halfUp(i, 1)] += n
	}
	s.counts = coarser
	s.schema--
}

// sample returns the histogram as the storage takes it.
func (s *sparse) sample(sum float64) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{Schema: s.schema, ZeroThreshold: zeroThreshold, ZeroCount: s.zeros, Count: s.zeros, Sum: sum}
	before := int32(0)
	for _, i := range slices.Sorted(maps.Keys(s.counts)) {
		n := len(h.PositiveSpans)
		if n == 0 || i != before+1 {
			offset := i - before - 1
			if n == 0 {
				offset = i
			}
			h.PositiveSpans = append(h.PositiveSpans, histogram.Span{Offset: offset})
			n++
		}
		h.PositiveSpans[n-1].Length++
		h.PositiveBuckets = append(h.PositiveBuckets, s.counts[i])
		h.Count += s.counts[i]
		before = i
	}
	return h
}

// nothing is the histogram that a series begins with.
func nothing() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{Schema: finestSchema, ZeroThreshold: zeroThreshold}
}
