package bench

import (
	"fmt"
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of opentelemetry-proto, trace/v1, resource/v1 and common/v1.
const (
	requestResourceSpans = 1
	resourceSpansRes     = 1
	resourceSpansScopes  = 2
	resourceSpansSchema  = 3
	resourceAttrs        = 1
	scopeSpansScope      = 1
	scopeSpansSpans      = 2
	scopeName            = 1
	scopeVersion         = 2
	spanTraceID          = 1
	spanSpanID           = 2
	spanParentID         = 4
	spanName             = 5
	spanKind             = 6
	spanStart            = 7
	spanEnd              = 8
	spanAttrs            = 9
	spanEvents           = 11
	spanStatus           = 15
	spanFlags            = 16
	eventTime            = 1
	eventName            = 2
	eventAttrs           = 3
	statusMessage        = 2
	statusCode           = 3
	keyValueKey          = 1
	keyValueValue        = 2
	anyString            = 1
	anyInt               = 3
)

// encodedSpan is a span message and its slot, with offsets into the message.
type encodedSpan struct {
	bytes []byte
	slot  slot
}

// buildTemplate encodes a batch of whole traces. The last one may be incomplete; it has parents before
// children. Spans are grouped by service, as a collector groups them.
func buildTemplate(rng *rand.Rand, batch, services, firstTriple int) *template {
	t := &template{traces: (batch + spansPerTrace - 1) / spansPerTrace}
	triples := triplesIn(batch)
	byService := map[int][]encodedSpan{}
	var order []int
	for n := range batch {
		if n%spansPerTrace != 0 {
			continue
		}
		d := drawTrace(rng, firstTriple+n/spansPerTrace%triples, services)
		for i := range min(spansPerTrace, batch-n) {
			service := d.services[traceShape[i].service]
			if byService[service] == nil {
				order = append(order, service)
			}
			byService[service] = append(byService[service], encodeSpan(&d, n, i))
		}
	}
	for _, service := range order {
		t.appendResource(service, byService[service])
	}
	return t
}

// triplesIn is the number of service triples in a batch. Small batches come from few services; otherwise
// resources would be larger than the spans.
func triplesIn(batch int) int { return max(1, batch/20) }

// appendResource appends one ResourceSpans and computes the final offsets.
func (t *template) appendResource(service int, spans []encodedSpan) {
	resource := resourceBytes(service)
	scope := scopeBytes()
	inScope := sizeOf(scopeSpansScope, len(scope))
	for _, s := range spans {
		inScope += sizeOf(scopeSpansSpans, len(s.bytes))
	}
	const schema = "https://opentelemetry.io/schemas/1.37.0"
	b := appendTag(t.bytes, requestResourceSpans, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizeOf(resourceSpansRes, len(resource))+sizeOf(resourceSpansScopes, inScope)+sizeOf(resourceSpansSchema, len(schema))))
	b = appendBytes(b, resourceSpansRes, resource)
	b = appendTag(b, resourceSpansScopes, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inScope))
	b = appendBytes(b, scopeSpansScope, scope)
	for _, s := range spans {
		b = appendBytes(b, scopeSpansSpans, s.bytes)
		t.slots = append(t.slots, s.slot.moved(uint32(len(b)-len(s.bytes))))
	}
	t.bytes = appendText(b, resourceSpansSchema, schema)
}

// moved returns the slot of a span that begins at an offset.
func (s slot) moved(by uint32) slot {
	for _, at := range []*uint32{&s.traceID, &s.spanID, &s.parentID, &s.value, &s.startAt, &s.endAt, &s.eventAt} {
		if *at != 0 {
			*at += by
		}
	}
	return s
}

func resourceBytes(service int) []byte {
	name := serviceName(service)
	var b []byte
	for _, a := range []attr{{"service.name", name}, {"service.version", "1.8.2"}, {"service.namespace", "shop"}, {"service.instance.id", fmt.Sprintf("%s-7d9f8b6c5-%05x", name, service)},
		{"telemetry.sdk.name", "opentelemetry"}, {"telemetry.sdk.language", "go"}, {"telemetry.sdk.version", "1.47.0"}, {"host.name", fmt.Sprintf("node-%d", service%8)},
		{"k8s.namespace.name", "shop"}, {"deployment.environment.name", "production"}} {
		b = appendBytes(b, resourceAttrs, keyValue(a.key, a.value))
	}
	return b
}

func scopeBytes() []byte {
	return appendText(appendText(nil, scopeName, "shop/instrumentation"), scopeVersion, "0.72.0")
}

// encodeSpan encodes span i of a trace whose first span is number first.
func encodeSpan(d *traceDraw, first, i int) encodedSpan {
	shape := &traceShape[i]
	s := slot{span: uint32(first + i), trace: uint32(first / spansPerTrace), before: uint64(d.length),
		begin: uint64(shape.begin * d.length), end: uint64(shape.end * d.length)}
	b, at := appendRoom(nil, spanTraceID, 16)
	s.traceID = at
	b, s.spanID = appendRoom(b, spanSpanID, 8)
	if shape.parent >= 0 {
		s.parent = uint32(first + shape.parent)
		b, s.parentID = appendRoom(b, spanParentID, 8)
	}
	b = appendText(b, spanName, d.text(shape, shape.name))
	b = appendVarint(b, spanKind, shape.kind)
	b, s.startAt = appendFixed64(b, spanStart)
	b, s.endAt = appendFixed64(b, spanEnd)
	for _, a := range shape.attrs {
		b = appendBytes(b, spanAttrs, keyValue(d.text(shape, a.key), d.value(shape, a, failing[i])))
	}
	b = appendBytes(b, spanAttrs, keyValue(valueKey, fmt.Sprintf("%s%0*d", valuePrefix, valueDigits, 0)))
	s.value = uint32(len(b) - valueDigits)
	if d.failed && failing[i] {
		b = s.appendFailure(b, i == spansPerTrace-1)
	}
	b = appendTag(b, spanFlags, protowire.Fixed32Type)
	return encodedSpan{protowire.AppendFixed32(b, 0x101), s} // sampled; the flags say whether the parent is remote
}

// value returns the attribute's value in this trace.
func (d *traceDraw) value(shape *spanShape, a attr, fails bool) any {
	if text, ok := a.value.(string); ok {
		return d.text(shape, text)
	}
	if d.failed && fails && a.key == "http.response.status_code" {
		return int64(500)
	}
	return a.value
}

// appendFailure appends an error status, and an exception event to the span that caused it.
func (s *slot) appendFailure(b []byte, cause bool) []byte {
	if cause {
		event, at := appendFixed64(nil, eventTime)
		event = appendText(event, eventName, "exception")
		event = appendBytes(event, eventAttrs, keyValue("exception.type", "*pq.Error"))
		event = appendBytes(event, eventAttrs, keyValue("exception.message", "canceling statement due to statement timeout"))
		b = appendBytes(b, spanEvents, event)
		s.eventAt = uint32(len(b)-len(event)) + at
	}
	status := appendText(nil, statusMessage, "statement timeout")
	return appendBytes(b, spanStatus, appendVarint(status, statusCode, 2))
}

func keyValue(key string, value any) []byte {
	var content []byte
	switch v := value.(type) {
	case string:
		content = appendText(nil, anyString, v)
	case int64:
		content = appendVarint(nil, anyInt, uint64(v))
	}
	return appendBytes(appendText(nil, keyValueKey, key), keyValueValue, content)
}

func sizeOf(field protowire.Number, n int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(n)
}

func appendTag(b []byte, field protowire.Number, t protowire.Type) []byte {
	return protowire.AppendTag(b, field, t)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(appendTag(b, field, protowire.BytesType), v)
}

func appendText(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(appendTag(b, field, protowire.BytesType), v)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(appendTag(b, field, protowire.VarintType), v)
}

// appendRoom appends a field of n zero bytes and returns the offset of its content.
func appendRoom(b []byte, field protowire.Number, n int) ([]byte, uint32) {
	b = appendBytes(b, field, make([]byte, n))
	return b, uint32(len(b) - n)
}

func appendFixed64(b []byte, field protowire.Number) ([]byte, uint32) {
	b = protowire.AppendFixed64(appendTag(b, field, protowire.Fixed64Type), 0)
	return b, uint32(len(b) - 8)
}
