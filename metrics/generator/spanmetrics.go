package generator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// The schemas, by the first byte of their groups' keys.
const (
	spanSchema byte = iota + 1
	edgeSchema
	targetSchema
	hostSchema
)

// The indexes of the metrics in a group of spanSchema.
const (
	calls   = 0 // counters
	bytes   = 1
	latency = 0 // histograms
)

// spanMetrics makes the label sets of span metrics.
type spanMetrics struct {
	o       *SpanMetricsOptions
	schema  schema
	sources []labelSource // after the intrinsic labels, in this order
	filters []policy
	labels  []labels.Label // reused memory
}

// labelSource makes one label from attributes.
type labelSource struct {
	name string
	keys []string
	join string
}

func newSpanMetrics(o *Options) (m *spanMetrics, err error) {
	m = &spanMetrics{o: &o.SpanMetrics, schema: schema{id: spanSchema}}
	if o.has(SpanMetrics, SpanMetricsCount) {
		m.schema.counters[calls] = newFamily("traces_spanmetrics_calls_total", model.MetricTypeCounter, "", "Spans by service, name, kind and status.")
	}
	if o.has(SpanMetrics, SpanMetricsSize) {
		m.schema.counters[bytes] = newFamily("traces_spanmetrics_size_total", model.MetricTypeCounter, "bytes", "Bytes of the spans as OTLP messages.")
	}
	if o.has(SpanMetrics, SpanMetricsLatency) {
		m.schema.histograms[latency] = newHistogramFamily("traces_spanmetrics_latency", "Durations of the spans.", m.o.Buckets, o.NativeHistograms)
	}
	if m.filters, err = compilePolicies(m.o.Filters); err != nil {
		return nil, fmt.Errorf("filters of span metrics: %w", err)
	}
	return m, m.makeSources()
}

// makeSources determines the label of each dimension and mapping.
func (m *spanMetrics) makeSources() error {
	taken := m.takenNames()
	for _, key := range m.o.Dimensions {
		name, err := dimensionName(key, intrinsics...)
		if err != nil {
			return err
		}
		if slices.Contains(taken[len(intrinsics):], name) {
			return fmt.Errorf("dimension %q: the label %s is in use", key, name)
		}
		source := labelSource{name: name, keys: []string{key}}
		if i := slices.IndexFunc(m.sources, func(s labelSource) bool { return s.name == name }); i >= 0 {
			m.sources[i] = source // the last one wins
			continue
		}
		m.sources = append(m.sources, source)
	}
	for _, s := range m.sources {
		taken = append(taken, s.name)
	}
	for _, mapping := range m.o.Mappings {
		name, err := dimensionName(mapping.Name)
		if err != nil {
			return err
		}
		if slices.Contains(taken, name) {
			return fmt.Errorf("dimension mapping %q: the label %s is in use", mapping.Name, name)
		}
		if len(mapping.Source) == 0 {
			return fmt.Errorf("dimension mapping %q: name the attributes that it joins", mapping.Name)
		}
		taken = append(taken, name)
		m.sources = append(m.sources, labelSource{name: name, keys: mapping.Source, join: mapping.Join})
	}
	return nil
}

func (m *spanMetrics) takenNames() []string {
	taken := slices.Clone(intrinsics)
	if m.o.TargetInfo {
		taken = append(taken, "job")
		if !m.o.NoInstance {
			taken = append(taken, "instance")
		}
	}
	return taken
}

// dimensionName returns the label of an attribute, or an error for a label with its own meaning.
func dimensionName(key string, taken ...string) (string, error) {
	name := labelName(key, taken...)
	switch name {
	case "":
		return "", fmt.Errorf("a dimension has no name")
	case model.MetricNameLabel, labels.BucketLabel, overflowLabel:
		return "", fmt.Errorf("dimension %q: the label %s has its own meaning", key, name)
	}
	return name, nil
}

// spanKeys returns the span attributes that the label sets depend on.
func (m *spanMetrics) spanKeys() []string {
	keys := spanKeys(m.filters)
	for _, s := range m.sources {
		keys = append(keys, s.keys...)
	}
	return keys
}

// labelsOf returns the labels of a span, valid until the next call.
func (m *spanMetrics) labelsOf(s *span) []labels.Label {
	ls := m.labels[:0]
	add := func(leftOut bool, name, value string) {
		if !leftOut {
			ls = append(ls, labels.Label{Name: name, Value: cut(value, maxValue)})
		}
	}
	add(m.o.NoService, "service", s.resource.service)
	add(m.o.NoSpanName, "span_name", s.v.Text(s.v.Name[s.row]))
	add(m.o.NoSpanKind, "span_kind", kindText(s.v.Kind[s.row]))
	add(m.o.NoStatusCode, "status_code", statusText(s.v.Status[s.row]))
	add(!m.o.StatusMessage, "status_message", s.v.Text(s.v.StatusMessage.Get(s.row)))
	add(!m.o.TargetInfo, "job", s.resource.job)
	add(!m.o.TargetInfo || m.o.NoInstance, "instance", s.resource.instance)
	for _, source := range m.sources {
		add(false, source.name, source.value(s))
	}
	m.labels = ls
	return ls
}

// value joins the attributes that have a text.
func (l *labelSource) value(s *span) string {
	if len(l.keys) == 1 {
		return s.attr(l.keys[0])
	}
	var values []string
	for _, key := range l.keys {
		if value := s.attr(key); value != "" {
			values = append(values, value)
		}
	}
	return strings.Join(values, l.join)
}
