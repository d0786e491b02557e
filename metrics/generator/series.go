package generator

import (
	"sort"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"

	"etude/trace"
)

// family is one metric: its name, and the properties that all its series share.
type family struct {
	name string
	meta metadata.Metadata
	lazy bool // has no series until it has a value

	// Of a histogram:
	classic, native bool
	bounds          []float64 // seconds, without +Inf
	les             []string  // the bounds as text, with +Inf
}

func newFamily(name string, kind model.MetricType, unit, help string) *family {
	return &family{name: name, meta: metadata.Metadata{Type: kind, Unit: unit, Help: help}}
}

func newHistogramFamily(name, help string, bounds []float64, native Native) *family {
	f := newFamily(name, model.MetricTypeHistogram, "seconds", help)
	f.classic, f.native, f.bounds = native != NativeOnly, native != Classic, bounds
	for _, b := range bounds {
		f.les = append(f.les, boundText(b))
	}
	f.les = append(f.les, "+Inf")
	return f
}

// size is the number of series that a label set has in the family.
func (f *family) size() int {
	switch {
	case f == nil:
		return 0
	case f.les == nil:
		return 1
	}
	n := 0
	if f.classic {
		n += len(f.les) + 2
	}
	if f.native {
		n++
	}
	return n
}

// schema is the set of metrics for every label set of one kind. A nil family produces no series. Its values are
// still added up, because an addition costs less than a test.
type schema struct {
	id         byte
	counters   [2]*family
	histograms [3]*family
	overflow   *group // shared by the label sets beyond the limit, or nil
}

func (k *schema) size() (n int) {
	for _, f := range k.counters {
		n += f.size()
	}
	for _, f := range k.histograms {
		n += f.size()
	}
	return n
}

// group is one label set with its metrics.
type group struct {
	schema     *schema
	owner      string // the service whose spans made it; empty for the overflow
	key        string
	labels     []labels.Label // its own, in the schema's order
	born       int64          // time of the reading that made it, unix ns
	updated    int64          // time of the last reading that added to it, unix ns
	limited    *int64         // counts the updates if label sets share the group because of a limit
	counters   [2]counter
	histograms [3]*histogramSeries
}

// touch records the time of the group's newest span.
func (s *group) touch(now int64) {
	s.updated = now
	if s.limited != nil {
		*s.limited++
	}
}

// counter is one series of a counter or a gauge.
type counter struct {
	value float64
	out   series
}

// series is one series in the storage.
type series struct {
	labels labels.Labels // made when first sent
	ref    storage.SeriesRef
	begun  bool // its zero has been sent, or it needs none
}

// histogramSeries has the buckets of one label set.
type histogramSeries struct {
	family     *family
	sum, count float64
	counts     []float64     // not cumulative; the last is for +Inf
	newest     []observation // per bucket, since the last collection
	sparse     *sparse       // of a native histogram, or nil
	last       observation   // of a native histogram, since the last collection

	buckets                     []series
	countOut, sumOut, nativeOut series
}

// observation becomes an exemplar, unless its trace id is zero.
type observation struct {
	trace trace.TraceID
	value float64
}

func newHistogram(f *family) *histogramSeries {
	h := &histogramSeries{family: f}
	if f.classic {
		n := len(f.les)
		h.counts, h.newest, h.buckets = make([]float64, n), make([]observation, n), make([]series, n)
	}
	if f.native {
		h.sparse = newSparse()
	}
	return h
}

// observe adds a duration in seconds; weight is the number of spans it represents.
func (h *histogramSeries) observe(value, weight float64, id trace.TraceID) {
	h.sum += value * weight
	h.count += weight
	if h.counts != nil {
		i := sort.SearchFloat64s(h.family.bounds, value)
		h.counts[i] += weight
		h.newest[i] = observation{id, value}
	}
	if h.sparse != nil {
		h.sparse.observe(value, weight)
		h.last = observation{id, value}
	}
}

// each calls f with every begun series of the group.
func (s *group) each(f func(out *series, native bool)) {
	begun := func(out *series) {
		if out.begun {
			f(out, false)
		}
	}
	for i := range s.counters {
		begun(&s.counters[i].out)
	}
	for _, h := range s.histograms {
		if h == nil {
			continue
		}
		for i := range h.buckets {
			begun(&h.buckets[i])
		}
		begun(&h.countOut)
		begun(&h.sumOut)
		if h.nativeOut.begun {
			f(&h.nativeOut, true)
		}
	}
}

// counts reports whether values only grow, and begin with a zero.
func (f *family) counts() bool { return f.meta.Type != model.MetricTypeGauge }
