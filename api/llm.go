package api

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"etude/otlp"
	"etude/query"
	"etude/trace"
)

// A language model reads base64 and {"key":..,"value":{"stringValue":..}} badly. For the media type below,
// Tempo answers in a simpler format. Routes without that format answer in JSON.
const typeLLM = "application/vnd.grafana.llm"

// wantsLLM decides by the Accept header; protobuf and JSON take precedence.
func wantsLLM(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, typeLLM) && !strings.Contains(accept, typeProtobuf) && !strings.Contains(accept, typeJSON)
}

type (
	llmSpan struct {
		SpanID            string         `json:"spanId"`
		ParentSpanID      string         `json:"parentSpanId,omitempty"`
		Name              string         `json:"name"`
		Kind              string         `json:"kind"`
		StartTimeUnixNano string         `json:"startTimeUnixNano"`
		EndTimeUnixNano   string         `json:"endTimeUnixNano"`
		DurationMs        float64        `json:"durationMs"`
		Attributes        map[string]any `json:"attributes"`
		Events            []llmEvent     `json:"events,omitempty"`
		Status            llmStatus      `json:"status"`
	}
	llmEvent struct {
		Name         string         `json:"name"`
		TimeUnixNano string         `json:"timeUnixNano"`
		Attributes   map[string]any `json:"attributes"`
	}
	llmStatus struct {
		Code    string `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
)

// jsonResource, jsonScope and jsonSpan decode OTLP/JSON messages, from which the simpler format is made.
type (
	jsonResource struct{ Attributes []jsonAttr }
	jsonScope    struct{ Name, Version string }
)

type jsonSpan struct {
	TraceID, SpanID, ParentSpanID, Name, Kind string
	StartTimeUnixNano, EndTimeUnixNano        string
	Attributes                                []jsonAttr
	Events                                    []struct {
		Name, TimeUnixNano string
		Attributes         []jsonAttr
	}
	Status llmStatus
}

type jsonAttr struct {
	Key   string
	Value jsonValue
}

var llmDialect = otlp.Dialect{HexIDs: true, EnumNames: true}

// traceLLM writes a trace span by span:
// {"trace":{"traceId":..,"services":[{"serviceName":..,"resource":{..},"scopes":[{"name":..,"version":..,"spans":[..]}]}]}}.
func (o *out) traceLLM(t *query.WholeTrace) error {
	if len(t.Spans) == 0 {
		o.b = append(o.b, '{', '}')
		return nil
	}
	w := llmWriter{out: o}
	o.b = append(o.b, `{"trace":{"traceId":"`...)
	o.b = append(o.b, t.Spans[0].View.TraceIDs[t.Spans[0].View.Trace[t.Spans[0].Row]].String()...)
	o.b = append(o.b, `","services":[`...)
	if err := o.stream(t).Groups(t.Spans, w.group); err != nil {
		return err
	}
	o.b = append(o.b, `]}]}`...)
	if t.Partial() {
		o.b = append(o.b, `,"status":"PARTIAL","message":"`+partialTrace(t)+`"`...)
	}
	o.b = append(o.b, '}')
	return nil
}

type llmWriter struct {
	*out
	services int
	scratch  []byte
}

// group writes the spans of one resource and scope. It closes the previous service when the resource changes.
func (w *llmWriter) group(resource, scope []byte, spans iter.Seq[[]byte]) (err error) {
	if resource == nil {
		w.b = append(w.b, ',')
	} else if err := w.service(resource); err != nil {
		return err
	}
	var of jsonScope
	if err := w.read(otlp.ScopeToJSON, scope, &of); err != nil {
		return err
	}
	w.b = append(w.b, `{"name":`...)
	w.json(of.Name)
	w.b = append(w.b, `,"version":`...)
	w.json(of.Version)
	w.b = append(w.b, `,"spans":[`...)
	first := true
	for encoded := range spans {
		var in jsonSpan
		if err = w.read(otlp.SpanToJSON, encoded, &in); err != nil {
			return err
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.json(spanLLM(&in))
		if err = w.step(); err != nil {
			return err
		}
	}
	w.b = append(w.b, ']', '}')
	return nil
}

func (w *llmWriter) service(resource []byte) error {
	var of jsonResource
	if err := w.read(otlp.ResourceToJSON, resource, &of); err != nil {
		return err
	}
	attrs := nativeAttrs(of.Attributes)
	name, _ := attrs["service.name"].(string)
	delete(attrs, "service.name")
	if w.services++; w.services > 1 {
		w.b = append(w.b, `]},`...)
	}
	w.b = append(w.b, `{"serviceName":`...)
	w.json(name)
	w.b = append(w.b, `,"resource":`...)
	w.json(attrs)
	w.b = append(w.b, `,"scopes":[`...)
	return nil
}

// read decodes a protobuf message through its JSON form.
func (w *llmWriter) read(toJSON func(dst, b []byte, d otlp.Dialect) []byte, message []byte, into any) error {
	w.scratch = toJSON(w.scratch[:0], message, llmDialect)
	if err := json.Unmarshal(w.scratch, into); err != nil {
		return fmt.Errorf("read trace: %w", err)
	}
	return nil
}

func spanLLM(s *jsonSpan) llmSpan {
	start, _ := strconv.ParseUint(s.StartTimeUnixNano, 10, 64) // etude wrote this number itself; 0 is left out
	end, _ := strconv.ParseUint(s.EndTimeUnixNano, 10, 64)
	out := llmSpan{
		SpanID: s.SpanID, ParentSpanID: s.ParentSpanID, Name: s.Name, Kind: s.Kind,
		StartTimeUnixNano: s.StartTimeUnixNano, EndTimeUnixNano: s.EndTimeUnixNano,
		DurationMs: float64(trace.Took(start, end)) / 1e6, Attributes: nativeAttrs(s.Attributes), Status: s.Status,
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, llmEvent{e.Name, e.TimeUnixNano, nativeAttrs(e.Attributes)})
	}
	return out
}

func nativeAttrs(attrs []jsonAttr) map[string]any {
	out := make(map[string]any, len(attrs))
	for _, a := range attrs {
		out[a.Key] = native(a.Value)
	}
	return out
}

// jsonValue is an AnyValue, decoded as a whole. Decoding each level separately would take time quadratic in the
// depth of nested values.
type jsonValue map[string]any

func (v *jsonValue) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // numbers keep their text
	return d.Decode((*map[string]any)(v))
}

// native converts an AnyValue in JSON to the value itself, and bytes to hex.
func native(v map[string]any) any {
	for kind, content := range v {
		switch kind {
		case "intValue":
			text, _ := content.(string)
			return json.Number(text)
		case "bytesValue":
			text, _ := content.(string)
			bytes, _ := base64.StdEncoding.DecodeString(text)
			return hex.EncodeToString(bytes)
		case "arrayValue":
			elements := values(content)
			out := make([]any, len(elements))
			for i, e := range elements {
				element, _ := e.(map[string]any)
				out[i] = native(element)
			}
			return out
		case "kvlistValue":
			out := map[string]any{}
			for _, e := range values(content) {
				entry, _ := e.(map[string]any)
				key, _ := entry["key"].(string)
				value, _ := entry["value"].(map[string]any)
				out[key] = native(value)
			}
			return out
		}
		return content
	}
	return nil
}

// values returns the members of an ArrayValue or KeyValueList.
func values(list any) []any {
	message, _ := list.(map[string]any)
	members, _ := message["values"].([]any)
	return members
}

// valuesLLM groups values by type.
func (o *out) valuesLLM(values []query.TagValue) error {
	groups := map[string][]string{}
	for _, v := range values {
		groups[v.Type] = append(groups[v.Type], v.Value)
	}
	o.contentType = typeLLM + "+json"
	return o.json(map[string]any{"tagValues": groups, "metrics": struct{}{}})
}
