package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
	"etude/otlp"
	"etude/query"
	"etude/trace"
)

// errTraceSize is the error of a trace that is too large for an answer, in version 1 of the API, which cannot
// mark an answer as partial.
var errTraceSize = errors.New("trace exceeds max size")

// traceV1 answers /api/traces/{id}: OTLP TracesData. In JSON the top list is named batches. An unknown trace is
// a 404.
func (s *server) traceV1(r *http.Request, o *out) error {
	t, err := s.wholeTrace(r, o)
	if err != nil {
		return err
	}
	switch {
	case len(t.Spans) == 0:
		o.status = http.StatusNotFound
		return nil
	case t.Partial():
		return fmt.Errorf("%w (max spans: %d, %s); request /api/v2/traces to get some of its %d spans", errTraceSize, t.Most, spanLimit(t), t.Total)
	case wantsProtobuf(r):
		o.contentType = typeProtobuf
		return o.protoTrace(t, func([]byte, int) []byte { return nil })
	}
	o.contentType = typeJSON
	return o.jsonTrace(t, otlp.TempoBatches)
}

// traceV2 answers /api/v2/traces/{id}: the same trace in a message with metrics. For an unknown trace the
// message is empty. For a trace that is too large, the answer has some of the spans, and says so.
func (s *server) traceV2(r *http.Request, o *out) error {
	t, err := s.wholeTrace(r, o)
	if err != nil {
		return err
	}
	switch {
	case wantsProtobuf(r):
		o.contentType = typeProtobuf
		return o.protoTraceByID(t)
	case wantsLLM(r):
		o.contentType = typeLLM + "+json"
		return o.traceLLM(t)
	}
	o.contentType = typeJSON
	o.b = append(o.b, `{"trace":`...)
	if err := o.jsonTrace(t, otlp.TempoJSON); err != nil {
		return err
	}
	o.b = append(o.b, `,"metrics":{}`...)
	if t.Partial() {
		o.b = append(o.b, `,"status":"PARTIAL","message":"`+partialTrace(t)+`"`...)
	}
	o.b = append(o.b, '}')
	return nil
}

// partialTrace describes the missing spans; the text needs no escaping in JSON.
func partialTrace(t *query.WholeTrace) string {
	return fmt.Sprintf("Trace exceeds maximum size of %d spans (%s), a partial trace is returned: the %d of its %d spans that start first", t.Most, spanLimit(t), len(t.Spans), t.Total)
}

// spanLimit names the setting that limits the spans: the backend's flag or the request's parameter.
func spanLimit(t *query.WholeTrace) string {
	if t.Asked {
		return "maxSpans"
	}
	return "--max-trace-spans"
}

// stream returns the writer of the trace to o. It gives spans that share an id unique ones.
func (o *out) stream(t *query.WholeTrace) otlp.Stream {
	fresh := freshIDs(t.Spans)
	s := otlp.Stream{Step: func(b []byte) ([]byte, error) {
		if b == nil { // b is nil when the stream only measures
			return nil, o.job.Err()
		}
		o.b = b
		err := o.step()
		return o.b, err
	}}
	if len(fresh) > 0 {
		s.Edit = func(span []byte) []byte { return rewriteSpan(span, fresh) }
	}
	return s
}

func (o *out) jsonTrace(t *query.WholeTrace, d otlp.Dialect) (err error) {
	o.b, err = o.stream(t).JSON(o.b, t.Spans, d)
	return err
}

// protoTraceByID writes tempopb.TraceByIDResponse. Grafana requires both messages, even when empty.
func (o *out) protoTraceByID(t *query.WholeTrace) error {
	err := o.protoTrace(t, func(dst []byte, size int) []byte {
		return protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.BytesType), uint64(size))
	})
	if err != nil {
		return err
	}
	w := writer{wire.Builder{B: o.b}}
	w.message(2, func(*writer) {})
	if t.Partial() {
		w.Varint(3, 1)
		w.Raw(4, partialTrace(t))
	}
	o.b = w.B
	return nil
}

// smallTrace is the maximum encoded size of a trace that is written in one piece.
const smallTrace = 256 << 10

// protoTrace writes a trace. Before it, it writes the bytes that front appends for the trace's size.
func (o *out) protoTrace(t *query.WholeTrace, front func(dst []byte, size int) []byte) error {
	stream := o.stream(t)
	// Fast path: nearly every trace is small. Its length is known after encoding.
	if len(t.Spans) <= smallTrace/64 {
		small, err := stream.Small(t.Spans, smallTrace)
		if err != nil {
			return err
		}
		if small != nil {
			o.b = append(front(o.b, len(small)), small...)
			return o.step()
		}
	}
	arranged, err := stream.Arrange(t.Spans)
	if err != nil {
		return err
	}
	o.b, err = arranged.Proto(front(o.b, arranged.Size))
	return err
}

// wholeTrace finds the trace that a request names. maxSpans is etude's own parameter, for callers that need
// only some of the spans.
func (s *server) wholeTrace(r *http.Request, o *out) (*query.WholeTrace, error) {
	id, err := trace.ParseTraceID(r.PathValue("id"))
	if err != nil {
		return nil, badRequest("%w", err)
	}
	v := r.URL.Query()
	if err := checkTraceParams(v); err != nil {
		return nil, err
	}
	most, err := uintParam(v, "maxSpans")
	if err != nil {
		return nil, err
	}
	ctx, err := o.begin(r.Context())
	if err != nil {
		return nil, err
	}
	return s.Engine.Trace(ctx, id, int(most))
}

// checkTraceParams refuses parameters that Tempo refuses. In Tempo they select the storage to read; they do not
// change etude's answer.
func checkTraceParams(v url.Values) error {
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
