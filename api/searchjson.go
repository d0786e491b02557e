package api

import (
	"encoding/json"
	"math"
	"strconv"

	"etude/query"
	"etude/traceql/eval"
)

// Texts for the service of a trace whose root span or service name is missing.
const (
	noRoot    = "<root span not yet received>"
	noService = "<root span without service name>"
)

func rootService(t *query.Trace) string {
	switch {
	case t.RootService != "":
		return t.RootService
	case t.Unserviced:
		return noService
	}
	return noRoot
}

// The types below are the JSON messages of the search answer. Each member exists in Tempo's protobuf; Grafana
// refuses others.
type (
	searchMetrics struct {
		InspectedTraces uint32 `json:"inspectedTraces,omitempty"`
		CompletedJobs   uint32 `json:"completedJobs,omitempty"`
		TotalJobs       uint32 `json:"totalJobs,omitempty"`
	}
	// traceHead is a trace without its spans and services.
	traceHead struct {
		TraceID           string `json:"traceID"`
		RootServiceName   string `json:"rootServiceName,omitempty"`
		RootTraceName     string `json:"rootTraceName,omitempty"`
		StartTimeUnixNano string `json:"startTimeUnixNano,omitempty"`
		DurationMs        uint32 `json:"durationMs,omitempty"`
	}
	serviceStats struct {
		SpanCount  uint32 `json:"spanCount,omitempty"`
		ErrorCount uint32 `json:"errorCount,omitempty"`
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

// json appends a message of a limited size. It sends nothing: call step between messages.
func (o *out) json(v any) error {
	if o.encoder == nil {
		o.encoder = json.NewEncoder(appender{o})
		o.encoder.SetEscapeHTML(false)
	}
	if err := o.encoder.Encode(v); err != nil {
		return err
	}
	o.b = o.b[:len(o.b)-1] // the encoder appends a newline
	return nil
}

// appender appends to an answer.
type appender struct{ o *out }

func (a appender) Write(p []byte) (int, error) {
	a.o.b = append(a.o.b, p...)
	return len(p), nil
}

// searchJSON writes the answer to a search span by span, because a trace may have very many.
func (o *out) searchJSON(r *query.Result) error {
	o.b = append(o.b, `{"traces":[`...)
	for i := range r.Traces {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		if err := o.traceJSON(&r.Traces[i]); err != nil {
			return err
		}
	}
	o.b = append(o.b, `],"metrics":`...)
	err := o.json(searchMetrics{InspectedTraces: uint32(r.InspectedTraces), CompletedJobs: 1, TotalJobs: 1})
	o.b = append(o.b, '}')
	return err
}

func (o *out) traceJSON(t *query.Trace) error {
	head := traceHead{
		TraceID:           t.ID.Short(),
		RootServiceName:   rootService(t),
		RootTraceName:     t.RootName,
		StartTimeUnixNano: decimal(t.Start),
		DurationMs:        uint32(min(t.Duration.Milliseconds(), math.MaxUint32)),
	}
	if err := o.openJSON(head); err != nil {
		return err
	}
	for i := range t.SpanSets {
		if i == 0 {
			o.b = append(o.b, `,"spanSet":`...)
			if err := o.spanSetJSON(&t.SpanSets[i]); err != nil {
				return err
			}
			o.b = append(o.b, `,"spanSets":[`...)
		} else {
			o.b = append(o.b, ',')
		}
		if err := o.spanSetJSON(&t.SpanSets[i]); err != nil {
			return err
		}
	}
	if len(t.SpanSets) > 0 {
		o.b = append(o.b, ']')
	}
	return o.servicesJSON(t.Services)
}

// servicesJSON writes the sorted services of a trace, and closes the trace. No service occurs twice.
func (o *out) servicesJSON(services []query.ServiceStats) error {
	for i, s := range services {
		if i == 0 {
			o.b = append(o.b, `,"serviceStats":{`...)
		} else {
			o.b = append(o.b, ',')
		}
		if err := o.json(s.Service); err != nil {
			return err
		}
		o.b = append(o.b, ':')
		if err := o.json(serviceStats{uint32(s.Spans), uint32(s.Errors)}); err != nil {
			return err
		}
	}
	if len(services) > 0 {
		o.b = append(o.b, '}')
	}
	o.b = append(o.b, '}')
	return o.step()
}

// openJSON writes a message without its closing bracket.
func (o *out) openJSON(v any) error {
	err := o.json(v)
	o.b = o.b[:len(o.b)-1]
	return err
}

func (o *out) spanSetJSON(s *query.SpanSet) error {
	o.b = append(o.b, '{')
	for i := range s.Spans {
		if i == 0 {
			o.b = append(o.b, `"spans":[`...)
		} else {
			o.b = append(o.b, ',')
		}
		sp := &s.Spans[i]
		err := o.json(span{
			SpanID:            sp.ID.String(),
			Name:              sp.Name,
			StartTimeUnixNano: decimal(sp.Start),
			DurationNanos:     decimal(sp.Duration),
			Attributes:        keyValues(sp.Attrs),
		})
		if err == nil {
			err = o.step()
		}
		if err != nil {
			return err
		}
	}
	comma := ""
	if len(s.Spans) > 0 {
		o.b = append(o.b, ']')
		comma = ","
	}
	if s.Matched != 0 {
		o.b = strconv.AppendUint(append(o.b, comma+`"matched":`...), uint64(uint32(s.Matched)), 10)
		comma = ","
	}
	if len(s.Attrs) > 0 {
		o.b = append(o.b, comma+`"attributes":`...)
		if err := o.json(keyValues(s.Attrs)); err != nil {
			return err
		}
	}
	o.b = append(o.b, '}')
	return nil
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
	default: // enumerations, durations and nil are sent as text
		s := v.Text()
		out.StringValue = &s
	}
	return out
}

// jsonFloat returns a number, or text for values that JSON has no number for.
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

// decimal formats a 64-bit integer; "" for 0, which is left out.
func decimal(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
