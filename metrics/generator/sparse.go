package generator

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
)

// sparse has the buckets of a native histogram. Bounds grow by a factor of 2^(2^-schema). A histogram begins
// with the finest buckets, a factor of 1.003 apart. When it has more than maxSparse, it joins neighbours, which
// squares the factor. Durations within a factor of a million of each other fit into buckets 1.044 apart, so the
// error of a quantile is at most 4.4 %. Similar durations keep the finest buckets, so a quantile is at most 0.3
// % above the greatest of them. Tempo begins at 1.09 and keeps 100 buckets.
type sparse struct {
	schema int32
	zeros  float64

	// A hash table of the buckets, with index and count at the same place. Every span adds to one bucket, and
	// an addition to a Go map takes three times as long.
	indexes []int32 // noBucket in free places
	counts  []float64
	buckets int
	sorted  []int32 // the sorted indexes, until a new one is added
}

// noBucket is greater than the index of every float.
const noBucket = math.MinInt32

const (
	finestSchema  = 8
	coarsest      = -4
	maxSparse     = 320
	zeroThreshold = 0x1p-128
)

func newSparse() *sparse {
	s := &sparse{schema: finestSchema}
	s.resize(8)
	return s
}

// resize makes an empty table of 2^n places.
func (s *sparse) resize(places int) {
	s.indexes, s.counts, s.buckets, s.sorted = make([]int32, places), make([]float64, places), 0, nil
	for i := range s.indexes {
		s.indexes[i] = noBucket
	}
}

// observe adds a value, which must not be negative.
func (s *sparse) observe(value, weight float64) {
	if value <= zeroThreshold {
		s.zeros += weight
		return
	}
	s.add(halfUp(finest(value), finestSchema-s.schema), weight)
	for s.buckets > maxSparse && s.schema > coarsest {
		s.halve()
	}
}

// add adds to a bucket. It searches from the index's own place to the first place that has the index or is
// free.
func (s *sparse) add(index int32, n float64) {
	mask := uint32(len(s.indexes) - 1)
	place := (uint32(index) * 2654435769 >> 16) & mask
	for s.indexes[place] != index {
		if s.indexes[place] == noBucket { // Slow path
			s.insert(index, n)
			return
		}
		place = (place + 1) & mask
	}
	s.counts[place] += n
}

// insert adds a new bucket. The table is at most half full.
func (s *sparse) insert(index int32, n float64) {
	if 2*(s.buckets+1) > len(s.indexes) {
		indexes, counts := s.indexes, s.counts
		s.resize(2 * len(indexes))
		for i, old := range indexes {
			if old != noBucket {
				s.add(old, counts[i])
			}
		}
	}
	mask := uint32(len(s.indexes) - 1)
	place := (uint32(index) * 2654435769 >> 16) & mask
	for s.indexes[place] != noBucket {
		place = (place + 1) & mask
	}
	s.indexes[place], s.counts[place] = index, n
	s.buckets++
	s.sorted = nil
}

const mantissa = 1<<52 - 1

// The bounds of the finest buckets within a power of two, as the mantissa of a float; and for each of 512 equal
// ranges of mantissas, the first bound that is not below its begin.
var bounds, firstBound = func() (bounds [1<<finestSchema + 1]uint64, first [512]uint16) {
	for i := range bounds {
		bounds[i] = math.Float64bits(math.Exp2(float64(i)/(1<<finestSchema))) & mantissa
	}
	bounds[1<<finestSchema] = mantissa + 1
	for i := range first {
		for bounds[first[i]] < uint64(i)<<43 {
			first[i]++
		}
	}
	return bounds, first
}()

// finest returns the index of a value's bucket in the finest schema: bucket i ends
// with 2^(i/256), which belongs to it.
func finest(value float64) int32 {
	bits := math.Float64bits(value)
	fraction := bits & mantissa
	i := firstBound[fraction>>43]
	for bounds[i] < fraction {
		i++
	}
	return (int32(bits>>52)-1023)<<finestSchema + int32(i)
}

// halfUp halves an index n times, rounding up: bucket i is in bucket ceil(i/2) of the next coarser schema.
func halfUp(index, n int32) int32 { return (index + 1<<n - 1) >> n }

func (s *sparse) halve() {
	indexes, counts := s.indexes, s.counts
	s.resize(len(indexes))
	for i, index := range indexes {
		if index != noBucket {
			s.add(halfUp(index, 1), counts[i])
		}
	}
	s.schema--
}

// order returns the sorted indexes.
func (s *sparse) order() []int32 {
	if s.sorted == nil {
		for _, index := range s.indexes {
			if index != noBucket {
				s.sorted = append(s.sorted, index)
			}
		}
		slices.Sort(s.sorted)
	}
	return s.sorted
}

// count returns the count of an existing bucket.
func (s *sparse) count(index int32) float64 {
	mask := uint32(len(s.indexes) - 1)
	place := (uint32(index) * 2654435769 >> 16) & mask
	for s.indexes[place] != index {
		place = (place + 1) & mask
	}
	return s.counts[place]
}

// sample returns the histogram in the storage's form.
func (s *sparse) sample(sum float64) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{Schema: s.schema, ZeroThreshold: zeroThreshold, ZeroCount: s.zeros, Count: s.zeros, Sum: sum}
	before := int32(0)
	for _, i := range s.order() {
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
		h.PositiveBuckets = append(h.PositiveBuckets, s.count(i))
		h.Count += s.count(i)
		before = i
	}
	return h
}

// nothing is the empty histogram that a series begins with.
func nothing() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{Schema: finestSchema, ZeroThreshold: zeroThreshold}
}
