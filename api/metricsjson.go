package api

import (
	"fmt"
	"strconv"

	"etude/query"
	"etude/traceql/metrics"
)

// The types below are the JSON messages of metrics answers; see searchjson.go.
type (
	rangeSeries struct {
		Labels    []keyValue `json:"labels"`
		Samples   []sample   `json:"samples"`
		Exemplars []exemplar `json:"exemplars,omitempty"`
	}
	sample struct {
		TimestampMs string `json:"timestampMs"`
		Value       any    `json:"value,omitempty"`
	}
	exemplar struct {
		Labels      []keyValue `json:"labels"`
		Value       any        `json:"value,omitempty"`
		TimestampMs string     `json:"timestampMs"`
	}
	// metricsEnd is the end of the answer, after the series.
	metricsEnd struct {
		Metrics metricsMetrics `json:"metrics"`
		Status  string         `json:"status,omitempty"`
		Message string         `json:"message,omitempty"`
	}
	instantSeries struct {
		Labels []keyValue `json:"labels"`
		Value  any        `json:"value,omitempty"`
	}
	metricsMetrics struct {
		InspectedTraces uint32 `json:"inspectedTraces,omitempty"`
		CompletedJobs   uint32 `json:"completedJobs,omitempty"`
		TotalJobs       uint32 `json:"totalJobs,omitempty"`
		InspectedSpans  string `json:"inspectedSpans,omitempty"`
	}
)

// rangeJSON writes the answer to a query over time, series by series.
func (o *out) rangeJSON(r *query.MetricsResult, maxSeries int) error {
	times := make([]string, r.Window.Slots)
	for slot := range times {
		times[slot] = milliseconds(r.Window.Start + uint64(slot+1)*r.Window.Step)
	}
	var s rangeSeries
	return o.seriesJSON(r, maxSeries, func(from *metrics.Series) any {
		s.Labels, s.Samples, s.Exemplars = keyValues(from.Labels), s.Samples[:0], nil
		for _, x := range from.Samples {
			s.Samples = append(s.Samples, sample{times[x.Slot], number(x.Value)})
		}
		if s.Samples == nil {
			s.Samples = []sample{}
		}
		for j := range from.Exemplars {
			s.Exemplars = append(s.Exemplars, exemplarOf(&from.Exemplars[j]))
		}
		return s
	})
}

// seriesJSON writes the result of each for every series.
func (o *out) seriesJSON(r *query.MetricsResult, maxSeries int, each func(*metrics.Series) any) error {
	o.b = append(o.b, `{"series":[`...)
	for i := range r.Series {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		if err := o.json(each(&r.Series[i])); err != nil {
			return err
		}
		if err := o.step(); err != nil {
			return err
		}
	}
	end := metricsEnd{Metrics: metricsOf(r)}
	end.Status, end.Message = partial(r, maxSeries)
	o.b = append(o.b, ']', ',')
	at := len(o.b)
	err := o.json(end)
	o.b = append(o.b[:at], o.b[at+1:]...) // without the object's own opening bracket
	return err
}

func exemplarOf(x *metrics.Exemplar) exemplar {
	id := x.TraceID.Short()
	labels := append(keyValues(x.Attrs), keyValue{"trace:id", anyValue{StringValue: &id}})
	return exemplar{Labels: labels, Value: number(x.Value), TimestampMs: milliseconds(x.Start)}
}

// instantJSON writes the answer to an instant query: one number per series.
func (o *out) instantJSON(r *query.MetricsResult, maxSeries int) error {
	if len(r.Series) == 0 { // Only here does Tempo leave out the empty list, and the inspected numbers
		return o.json(metricsEnd{Metrics: metricsMetrics{CompletedJobs: 1, TotalJobs: 1}})
	}
	return o.seriesJSON(r, maxSeries, func(from *metrics.Series) any {
		s := instantSeries{Labels: keyValues(from.Labels)}
		if len(from.Samples) > 0 {
			s.Value = number(from.Samples[0].Value)
		}
		return s
	})
}

func metricsOf(r *query.MetricsResult) metricsMetrics {
	return metricsMetrics{
		InspectedTraces: uint32(r.Stats.Traces), CompletedJobs: 1, TotalJobs: 1,
		InspectedSpans: decimal(uint64(r.Stats.Spans)),
	}
}

func partial(r *query.MetricsResult, maxSeries int) (status, message string) {
	if !r.Partial {
		return "", ""
	}
	return "PARTIAL", fmt.Sprintf("Response exceeds maximum series limit of %d, a partial response is returned. Warning: the accuracy of each individual value is not guaranteed.", maxSeries)
}

// number returns nil for zero, which proto3's JSON leaves out.
func number(f float64) any {
	if f == 0 {
		return nil
	}
	return jsonFloat(f)
}

func milliseconds(ns uint64) string { return strconv.FormatUint(ns/1e6, 10) }
