package bench

import (
	"math/bits"
	"time"
)

// latencies counts durations in buckets that are at most 0.8 % wide, so that a
// long run needs no more memory than a short one.
type latencies struct {
	buckets []uint64
	count   uint64
	most    time.Duration
}

const linear = 128 // buckets per power of two

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	e := max(bits.Len64(v)-8, 0)
	return e*linear + int(v>>e)
}

// edgeOf is the longest duration in a bucket.
func edgeOf(bucket int) time.Duration {
	e := max(bucket/linear-1, 0)
	return time.Duration((uint64(bucket-e*linear)+1)<<e - 1)
}

func (l *latencies) add(d time.Duration) {
	i := bucketOf(d)
	if i >= len(l.buckets) {
		l.buckets = append(l.buckets, make([]uint64, i+1-len(l.buckets))...)
	}
	l.buckets[i]++
	l.count++
	l.most = max(l.most, d)
}

func (l *latencies) merge(other *latencies) {
	if n := len(other.buckets) - len(l.buckets); n > 0 {
		l.buckets = append(l.buckets, make([]uint64, n)...)
	}
	for i, n := range other.buckets {
		l.buckets[i] += n
	}
	l.count += other.count
	l.most = max(l.most, other.most)
}

// quantile is the duration that a part q of all do not exceed.
func (l *latencies) quantile(q float64) time.Duration {
	if l.count == 0 {
		return 0
	}
	rank := max(uint64(q*float64(l.count)+0.999999), 1)
	var seen uint64
	for i, n := range l.buckets {
		if seen += n; seen >= rank {
			return min(edgeOf(i), l.most)
		}
	}
	return l.most
}

// Latency holds quantiles in milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func (l *latencies) summary() Latency {
	return Latency{ms(l.quantile(.5)), ms(l.quantile(.9)), ms(l.quantile(.99)), ms(l.most)}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
