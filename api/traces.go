package api

import (
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/otlp"
	"etude/trace"
)

// traceV1 answers /api/traces/{id}: OTLP TracesData, in JSON with the top list
// named batches. An unknown trace is a 404.
func (s *server) traceV1(r *http.Request) (answer, error) {
	spans, err := s.traceSpans(r)
	if err != nil {
		return answer{}, err
	}
	if len(spans) == 0 {
		return notFound, nil
	}
	body := encodeTrace(spans)
	if wantsProtobuf(r) {
		return answer{contentType: typeProtobuf, body: body}, nil
	}
	return answer{contentType: typeJSON, body: otlp.ToJSON(nil, body, otlp.TempoBatches)}, nil
}

// traceV2 answers /api/v2/traces/{id}: the same inside a message with metrics.
// An unknown trace is an empty one.
func (s *server) traceV2(r *http.Request) (answer, error) {
	spans, err := s.traceSpans(r)
	if err != nil {
		return answer{}, err
	}
	traces := encodeTrace(spans)
	if wantsProtobuf(r) {
		// Grafana needs both messages present, empty or not.
		body := protowire.AppendTag(nil, 1, protowire.BytesType)
		body = protowire.AppendBytes(body, traces)
		body = protowire.AppendTag(body, 2, protowire.BytesType)
		return answer{contentType: typeProtobuf, body: protowire.AppendBytes(body, nil)}, nil
	}
	if wantsLLM(r) {
		return traceLLM(traces)
	}
	body := otlp.ToJSON([]byte(`{"trace":`), traces, otlp.TempoJSON)
	return answer{contentType: typeJSON, body: append(body, `,"metrics":{}}`...)}, nil
}

func encodeTrace(spans []otlp.Ref) []byte {
	return withFreshIDs(otlp.AppendTraces(nil, spans), freshIDs(spans))
}

func (s *server) traceSpans(r *http.Request) ([]otlp.Ref, error) {
	id, err := trace.ParseTraceID(r.PathValue("id"))
	if err != nil {
		return nil, badRequest("%w", err)
	}
	if err := checkTraceParams(r); err != nil {
		return nil, err
	}
	return s.Engine.Trace(r.Context(), id)
}

// checkTraceParams refuses parameters that Tempo refuses. They choose which of
// its storage to read and have no meaning for the answer here.
func checkTraceParams(r *http.Request) error {
	v := r.URL.Query()
	var times [2]int64
	for i, name := range []string{"start", "end"} {
		if s := v.Get(name); s != "" {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return badRequest("invalid %s: %q is not unix time in seconds", name, s)
			}
			times[i] = n
		}
	}
	if times[0] != 0 && times[1] != 0 && times[0] >= times[1] {
		return badRequest("http parameter start must be before end. received start=%d end=%d", times[0], times[1])
	}
	if mode := v.Get("mode"); !slices.Contains([]string{"", "all", "ingesters", "blocks", "external"}, mode) {
		return badRequest("invalid value for mode %s", mode)
	}
	return nil
}
