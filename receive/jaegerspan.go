package receive

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// From Jaeger to OTLP. Thrift and api_v2 protobuf are read into one jaegerSpan,
// which is written and used again for the next, so both have the same rules:
// OpenTelemetry's "OpenTelemetry to Jaeger" mapping read backwards.
// testdata/jaeger.txt shows each.

// jaegerSpan is a span as either wire form tells it. Its texts are borrowed from
// the request's bytes.
type jaegerSpan struct {
	traceHigh, traceLow uint64
	id, parent          uint64
	name                string
	start, end          uint64 // nanoseconds
	tags                []jaegerTag
	refs                []jaegerRef
	events              protoBuilder // the logs, as fields of Span
	fields              []jaegerTag  // of the log being read
}

type jaegerRef struct {
	kind                int32
	traceHigh, traceLow uint64
	span                uint64
}

// The kinds of reference have the same numbers in both wire forms.
const (
	refChildOf     = 0
	refFollowsFrom = 1
)

// maxJaegerList bounds the tags, references and fields of one thing: in memory
// they are larger than on the wire, and no honest span comes near.
const maxJaegerList = 1 << 16

var errJaegerList = fmt.Errorf("more than %d tags or references in one place", maxJaegerList)

// jaegerTag is a key and a value. What counts of the value depends on its type.
type jaegerTag struct {
	key  string
	typ  tagType
	text string // tagString, tagBinary
	bits uint64 // the others; of tagUnknown, the type's number
}

type tagType uint8

const (
	tagUnknown tagType = iota
	tagString
	tagDouble
	tagBool
	tagLong
	tagBinary
)

// reset empties s and keeps its memory.
func (s *jaegerSpan) reset() {
	*s = jaegerSpan{tags: s.tags[:0], refs: s.refs[:0], fields: s.fields[:0], events: protoBuilder{s.events.b[:0]}}
}

// jaegerProcess writes a Resource.
func (p *protoBuilder) jaegerProcess(service string, tags []jaegerTag) {
	res := p.open(fieldResource)
	if service != "" {
		p.attrString(fieldResourceAttributes, "service.name", service)
	}
	tags = uniqueTags(tags)
	hasHost := findTag(tags, "host.name") != nil
	for i := range tags {
		t := &tags[i]
		switch {
		case t.key == "service.name" && service != "":
			// The field has said it; a key stands once.
		case t.key == "hostname" && !hasHost:
			p.jaegerTag(fieldResourceAttributes, "host.name", t)
		case t.key == "jaeger.version":
			p.attrString(fieldResourceAttributes, "opencensus.exporterversion", "Jaeger-"+t.asText())
		default:
			p.jaegerTag(fieldResourceAttributes, t.key, t)
		}
	}
	p.close(res)
}

// jaegerSpan writes s, whose tags are unique, as a field of ScopeSpans, without
// the tags that its kind and status have used up.
func (p *protoBuilder) jaegerSpan(s *jaegerSpan, traceState string) {
	kind := jaegerKind(s.tags)
	st := jaegerStatusOf(s.tags, kind)
	parent := s.parentID()

	span := p.open(fieldSpans)
	p.traceID(spanTraceID, s.traceHigh, s.traceLow)
	p.spanID(spanSpanID, s.id)
	p.string(spanTraceState, traceState)
	p.spanID(spanParentID, parent)
	p.string(spanName, s.name)
	p.varint(spanKind, kind)
	p.fixed64(spanStart, s.start)
	p.fixed64(spanEnd, s.end)
	for i := range s.tags {
		if t := &s.tags[i]; t.key != "span.kind" && !st.consumes(t) {
			p.jaegerTag(spanAttributes, t.key, t)
		}
	}
	p.b = append(p.b, s.events.b...)
	for i := range s.refs {
		if ref := &s.refs[i]; !s.repeatsParent(ref, parent) {
			p.jaegerLink(ref)
		}
	}
	p.status(st.code, st.message)
	p.close(span)
}

// traceID writes 128 bits, high ones first. Both zero is left out: then the id
// is missing, and the Sink says so.
func (p *protoBuilder) traceID(field protowire.Number, high, low uint64) {
	if high == 0 && low == 0 {
		return
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	p.bytes(field, id[:])
}

func (p *protoBuilder) spanID(field protowire.Number, v uint64) {
	if v == 0 {
		return
	}
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], v)
	p.bytes(field, id[:])
}

// parentID is the parent field, else the first CHILD_OF, else the first
// FOLLOWS_FROM reference within the same trace.
func (s *jaegerSpan) parentID() uint64 {
	if s.parent != 0 {
		return s.parent
	}
	for _, want := range [...]int32{refChildOf, refFollowsFrom} {
		for i := range s.refs {
			if ref := &s.refs[i]; ref.kind == want && s.sameTrace(ref) {
				return ref.span
			}
		}
	}
	return 0
}

func (s *jaegerSpan) sameTrace(ref *jaegerRef) bool {
	return ref.traceHigh == s.traceHigh && ref.traceLow == s.traceLow
}

// repeatsParent says that the reference tells what parent_span_id tells.
func (s *jaegerSpan) repeatsParent(ref *jaegerRef, parent uint64) bool {
	return ref.kind == refChildOf && ref.span == parent && s.sameTrace(ref)
}

func (p *protoBuilder) jaegerLink(ref *jaegerRef) {
	kind := "child_of"
	if ref.kind == refFollowsFrom {
		kind = "follows_from"
	}
	link := p.open(spanLinks)
	p.traceID(linkTraceID, ref.traceHigh, ref.traceLow)
	p.spanID(linkSpanID, ref.span)
	p.attrString(linkAttributes, "opentracing.ref_type", kind)
	p.close(link)
}

// jaegerLog writes a log as an event. The field "event" is its name.
func (p *protoBuilder) jaegerLog(nanos uint64, fields []jaegerTag) {
	fields = uniqueTags(fields)
	ev := p.open(spanEvents)
	p.fixed64(eventTime, nanos)
	name := findTag(fields, "event")
	if name != nil && name.typ == tagString {
		p.string(eventName, name.text)
	} else {
		name = nil
	}
	for i := range fields {
		if t := &fields[i]; t != name {
			p.jaegerTag(eventAttributes, t.key, t)
		}
	}
	p.close(ev)
}

func (p *protoBuilder) jaegerTag(field protowire.Number, key string, t *jaegerTag) {
	switch t.typ {
	case tagString:
		p.attrString(field, key, t.text)
	case tagDouble:
		p.attrDouble(field, key, math.Float64frombits(t.bits))
	case tagBool:
		p.attrBool(field, key, t.bits != 0)
	case tagLong:
		p.attrInt(field, key, int64(t.bits))
	case tagBinary:
		p.attrBytes(field, key, t.text)
	default:
		p.attrString(field, key, "unknown Jaeger tag type "+strconv.FormatInt(int64(t.bits), 10))
	}
}

func jaegerKind(tags []jaegerTag) uint64 {
	switch stringOf(tags, "span.kind") {
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
	used    [3]*jaegerTag
}

func (s *jaegerStatus) consumes(t *jaegerTag) bool {
	return t == s.used[0] || t == s.used[1] || t == s.used[2]
}

// jaegerStatusOf asks, in this order: error=true, otel.status_code,
// http.status_code. The first that is there decides.
func jaegerStatusOf(tags []jaegerTag, kind uint64) (s jaegerStatus) {
	failed := findTag(tags, "error")
	if failed != nil && (failed.typ != tagBool || failed.bits == 0) {
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
		switch strings.ToUpper(code.text) {
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

func (s *jaegerStatus) describe(tags []jaegerTag) {
	if t := findTag(tags, "otel.status_description"); t != nil {
		s.message, s.used[2] = t.asText(), t
	}
}

// httpStatusOf: an answer of 4xx is the client's failure, not the server's.
// 399 counts as a failure for Tempo, and so it does here.
func httpStatusOf(tags []jaegerTag, kind uint64) uint64 {
	t := findTag(tags, "http.status_code")
	if t == nil {
		return statusUnset
	}
	var code int64
	switch t.typ {
	case tagLong:
		code = int64(t.bits)
	case tagString:
		var err error
		if code, err = strconv.ParseInt(t.text, 10, 64); err != nil {
			return statusUnset
		}
	}
	if code < 399 || kind == kindServer && code >= 400 && code < 500 {
		return statusUnset
	}
	return statusError
}

func textOf(tags []jaegerTag, key string) string {
	if t := findTag(tags, key); t != nil {
		return t.asText()
	}
	return ""
}

// stringOf is the value of a tag that is there and a string.
func stringOf(tags []jaegerTag, key string) string {
	if t := findTag(tags, key); t != nil && t.typ == tagString {
		return t.text
	}
	return ""
}

// asText is a tag's value as text.
func (t *jaegerTag) asText() string {
	switch t.typ {
	case tagString:
		return t.text
	case tagDouble:
		return strconv.FormatFloat(math.Float64frombits(t.bits), 'g', -1, 64)
	case tagBool:
		return strconv.FormatBool(t.bits != 0)
	case tagLong:
		return strconv.FormatInt(int64(t.bits), 10)
	}
	return ""
}

func findTag(tags []jaegerTag, key string) *jaegerTag {
	for i := range tags {
		if tags[i].key == key {
			return &tags[i]
		}
	}
	return nil
}

// uniqueTags keeps the last tag of each key, in place: Jaeger allows a key
// twice, OTLP does not. Few tags are compared with each other; a map takes over
// before a hostile number of them makes that slow.
func uniqueTags(tags []jaegerTag) []jaegerTag {
	if len(tags) > 32 {
		return uniqueManyTags(tags)
	}
	kept := tags[:0]
	for i := range tags {
		if findTag(tags[i+1:], tags[i].key) == nil {
			kept = append(kept, tags[i])
		}
	}
	return kept
}

func uniqueManyTags(tags []jaegerTag) []jaegerTag {
	last := make(map[string]int, len(tags))
	for i := range tags {
		last[tags[i].key] = i
	}
	kept := tags[:0]
	for i := range tags {
		if last[tags[i].key] == i {
			kept = append(kept, tags[i])
		}
	}
	return kept
}
