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

// errTraceSize is the error of a trace that is larger than an answer may be, in
// the first form of the API, which cannot say that it is partial.
var errTraceSize = errors.New("trace exceeds max size")

// traceV1 answers /api/traces/{id}: OTLP TracesData, in JSON with the top list
// named batches. An unknown trace is a 404.
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
		return fmt.Errorf("%w (max spans: %d, %s); ask for /api/v2/traces for a part of its %d spans", errTraceSize, t.Most, spanLimit(t), t.Total)
	case wantsProtobuf(r):
		o.contentType = typeProtobuf
		return o.protoTrace(t, func([]byte, int) []byte { return nil })
	}
	o.contentType = typeJSON
	return o.jsonTrace(t, otlp.TempoBatches)
}

// traceV2 answers /api/v2/traces/{id}: the same inside a message with metrics.
// An unknown trace is an empty one. Of a trace that is too large the answer holds
// a part, and says so.
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

// partialTrace describes the missing spans; it needs no escaping in JSON.
func partialTrace(t *query.WholeTrace) string {
	return fmt.Sprintf("Trace exceeds maximum size of %d spans (%s), a partial trace is returned: the %d of its %d spans that start first", t.Most, spanLimit(t), len(t.Spans), t.Total)
}

// spanLimit names the limit on spans: the backend's flag or the request's
// parameter.
func spanLimit(t *query.WholeTrace) string {
	if t.Asked {
		return "maxSpans"
	}
	return "--max-trace-spans"
}

// stream returns how the trace is written: to o, with ids of its own for spans
// that share one.
func (o *out) stream(t *query.WholeTrace) otlp.Stream {
	fresh := freshIDs(t.Spans)
	s := otlp.Stream{Step: func(b []byte) ([]byte, error) {
		if b == nil { // only measured
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

// protoTraceByID writes tempopb.TraceByIDResponse. Grafana needs both messages
// present, empty or not.
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

// smallTrace is the size of an encoded trace up to which it is written in one
// piece.
const smallTrace = 256 << 10

// protoTrace writes a trace and, in front of it, what front appends for its size.
func (o *out) protoTrace(t *query.WholeTrace, front func(dst []byte, size int) []byte) error {
	stream := o.stream(t)
	// Fast path: nearly every trace is small, and its length is known once it has
	// been encoded.
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

// wholeTrace finds the trace that a request names. MaxSpans is etude's own
// parameter: a caller that has no use for more asks for less.
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

// checkTraceParams refuses parameters that Tempo refuses. They choose which of
// its storage to read and have no meaning for the answer here.
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
