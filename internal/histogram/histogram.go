// Package histogram counts durations and computes their quantiles. Its memory does not grow with the number of
// durations.
//
// Buckets grow with the value: each power of two of nanoseconds is divided into buckets of equal width, whose
// number is the precision. The error of a quantile is at most half a bucket, and a quantile is never below the
// shortest or above the longest counted duration. Rejected: doubling buckets, whose quantiles have errors of up
// to 100 %; the sparse buckets of Prometheus' native histograms, which need a logarithm for each duration and
// are designed for storage.
package histogram

import (
	"math"
	"math/bits"
	"time"
)

// Precision is the number of bits of a duration that determine its bucket. With n bits, a bucket's width is at
// most 2^-n of the duration.
type Precision uint8

const (
	Coarse Precision = 5 // 3 %: quantiles within 1.6 %; 5 KiB for durations up to an hour
	Fine   Precision = 7 // 0.8 %: quantiles within 0.4 %; 19 KiB
)

// Durations is a histogram. The zero value is empty and fine. It is not safe for concurrent use.
type Durations struct {
	precision Precision
	buckets   []uint32
	count     int64
	sum       time.Duration
	min, max  time.Duration
}

// New returns an empty histogram.
func New(p Precision) Durations { return Durations{precision: p} }

func (h *Durations) bits() Precision {
	if h.precision == 0 {
		return Fine
	}
	return h.precision
}

// bucketOf gives each value below 2^(p+1) its own bucket. Above, the highest p+1 bits determine the bucket.
func bucketOf(d time.Duration, p Precision) int {
	v := uint64(d)
	shift := max(bits.Len64(v)-int(p)-1, 0)
	return shift<<p + int(v>>shift)
}

// bounds returns the shortest and the longest duration of a bucket.
func bounds(bucket int, p Precision) (from, to time.Duration) {
	shift := max(bucket>>p-1, 0)
	low := uint64(bucket-shift<<p) << shift
	return time.Duration(low), time.Duration(low + 1<<shift - 1)
}

// Add counts a duration; a negative one counts as 0.
func (h *Durations) Add(d time.Duration) {
	d = max(d, 0)
	i := bucketOf(d, h.bits())
	if i >= len(h.buckets) {
		h.buckets = append(h.buckets, make([]uint32, i+1-len(h.buckets))...)
	}
	h.buckets[i]++
	if h.count == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.count++
	h.sum += d
}

// Merge adds the counts of another histogram. Both must have the same precision.
func (h *Durations) Merge(o *Durations) {
	if o.count == 0 {
		return
	}
	if h.bits() != o.bits() {
		panic("histogram: merge of two precisions")
	}
	if n := len(o.buckets) - len(h.buckets); n > 0 {
		h.buckets = append(h.buckets, make([]uint32, n)...)
	}
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	if h.count == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.count += o.count
	h.sum += o.sum
}

// Reset empties the histogram and keeps its memory.
func (h *Durations) Reset() {
	clear(h.buckets)
	h.count, h.sum, h.min, h.max = 0, 0, 0, 0
}

// Count is the number of durations counted.
func (h *Durations) Count() int64 { return h.count }

// Max is the longest one, or 0.
func (h *Durations) Max() time.Duration { return h.max }

// Mean is their mean, or 0.
func (h *Durations) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile returns the duration that the share q of all durations does not exceed, for q from 0 to 1. It
// returns 0 for an empty histogram. Within a bucket it assumes an even distribution.
func (h *Durations) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(h.count))), 1)
	switch {
	case q <= 0:
		return h.min
	case rank >= h.count:
		return h.max
	}
	seen := int64(0)
	for i, n := range h.buckets {
		if seen+int64(n) < rank {
			seen += int64(n)
			continue
		}
		from, to := bounds(i, h.bits())
		within := (float64(rank-seen) - 0.5) / float64(n)
		return min(max(from+time.Duration(within*float64(to-from)), h.min), h.max)
	}
	return h.max
}
