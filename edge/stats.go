package edge

import (
	"maps"
	"slices"
	"sync"
	"time"

	"etude/internal/histogram"
)

// The edge counts a request once for each object that it passes: the entry point, the router, the service. Both
// the dashboard's figures and Traefik's metrics (metrics.go) use this count.
//
// The dashboard needs totals since the start, and the last minute in slots, so that it shows the current load.
// Metrics need a series for each status, method and protocol.
const (
	rateSlots    = 60 // of one second
	latencySlots = 6  // of ten seconds
)

// registry holds the statistics by name. They survive reloads.
type registry struct {
	mu    sync.Mutex
	kinds map[string]map[string]*traffic // kind, then name
}

// of returns the statistics of an object. It creates them at the first call.
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
		t = newTraffic()
		r.kinds[kind][name] = t
	}
	return t
}

// all returns the statistics of the objects of one kind, by name.
func (r *registry) all(kind string) map[string]*traffic {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.kinds[kind])
}

// traffic is the statistics of one object. A lock is enough: a request holds it twice, at its start and at its
// end, for some tens of nanoseconds.
type traffic struct {
	mu       sync.Mutex
	inFlight int
	series   map[labels]*tally
	total    histogram.Durations
	rates    [rateSlots]rateSlot
	recent   [latencySlots]latencySlot
}

// labels identify a series of one object. Their values are bounded, see labelsOf.
type labels struct {
	code             int // 0 for a status outside of HTTP
	method, protocol string
}

// tally has the counts of the requests with the same labels.
type tally struct {
	requests uint64
	bytes    uint64 // of the bodies of answers
	seconds  float64
	buckets  [bucketCount]uint64 // requests per bucket of latencyBuckets, not cumulative
}

type rateSlot struct {
	second           int64 // the Unix second that the slot counts
	requests, errors int
}

type latencySlot struct {
	period    int64 // Unix seconds / 10
	histogram histogram.Durations
}

func newTraffic() *traffic {
	t := &traffic{series: map[labels]*tally{}, total: histogram.New(histogram.Coarse)}
	for i := range t.recent {
		t.recent[i].histogram = histogram.New(histogram.Coarse)
	}
	return t
}

func (t *traffic) begin() {
	t.mu.Lock()
	t.inFlight++
	t.mu.Unlock()
}

// end counts a finished request. An upgraded connection counts as a request, but not in the latencies.
func (t *traffic) end(now time.Time, l labels, bytes int64, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight--
	s := t.series[l]
	if s == nil {
		s = &tally{}
		t.series[l] = s
	}
	s.add(bytes, took)
	second := now.Unix()
	rate := &t.rates[second%rateSlots]
	if rate.second != second {
		*rate = rateSlot{second: second}
	}
	rate.requests++
	switch l.code / 100 {
	case 5:
		rate.errors++
	case 1:
		return
	}
	t.total.Add(took)
	period := second / 10
	slot := &t.recent[period%latencySlots]
	if slot.period != period {
		slot.period = period
		slot.histogram.Reset()
	}
	slot.histogram.Add(took)
}

func (s *tally) add(bytes int64, took time.Duration) {
	s.requests++
	s.bytes += uint64(bytes)
	s.seconds += took.Seconds()
	if i, _ := slices.BinarySearch(latencyBuckets, took.Seconds()); i < len(s.buckets) {
		s.buckets[i]++
	}
}

// snapshot returns a copy of the series.
func (t *traffic) snapshot() map[labels]tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[labels]tally, len(t.series))
	for l, s := range t.series {
		all[l] = *s
	}
	return all
}

// trafficView is the statistics at one time in the form of the dashboard's API.
type trafficView struct {
	Requests      int64            `json:"requests"`
	InFlight      int              `json:"inFlight"`
	StatusClasses map[string]int64 `json:"statusClasses"`
	Latency       latencyView      `json:"latencyMs"`
	LastMinute    minuteView       `json:"lastMinute"`
}

// minuteView covers the 60 seconds up to now, oldest first. Seconds is how many of them the edge has been
// running: rates are per second of these.
type minuteView struct {
	Seconds   float64     `json:"seconds"`
	Requests  int         `json:"requests"`
	Errors    int         `json:"errors"`
	Rate      float64     `json:"requestRate"` // requests a second
	Latency   latencyView `json:"latencyMs"`
	PerSecond []int       `json:"requestsPerSecond"`
	ErrorsPer []int       `json:"errorsPerSecond"`
}

// latencyView is in milliseconds. Quantiles have an error of at most 2 % and stay within the measured range.
type latencyView struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

var classNames = [6]string{1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}

// view returns the dashboard's figures at a time. Age is how long the edge has been running.
func (t *traffic) view(now time.Time, age time.Duration) trafficView {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := trafficView{
		InFlight: t.inFlight, Latency: viewOf(&t.total), StatusClasses: make(map[string]int64, len(classNames)),
		LastMinute: minuteView{PerSecond: make([]int, rateSlots), ErrorsPer: make([]int, rateSlots)},
	}
	for _, name := range classNames[1:] {
		v.StatusClasses[name] = 0
	}
	for l, s := range t.series {
		v.Requests += int64(s.requests)
		if name := classNames[l.code/100]; name != "" {
			v.StatusClasses[name] += int64(s.requests)
		}
	}
	m := &v.LastMinute
	second := now.Unix()
	for i := range rateSlots {
		at := second - rateSlots + 1 + int64(i)
		if slot := t.rates[at%rateSlots]; slot.second == at {
			m.PerSecond[i], m.ErrorsPer[i] = slot.requests, slot.errors
			m.Requests += slot.requests
			m.Errors += slot.errors
		}
	}
	m.Seconds = min(max(age, time.Second), rateSlots*time.Second).Seconds()
	m.Rate = float64(m.Requests) / m.Seconds
	recent := histogram.New(histogram.Coarse)
	for i := range t.recent {
		if slot := &t.recent[i]; slot.period > second/10-latencySlots {
			recent.Merge(&slot.histogram)
		}
	}
	m.Latency = viewOf(&recent)
	return v
}

func viewOf(h *histogram.Durations) latencyView {
	return latencyView{
		Count: h.Count(),
		Mean:  milliseconds(h.Mean()),
		P50:   milliseconds(h.Quantile(0.5)),
		P90:   milliseconds(h.Quantile(0.9)),
		P95:   milliseconds(h.Quantile(0.95)),
		P99:   milliseconds(h.Quantile(0.99)),
		Max:   milliseconds(h.Max()),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
