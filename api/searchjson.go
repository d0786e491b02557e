package api

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"etude/query"
	"etude/traceql/eval"
)

// noRoot stands for the service of a root span that is not known.
const noRoot = "<root span not yet received>"

// The types below are the messages of the search answer in JSON. Every member
// is one that Tempo's protobuf has; Grafana refuses others.
type (
	searchResponse struct {
		Traces  []traceMetadata `json:"traces"`
		Metrics searchMetrics   `json:"metrics"`
	}
	searchMetrics struct {
		InspectedTraces uint32 `json:"inspectedTraces,omitempty"`
		CompletedJobs   uint32 `json:"completedJobs,omitempty"`
		TotalJobs       uint32 `json:"totalJobs,omitempty"`
	}
	traceMetadata struct {
		TraceID           string                  `json:"traceID"`
		RootServiceName   string                  `json:"rootServiceName,omitempty"`
		RootTraceName     string                  `json:"rootTraceName,omitempty"`
		StartTimeUnixNano string                  `json:"startTimeUnixNano,omitempty"`
		DurationMs        uint32                  `json:"durationMs,omitempty"`
		SpanSet           *spanSet                `json:"spanSet,omitempty"`
		SpanSets          []spanSet               `json:"spanSets,omitempty"`
		ServiceStats      map[string]serviceStats `json:"serviceStats,omitempty"`
	}
	serviceStats struct {
		SpanCount  uint32 `json:"spanCount,omitempty"`
		ErrorCount uint32 `json:"errorCount,omitempty"`
	}
	spanSet struct {
		Spans      []span     `json:"spans,omitempty"`
		Matched    uint32     `json:"matched,omitempty"`
		Attributes []keyValue `json:"attributes,omitempty"`
	}
	span struct {
		SpanID            string     `json:"spanID"`
		Name              string     `json:"name,omitempty"`
		StartTimeUnixNano string     `json:"startTimeUnixNano,omitempty"`
		DurationNanos     string     `json:"durationNanos,omitempty"`
		Attributes        []keyValue `json:"attributes,omitempty"`
	}
	keyValue struct {
		Key   string   `json:"key"`
		Value anyValue `json:"value"`
	}
	anyValue struct {
		StringValue *string     `json:"stringValue,omitempty"`
		BoolValue   *bool       `json:"boolValue,omitempty"`
		IntValue    *string     `json:"intValue,omitempty"`
		DoubleValue any         `json:"doubleValue,omitempty"`
		ArrayValue  *arrayValue `json:"arrayValue,omitempty"`
	}
	arrayValue struct {
		Values []anyValue `json:"values,omitempty"`
	}
)

// jsonAnswer encodes a message.
func jsonAnswer(v any) (answer, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return answer{}, err
	}
	return answer{contentType: typeJSON, body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

func searchJSON(r *query.Result) searchResponse {
	out := searchResponse{
		Traces:  make([]traceMetadata, len(r.Traces)),
		Metrics: searchMetrics{InspectedTraces: uint32(r.InspectedTraces), CompletedJobs: 1, TotalJobs: 1},
	}
	for i := range r.Traces {
		out.Traces[i] = metadataOf(&r.Traces[i])
	}
	return out
}

func metadataOf(t *query.Trace) traceMetadata {
	m := traceMetadata{
		TraceID:           t.ID.Short(),
		RootServiceName:   t.RootService,
		RootTraceName:     t.RootName,
		StartTimeUnixNano: decimal(t.Start),
		DurationMs:        uint32(min(t.Duration.Milliseconds(), math.MaxUint32)),
	}
	if m.RootServiceName == "" {
		m.RootServiceName = noRoot
	}
	for i := range t.SpanSets {
		m.SpanSets = append(m.SpanSets, spanSetOf(&t.SpanSets[i]))
	}
	if len(m.SpanSets) > 0 {
		m.SpanSet = &m.SpanSets[0]
	}
	for _, s := range t.Services {
		if m.ServiceStats == nil {
			m.ServiceStats = map[string]serviceStats{}
		}
		m.ServiceStats[s.Service] = serviceStats{uint32(s.Spans), uint32(s.Errors)}
	}
	return m
}

func spanSetOf(s *query.SpanSet) spanSet {
	out := spanSet{Matched: uint32(s.Matched), Attributes: keyValues(s.Attrs)}
	for _, sp := range s.Spans {
		out.Spans = append(out.Spans, span{
			SpanID:            sp.ID.String(),
			Name:              sp.Name,
			StartTimeUnixNano: decimal(sp.Start),
			DurationNanos:     decimal(sp.Duration),
			Attributes:        keyValues(sp.Attrs),
		})
	}
	return out
}

func keyValues(attrs []eval.Attr) (out []keyValue) {
	for _, a := range attrs {
		out = append(out, keyValue{a.Key, anyOf(a.Value)})
	}
	return out
}

func anyOf(v eval.Value) (out anyValue) {
	switch v.Type {
	case eval.Int:
		s := strconv.FormatInt(v.Int, 10)
		out.IntValue = &s
	case eval.Float:
		out.DoubleValue = jsonFloat(v.Float)
	case eval.Bool:
		b := v.Int != 0
		out.BoolValue = &b
	case eval.Array:
		out.ArrayValue = &arrayValue{}
		for _, e := range v.Elems {
			out.ArrayValue.Values = append(out.ArrayValue.Values, anyOf(e))
		}
	default: // words, durations and nil travel as text
		s := v.Text()
		out.StringValue = &s
	}
	return out
}

// jsonFloat keeps what JSON has no number for as text.
func jsonFloat(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return f
}

// decimal writes a 64-bit integer as text; "" for 0, which is left out.
func decimal(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
