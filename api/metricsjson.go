package api

import (
	"fmt"
	"strconv"

	"etude/query"
	"etude/traceql/eval"
)

// The types below are the messages of metrics answers in JSON; see searchjson.go.
type (
	rangeResponse struct {
		Series  []rangeSeries  `json:"series"`
		Metrics metricsMetrics `json:"metrics"`
		Status  string         `json:"status,omitempty"`
		Message string         `json:"message,omitempty"`
	}
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
	instantResponse struct {
		Series  []instantSeries `json:"series"`
		Metrics metricsMetrics  `json:"metrics"`
		Status  string          `json:"status,omitempty"`
		Message string          `json:"message,omitempty"`
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

func rangeJSON(r *query.MetricsResult, maxSeries int) rangeResponse {
	out := rangeResponse{Series: make([]rangeSeries, len(r.Series)), Metrics: metricsOf(r)}
	out.Status, out.Message = partial(r, maxSeries)
	times := make([]string, r.Window.Slots)
	for slot := range times {
		times[slot] = milliseconds(r.Window.Start + uint64(slot+1)*r.Window.Step)
	}
	for i := range r.Series {
		from := &r.Series[i]
		s := rangeSeries{Labels: keyValues(from.Labels), Samples: make([]sample, len(from.Samples))}
		for j, x := range from.Samples {
			s.Samples[j] = sample{times[x.Slot], number(x.Value)}
		}
		for j := range from.Exemplars {
			s.Exemplars = append(s.Exemplars, exemplarOf(&from.Exemplars[j]))
		}
		out.Series[i] = s
	}
	return out
}

func exemplarOf(x *eval.Exemplar) exemplar {
	id := x.TraceID.Short()
	labels := append(keyValues(x.Attrs), keyValue{"trace:id", anyValue{StringValue: &id}})
	return exemplar{Labels: labels, Value: number(x.Value), TimestampMs: milliseconds(x.Start)}
}

func instantJSON(r *query.MetricsResult, maxSeries int) instantResponse {
	out := instantResponse{Series: make([]instantSeries, len(r.Series)), Metrics: metricsOf(r)}
	out.Status, out.Message = partial(r, maxSeries)
	for i, s := range r.Series {
		out.Series[i].Labels = keyValues(s.Labels)
		if len(s.Samples) > 0 {
			out.Series[i].Value = number(s.Samples[0].Value)
		}
	}
	return out
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

// number leaves zero out, as proto3's JSON does.
func number(f float64) any {
	if f == 0 {
		return nil
	}
	return jsonFloat(f)
}

func milliseconds(ns uint64) string { return strconv.FormatUint(ns/1e6, 10) }
