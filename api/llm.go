package api

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"etude/otlp"
	"etude/query"
)

// A language model reads neither base64 nor {"key":..,"value":{"stringValue":..}}
// well. For the media type below Tempo answers in a plainer form; what has none
// is answered in JSON.
const typeLLM = "application/vnd.grafana.llm"

// wantsLLM decides by the Accept header; protobuf and JSON come first.
func wantsLLM(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, typeLLM) && !strings.Contains(accept, typeProtobuf) && !strings.Contains(accept, typeJSON)
}

type (
	llmTrace struct {
		Trace *llmBody `json:"trace,omitempty"`
	}
	llmBody struct {
		TraceID  string       `json:"traceId"`
		Services []llmService `json:"services"`
	}
	llmService struct {
		ServiceName string         `json:"serviceName"`
		Resource    map[string]any `json:"resource"`
		Scopes      []llmScope     `json:"scopes"`
	}
	llmScope struct {
		Name    string    `json:"name"`
		Version string    `json:"version"`
		Spans   []llmSpan `json:"spans"`
	}
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

// jsonTrace is what the form is made of: a trace in OTLP/JSON.
type jsonTrace struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []jsonAttr }
		ScopeSpans []struct {
			Scope struct{ Name, Version string }
			Spans []jsonSpan
		}
	}
}

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

// traceLLM rewrites an encoded TracesData.
func traceLLM(traces []byte) (answer, error) {
	text := otlp.ToJSON(nil, traces, otlp.Dialect{HexIDs: true, EnumNames: true})
	var in jsonTrace
	if err := json.Unmarshal(text, &in); err != nil {
		return answer{}, fmt.Errorf("read trace: %w", err)
	}
	var out llmTrace
	for _, rs := range in.ResourceSpans {
		service := llmService{Resource: nativeAttrs(rs.Resource.Attributes)}
		service.ServiceName, _ = service.Resource["service.name"].(string)
		delete(service.Resource, "service.name")
		for _, ss := range rs.ScopeSpans {
			scope := llmScope{Name: ss.Scope.Name, Version: ss.Scope.Version}
			for _, s := range ss.Spans {
				if out.Trace == nil {
					out.Trace = &llmBody{TraceID: s.TraceID}
				}
				scope.Spans = append(scope.Spans, spanLLM(&s))
			}
			service.Scopes = append(service.Scopes, scope)
		}
		if out.Trace != nil {
			out.Trace.Services = append(out.Trace.Services, service)
		}
	}
	a, err := jsonAnswer(out)
	a.contentType = typeLLM + "+json"
	return a, err
}

func spanLLM(s *jsonSpan) llmSpan {
	start, _ := strconv.ParseUint(s.StartTimeUnixNano, 10, 64) // written by us
	end, _ := strconv.ParseUint(s.EndTimeUnixNano, 10, 64)
	out := llmSpan{
		SpanID: s.SpanID, ParentSpanID: s.ParentSpanID, Name: s.Name, Kind: s.Kind,
		StartTimeUnixNano: s.StartTimeUnixNano, EndTimeUnixNano: s.EndTimeUnixNano,
		DurationMs: math.Max(0, float64(int64(end-start))/1e6), Attributes: nativeAttrs(s.Attributes), Status: s.Status,
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

// jsonValue is an AnyValue, read whole at once: read again at each level, values in
// each other would cost the square of their depth.
type jsonValue map[string]any

func (v *jsonValue) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // numbers stay as they were written
	return d.Decode((*map[string]any)(v))
}

// native turns an AnyValue in JSON into the value itself; bytes into hex.
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

// values are the members of an ArrayValue or KeyValueList.
func values(list any) []any {
	message, _ := list.(map[string]any)
	members, _ := message["values"].([]any)
	return members
}

// valuesLLM groups values by type.
func valuesLLM(values []query.TagValue) (answer, error) {
	groups := map[string][]string{}
	for _, v := range values {
		groups[v.Type] = append(groups[v.Type], v.Value)
	}
	a, err := jsonAnswer(map[string]any{"tagValues": groups, "metrics": struct{}{}})
	a.contentType = typeLLM + "+json"
	return a, err
}
