package edge

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// Statistics are kept per entry point, router and service: totals since the
// start, and the last minute in slots, so that the dashboard shows what is
// happening and not only what once happened.
const (
	rateSlots    = 60 // of one second
	latencySlots = 6  // of ten seconds
)

// registry holds the statistics by name. They outlive reloads.
type registry struct {
	mu    sync.Mutex
	kinds map[string]map[string]*traffic // kind, then name
}

// of returns the statistics of a thing, the same ones each time.
func (r *registry) of(kind, name string) *traffic {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds == nil {
		r.kinds = map[string]map[string]*traffic{}
	}
	if r.kinds[kind] == nil {
		r.kinds[kind] = map[string]*traffic{}
	}
	t := r.kinds[kind][name]
	if t == nil {
		t = &traffic{}
		r.kinds[kind][name] = t
	}
	return t
}

// traffic is the statistics of one thing. A lock is enough: it is held for some
// tens of nanoseconds, once at the start and once at the end of a request.
type traffic struct {
	mu       sync.Mutex
	inFlight int
	classes  [6]int64 // by status/100; 0 holds what has no valid status
	total    histogram
	rates    [rateSlots]rateSlot
	recent   [latencySlots]latencySlot
}

type rateSlot struct {
	second           int64 // Unix; the slot belongs to no other
	requests, errors int
}

type latencySlot struct {
	period    int64 // Unix seconds / 10
	histogram histogram
}

func (t *traffic) begin() {
	t.mu.Lock()
	t.inFlight++
	t.mu.Unlock()
}

// end counts a finished request. Long-lived upgrades count as requests, but
// say nothing about latency.
func (t *traffic) end(now time.Time, status int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight--
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	t.classes[class]++
	second := now.Unix()
	rate := &t.rates[second%rateSlots]
	if rate.second != second {
		*rate = rateSlot{second: second}
	}
	rate.requests++
	if class == 5 {
		rate.errors++
	}
	if class == 1 {
		return
	}
	t.total.add(took)
	period := second / 10
	slot := &t.recent[period%latencySlots]
	if slot.period != period {
		slot.period, slot.histogram = period, histogram{}
	}
	slot.histogram.add(took)
}

// trafficView is statistics at one moment, as the dashboard gets them.
type trafficView struct {
	Requests      int64            `json:"requests"`
	InFlight      int              `json:"inFlight"`
	StatusClasses map[string]int64 `json:"statusClasses"`
	Latency       latencyView      `json:"latencyMs"`
	LastMinute    minuteView       `json:"lastMinute"`
}

// minuteView covers the 60 seconds up to now, oldest first.
type minuteView struct {
	Requests  int         `json:"requests"`
	Errors    int         `json:"errors"`
	Latency   latencyView `json:"latencyMs"`
	PerSecond []int       `json:"requestsPerSecond"`
	ErrorsPer []int       `json:"errorsPerSecond"`
}

// latencyView is in milliseconds. Quantiles are exact to about 3 %.
type latencyView struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

func (t *traffic) view(now time.Time) trafficView {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := trafficView{
		InFlight: t.inFlight,
		Latency:  t.total.view(),
		StatusClasses: map[string]int64{
			"1xx": t.classes[1], "2xx": t.classes[2], "3xx": t.classes[3], "4xx": t.classes[4], "5xx": t.classes[5],
		},
		LastMinute: minuteView{PerSecond: make([]int, rateSlots), ErrorsPer: make([]int, rateSlots)},
	}
	for _, n := range t.classes {
		v.Requests += n
	}
	second := now.Unix()
	for i := range rateSlots {
		at := second - rateSlots + 1 + int64(i)
		if slot := t.rates[at%rateSlots]; slot.second == at {
			v.LastMinute.PerSecond[i], v.LastMinute.ErrorsPer[i] = slot.requests, slot.errors
			v.LastMinute.Requests += slot.requests
			v.LastMinute.Errors += slot.errors
		}
	}
	var recent histogram
	for i := range t.recent {
		if slot := &t.recent[i]; slot.period > second/10-latencySlots {
			recent.merge(&slot.histogram)
		}
	}
	v.LastMinute.Latency = recent.view()
	return v
}

// histogram counts durations in buckets whose width grows with the value: 16
// to each power of two of microseconds, up to about 19 hours.
type histogram struct {
	buckets [subBuckets * (maxPower - subBits + 1)]uint32
	count   int64
	sum     time.Duration
	max     time.Duration
}

const (
	subBits    = 4
	subBuckets = 1 << subBits
	maxPower   = 36
)

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(d)]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// bucketOf: the first 16 buckets hold one microsecond each; each later group of
// 16 covers one power of two.
func bucketOf(d time.Duration) int {
	us := uint64(d.Microseconds())
	if us < subBuckets {
		return int(us)
	}
	power := min(bits.Len64(us)-1, maxPower-1)
	sub := min(us>>(power-subBits), 2*subBuckets-1) - subBuckets
	return (power-subBits+1)*subBuckets + int(sub)
}

// bucketMiddle is the duration that stands for a bucket.
func bucketMiddle(i int) time.Duration {
	if i < subBuckets {
		return time.Duration(i) * time.Microsecond
	}
	shift := i/subBuckets - 1
	low := uint64(subBuckets+i%subBuckets) << shift
	return time.Duration(low+uint64(1)<<shift/2) * time.Microsecond
}

// quantile returns the duration that the share q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank, seen := int64(math.Ceil(q*float64(h.count))), int64(0)
	for i, n := range h.buckets {
		if seen += int64(n); seen >= rank {
			return min(bucketMiddle(i), h.max)
		}
	}
	return h.max
}

func (h *histogram) view() latencyView {
	if h.count == 0 {
		return latencyView{}
	}
	return latencyView{
		Mean: milliseconds(h.sum / time.Duration(h.count)),
		P50:  milliseconds(h.quantile(0.5)),
		P90:  milliseconds(h.quantile(0.9)),
		P99:  milliseconds(h.quantile(0.99)),
		Max:  milliseconds(h.max),
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
