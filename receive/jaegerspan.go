package receive

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"google.golang.org/protobuf/encoding/protowire"
)

// From Jaeger thrift to OTLP. The rules follow OpenTelemetry's "OpenTelemetry
// to Jaeger" mapping read backwards; testdata/jaeger.txt shows each.

// jaegerBatch appends a TracesData with the whole batch.
func (p *protoBuilder) jaegerBatch(batch *jaeger.Batch) {
	rs := p.open(fieldResourceSpans)
	if batch.Process != nil {
		p.jaegerProcess(batch.Process)
	}
	ss := p.open(fieldScopeSpans)
	for _, s := range batch.Spans {
		p.jaegerSpan(s)
	}
	p.close(ss)
	p.close(rs)
}

func (p *protoBuilder) jaegerProcess(process *jaeger.Process) {
	res := p.open(fieldResource)
	if process.ServiceName != "" {
		p.attrString(fieldResourceAttributes, "service.name", process.ServiceName)
	}
	tags := uniqueTags(process.Tags)
	hasHost := findTag(tags, "host.name") != nil
	for _, t := range tags {
		switch {
		case t.Key == "service.name" && process.ServiceName != "":
			// The field has said it; a key stands once.
		case t.Key == "hostname" && !hasHost:
			p.jaegerTag(fieldResourceAttributes, "host.name", t)
		case t.Key == "jaeger.version":
			p.attrString(fieldResourceAttributes, "opencensus.exporterversion", "Jaeger-"+tagText(t))
		default:
			p.jaegerTag(fieldResourceAttributes, t.Key, t)
		}
	}
	p.close(res)
}

func (p *protoBuilder) jaegerSpan(s *jaeger.Span) {
	tags := uniqueTags(s.Tags)
	kind := jaegerKind(tags)
	st := jaegerStatusOf(tags, kind)
	parent := jaegerParent(s)

	span := p.open(fieldSpans)
	p.traceID(spanTraceID, s.TraceIdHigh, s.TraceIdLow)
	p.spanID(spanSpanID, s.SpanId)
	if parent != 0 {
		p.spanID(spanParentID, parent)
	}
	p.string(spanName, s.OperationName)
	p.varint(spanKind, kind)
	p.fixed64(spanStart, nanos(s.StartTime))
	p.fixed64(spanEnd, nanos(endMicros(s.StartTime, s.Duration)))
	for _, t := range tags {
		if t.Key != "span.kind" && !st.consumes(t) {
			p.jaegerTag(spanAttributes, t.Key, t)
		}
	}
	for _, l := range s.Logs {
		p.jaegerLog(l)
	}
	for _, ref := range s.References {
		if !isParentRef(s, ref, parent) {
			p.jaegerLink(ref)
		}
	}
	p.status(st.code, st.message)
	p.close(span)
}

// traceID writes 128 bits, high ones first. Both zero is left out: then the id
// is missing, and the Sink says so.
func (p *protoBuilder) traceID(field protowire.Number, high, low int64) {
	if high == 0 && low == 0 {
		return
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(high))
	binary.BigEndian.PutUint64(id[8:], uint64(low))
	p.bytes(field, id[:])
}

func (p *protoBuilder) spanID(field protowire.Number, v int64) {
	if v == 0 {
		return
	}
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(v))
	p.bytes(field, id[:])
}

// jaegerParent is the parent field, else the first CHILD_OF, else the first
// FOLLOWS_FROM reference within the same trace.
func jaegerParent(s *jaeger.Span) int64 {
	if s.ParentSpanId != 0 {
		return s.ParentSpanId
	}
	for _, want := range []jaeger.SpanRefType{jaeger.SpanRefType_CHILD_OF, jaeger.SpanRefType_FOLLOWS_FROM} {
		for _, ref := range s.References {
			if ref.RefType == want && sameTrace(s, ref) {
				return ref.SpanId
			}
		}
	}
	return 0
}

func sameTrace(s *jaeger.Span, ref *jaeger.SpanRef) bool {
	return ref.TraceIdHigh == s.TraceIdHigh && ref.TraceIdLow == s.TraceIdLow
}

// isParentRef says that the reference repeats what parent_span_id tells.
func isParentRef(s *jaeger.Span, ref *jaeger.SpanRef, parent int64) bool {
	return ref.RefType == jaeger.SpanRefType_CHILD_OF && ref.SpanId == parent && sameTrace(s, ref)
}

func (p *protoBuilder) jaegerLink(ref *jaeger.SpanRef) {
	kind := "child_of"
	if ref.RefType == jaeger.SpanRefType_FOLLOWS_FROM {
		kind = "follows_from"
	}
	link := p.open(spanLinks)
	p.traceID(linkTraceID, ref.TraceIdHigh, ref.TraceIdLow)
	p.spanID(linkSpanID, ref.SpanId)
	p.attrString(linkAttributes, "opentracing.ref_type", kind)
	p.close(link)
}

// jaegerLog writes a log as an event. The field "event" is its name.
func (p *protoBuilder) jaegerLog(l *jaeger.Log) {
	fields := uniqueTags(l.Fields)
	ev := p.open(spanEvents)
	p.fixed64(eventTime, nanos(l.Timestamp))
	name := findTag(fields, "event")
	if name != nil && name.VType == jaeger.TagType_STRING {
		p.string(eventName, name.GetVStr())
	} else {
		name = nil
	}
	for _, t := range fields {
		if t != name {
			p.jaegerTag(eventAttributes, t.Key, t)
		}
	}
	p.close(ev)
}

func (p *protoBuilder) jaegerTag(field protowire.Number, key string, t *jaeger.Tag) {
	switch t.VType {
	case jaeger.TagType_STRING:
		p.attrString(field, key, t.GetVStr())
	case jaeger.TagType_DOUBLE:
		p.attrDouble(field, key, t.GetVDouble())
	case jaeger.TagType_BOOL:
		p.attrBool(field, key, t.GetVBool())
	case jaeger.TagType_LONG:
		p.attrInt(field, key, t.GetVLong())
	case jaeger.TagType_BINARY:
		p.attrBytes(field, key, t.GetVBinary())
	default:
		p.attrString(field, key, fmt.Sprintf("unknown Jaeger tag type %d", int64(t.VType)))
	}
}

func jaegerKind(tags []*jaeger.Tag) uint64 {
	t := findTag(tags, "span.kind")
	if t == nil {
		return 0
	}
	switch t.GetVStr() {
	case "internal":
		return kindInternal
	case "server":
		return kindServer
	case "client":
		return kindClient
	case "producer":
		return kindProducer
	case "consumer":
		return kindConsumer
	}
	return 0
}

// jaegerStatus is a status and the tags that went into it.
type jaegerStatus struct {
	code    uint64
	message string
	used    [3]*jaeger.Tag
}

func (s *jaegerStatus) consumes(t *jaeger.Tag) bool {
	return t == s.used[0] || t == s.used[1] || t == s.used[2]
}

// jaegerStatusOf asks, in this order: error=true, otel.status_code,
// http.status_code. The first that is there decides.
func jaegerStatusOf(tags []*jaeger.Tag, kind uint64) (s jaegerStatus) {
	failed := findTag(tags, "error")
	if failed != nil && (failed.VType != jaeger.TagType_BOOL || !failed.GetVBool()) {
		failed = nil // only the boolean true says that the span failed
	}
	code := findTag(tags, "otel.status_code")
	s.used[0], s.used[1] = failed, code
	switch {
	case failed != nil:
		s.code = statusError
		s.describe(tags)
		if s.used[2] == nil {
			s.message = textOf(tags, "http.status_message")
		}
	case code != nil:
		switch strings.ToUpper(code.GetVStr()) {
		case "OK":
			s.code = statusOK
		case "ERROR":
			s.code = statusError
		}
		s.describe(tags)
	default:
		if s.code = httpStatusOf(tags, kind); s.code != statusUnset {
			s.message = textOf(tags, "http.status_message")
		}
	}
	return s
}

func (s *jaegerStatus) describe(tags []*jaeger.Tag) {
	if t := findTag(tags, "otel.status_description"); t != nil {
		s.message, s.used[2] = tagText(t), t
	}
}

// httpStatusOf: an answer of 4xx is the client's failure, not the server's.
// 399 counts as a failure for Tempo, and so it does here.
func httpStatusOf(tags []*jaeger.Tag, kind uint64) uint64 {
	t := findTag(tags, "http.status_code")
	if t == nil {
		return statusUnset
	}
	code := t.GetVLong()
	if t.VType == jaeger.TagType_STRING {
		var err error
		if code, err = strconv.ParseInt(t.GetVStr(), 10, 64); err != nil {
			return statusUnset
		}
	}
	if code < 399 || kind == kindServer && code >= 400 && code < 500 {
		return statusUnset
	}
	return statusError
}

func textOf(tags []*jaeger.Tag, key string) string {
	if t := findTag(tags, key); t != nil {
		return tagText(t)
	}
	return ""
}

// tagText is a tag's value as text.
func tagText(t *jaeger.Tag) string {
	switch t.VType {
	case jaeger.TagType_DOUBLE:
		return strconv.FormatFloat(t.GetVDouble(), 'g', -1, 64)
	case jaeger.TagType_BOOL:
		return strconv.FormatBool(t.GetVBool())
	case jaeger.TagType_LONG:
		return strconv.FormatInt(t.GetVLong(), 10)
	}
	return t.GetVStr()
}

func findTag(tags []*jaeger.Tag, key string) *jaeger.Tag {
	for _, t := range tags {
		if t.Key == key {
			return t
		}
	}
	return nil
}

// uniqueTags keeps the last tag of each key: Jaeger allows a key twice, OTLP
// does not. Few tags are compared with each other; a map takes over before a
// hostile number of them makes that slow.
func uniqueTags(tags []*jaeger.Tag) []*jaeger.Tag {
	if len(tags) > 32 {
		return uniqueManyTags(tags)
	}
	kept := tags[:0]
	for i, t := range tags {
		if findTag(tags[i+1:], t.Key) == nil {
			kept = append(kept, t)
		}
	}
	return kept
}

func uniqueManyTags(tags []*jaeger.Tag) []*jaeger.Tag {
	last := make(map[string]*jaeger.Tag, len(tags))
	for _, t := range tags {
		last[t.Key] = t
	}
	kept := tags[:0]
	for _, t := range tags {
		if last[t.Key] == t {
			kept = append(kept, t)
		}
	}
	return kept
}
