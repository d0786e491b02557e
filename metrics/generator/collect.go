package generator

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// collection sends the values of all series once.
type collection struct {
	g          *Generator
	app        storage.AppenderV2
	at, zeroAt int64 // unix ms
	begun      []*series
	samples    int64
	ended      int64 // number of series
	exemplar   [1]exemplar.Exemplar
}

// send stores all samples, or none if it returns an error.
func (c *collection) send(removed []*group) error {
	err := c.appendAll(removed)
	if err == nil {
		if err = c.app.Commit(); err == nil {
			return nil
		}
	} else {
		err = errors.Join(err, c.app.Rollback())
	}
	for _, s := range c.begun { // storage did not store their zeros
		s.begun = false
	}
	return err
}

func (c *collection) appendAll(removed []*group) (err error) {
	for _, g := range removed {
		g.each(func(s *series, native bool) {
			if err == nil {
				err = c.end(s, native)
			}
		})
	}
	for _, g := range c.g.registry.list {
		if err == nil {
			err = c.group(g)
		}
	}
	if err == nil {
		c.g.observed.counters[0].value = float64(c.at-c.g.began) / 1000
		err = c.group(c.g.observed)
	}
	return err
}

func (c *collection) group(g *group) error {
	for i, f := range g.schema.counters {
		counter := &g.counters[i]
		if f == nil || f.lazy && counter.value == 0 {
			continue
		}
		if err := c.float(g, f, &counter.out, f.name, "", counter.value, nil); err != nil {
			return err
		}
	}
	for _, h := range g.histograms {
		if h == nil {
			continue
		}
		if err := c.histogram(g, h); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) histogram(g *group, h *histogramSeries) error {
	f := h.family
	if f.classic {
		sum := 0.0
		for i, n := range h.counts {
			sum += n
			if err := c.float(g, f, &h.buckets[i], f.name+"_bucket", f.les[i], sum, &h.newest[i]); err != nil {
				return err
			}
		}
		if err := c.float(g, f, &h.countOut, f.name+"_count", "", h.count, nil); err != nil {
			return err
		}
		if err := c.float(g, f, &h.sumOut, f.name+"_sum", "", h.sum, nil); err != nil {
			return err
		}
	}
	if f.native {
		return c.native(g, h)
	}
	return nil
}

// float sends the value of a series. It sends the series' newest observation once as an exemplar. A counter's
// series begins with a zero.
func (c *collection) float(g *group, f *family, s *series, name, le string, v float64, newest *observation) error {
	if s.labels.IsEmpty() {
		s.labels = c.g.registry.labelsOf(g, name, le)
	}
	if !s.begun && f.counts() {
		if err := c.append(f, s, c.zeroAt, 0, nil, nil); err != nil {
			return err
		}
	}
	c.begin(s)
	return c.append(f, s, c.at, v, nil, newest)
}

func (c *collection) native(g *group, h *histogramSeries) error {
	s := &h.nativeOut
	if s.labels.IsEmpty() {
		s.labels = c.g.registry.labelsOf(g, h.family.name, "")
	}
	if !s.begun {
		if err := c.append(h.family, s, c.zeroAt, 0, nothing(), nil); err != nil {
			return err
		}
	}
	c.begin(s)
	return c.append(h.family, s, c.at, 0, h.sparse.sample(h.sum), &h.last)
}

func (c *collection) begin(s *series) {
	if !s.begun {
		s.begun = true
		c.begun = append(c.begun, s)
	}
}

// append appends one sample.
func (c *collection) append(f *family, s *series, at int64, v float64, h *histogram.FloatHistogram, newest *observation) error {
	options := storage.AppendV2Options{MetricFamilyName: f.name, Metadata: f.meta}
	if newest != nil && !newest.trace.IsZero() {
		id := labels.FromStrings(c.g.o.ExemplarTraceID, newest.trace.Short())
		c.exemplar[0] = exemplar.Exemplar{Labels: id, Value: newest.value, Ts: at, HasTs: true}
		options.Exemplars = c.exemplar[:]
		*newest = observation{}
	}
	ref, err := c.app.Append(s.ref, s.labels, 0, at, v, nil, h, options)
	var partial *storage.AppendPartialError
	switch {
	case errors.As(err, &partial):
		c.g.count.refusedExempls.Add(int64(len(partial.ExemplarErrors)))
	case err != nil && refusable(err):
		c.g.count.refusedSamples.Add(1)
		return nil
	case err != nil:
		return err
	}
	s.ref = ref
	c.samples++
	return nil
}

// end sends the marker for the end of a series.
func (c *collection) end(s *series, native bool) error {
	c.ended++
	stale := math.Float64frombits(value.StaleNaN)
	var h *histogram.FloatHistogram
	if native {
		h = &histogram.FloatHistogram{Sum: stale}
	}
	_, err := c.app.Append(s.ref, s.labels, 0, c.at, stale, nil, h, storage.AppendV2Options{})
	if err != nil && !refusable(err) {
		return err
	}
	return nil
}
