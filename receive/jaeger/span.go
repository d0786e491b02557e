package jaeger

import (
	"fmt"
	"math"
	"strconv"

	"etude/internal/wire"
	"etude/receive/spans"
)

// span is a decoded span of either wire format. Its texts are borrowed from the request's bytes.
type span struct {
	traceHigh, traceLow uint64
	id, parent          uint64
	name                string
	start, end          uint64 // nanoseconds
	tags                []tag
	refs                []ref
	events              spans.Writer // the logs, as fields of Span
	fields              []tag        // of the log being decoded
}

type ref struct {
	kind                int32
	traceHigh, traceLow uint64
	span                uint64
}

// The kinds of reference have the same numbers in both wire formats.
const (
	refChildOf     = 0
	refFollowsFrom = 1
)

// maxList limits the tags, references and fields of one element: in memory they are larger than on the wire.
// Real spans stay far below the limit.
const maxList = 1 << 16

var errList = fmt.Errorf("more than %d tags or references in one place", maxList)

// tag is a key and a value. The type determines which field has the value.
type tag struct {
	key  string
	typ  tagType
	text string // tagString, tagBinary
	bits uint64 // all other types; for tagUnknown, the type's number
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

// reset clears s and keeps its memory.
func (s *span) reset() {
	events := spans.Writer{Builder: wire.Builder{B: s.events.B[:0]}}
	*s = span{tags: s.tags[:0], refs: s.refs[:0], fields: s.fields[:0], events: events}
}

// writeProcess writes a Resource.
func writeProcess(p *spans.Writer, service string, tags []tag) {
	res := p.Open(spans.FieldResource)
	if service != "" {
		p.AttrString(spans.ResourceAttributes, "service.name", service)
	}
	tags = uniqueTags(tags)
	hasHost := findTag(tags, "host.name") != nil
	for i := range tags {
		t := &tags[i]
		switch {
		case t.key == "service.name" && service != "":
			// The process' field has set it, and a key may occur only once.
		case t.key == "hostname" && !hasHost:
			writeTag(p, spans.ResourceAttributes, "host.name", t)
		case t.key == "jaeger.version":
			p.AttrString(spans.ResourceAttributes, "opencensus.exporterversion", "Jaeger-"+t.asText())
		default:
			writeTag(p, spans.ResourceAttributes, t.key, t)
		}
	}
	p.Close(res)
}

// writeSpan writes s, whose tags are unique, as a field of ScopeSpans. It leaves out the tags that its kind and
// status were made from.
func writeSpan(p *spans.Writer, s *span, traceState string) {
	kind := kindOf(s.tags)
	st := statusOf(s.tags, kind)
	parent := s.parentID()

	m := p.Open(spans.FieldSpan)
	p.WideID(spans.TraceID, s.traceHigh, s.traceLow)
	p.ID(spans.SpanID, s.id)
	p.String(spans.TraceState, traceState)
	p.ID(spans.ParentID, parent)
	p.String(spans.Name, s.name)
	p.Varint(spans.Kind, kind)
	p.Fixed64(spans.Start, s.start)
	p.Fixed64(spans.End, s.end)
	for i := range s.tags {
		if t := &s.tags[i]; t.key != "span.kind" && !st.consumes(t) {
			writeTag(p, spans.Attributes, t.key, t)
		}
	}
	p.B = append(p.B, s.events.B...)
	for i := range s.refs {
		if r := &s.refs[i]; !s.repeatsParent(r, parent) {
			writeLink(p, r)
		}
	}
	p.Status(st.code, st.message)
	p.Close(m)
}

// parentID returns the parent field, or the first CHILD_OF, or the first FOLLOWS_FROM reference within the same
// trace.
func (s *span) parentID() uint64 {
	if s.parent != 0 {
		return s.parent
	}
	for _, want := range [...]int32{refChildOf, refFollowsFrom} {
		for i := range s.refs {
			if r := &s.refs[i]; r.kind == want && s.sameTrace(r) {
				return r.span
			}
		}
	}
	return 0
}

func (s *span) sameTrace(r *ref) bool {
	return r.traceHigh == s.traceHigh && r.traceLow == s.traceLow
}

// repeatsParent reports whether the reference repeats parent_span_id.
func (s *span) repeatsParent(r *ref, parent uint64) bool {
	return r.kind == refChildOf && r.span == parent && s.sameTrace(r)
}

func writeLink(p *spans.Writer, r *ref) {
	kind := "child_of"
	if r.kind == refFollowsFrom {
		kind = "follows_from"
	}
	link := p.Open(spans.Links)
	p.WideID(spans.LinkTraceID, r.traceHigh, r.traceLow)
	p.ID(spans.LinkSpanID, r.span)
	p.AttrString(spans.LinkAttributes, "opentracing.ref_type", kind)
	p.Close(link)
}

// writeLog writes a log as an event. Its field "event" becomes the event's name.
func writeLog(p *spans.Writer, nanos uint64, fields []tag) {
	fields = uniqueTags(fields)
	ev := p.Open(spans.Events)
	p.Fixed64(spans.EventTime, nanos)
	name := findTag(fields, "event")
	if name != nil && name.typ == tagString {
		p.String(spans.EventName, name.text)
	} else {
		name = nil
	}
	for i := range fields {
		if t := &fields[i]; t != name {
			writeTag(p, spans.EventAttributes, t.key, t)
		}
	}
	p.Close(ev)
}

func writeTag(p *spans.Writer, field wire.Number, key string, t *tag) {
	switch t.typ {
	case tagString:
		p.AttrString(field, key, t.text)
	case tagDouble:
		p.AttrDouble(field, key, math.Float64frombits(t.bits))
	case tagBool:
		p.AttrBool(field, key, t.bits != 0)
	case tagLong:
		p.AttrInt(field, key, int64(t.bits))
	case tagBinary:
		p.AttrBytes(field, key, t.text)
	default:
		p.AttrString(field, key, "unknown Jaeger tag type "+strconv.FormatInt(int64(t.bits), 10))
	}
}
