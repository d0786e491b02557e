package receive

import (
	"cmp"
	"fmt"
	"slices"
)

// From Zipkin v2 to OTLP (zipkin-api, zipkin2-api.yaml). JSON and protobuf are
// read into one zipkinSpan, which is written and used again for the next;
// testdata/zipkin.txt shows each rule, for both.

// zipkinSpan is a span as either form tells it. Its texts are borrowed from the
// request's bytes.
type zipkinSpan struct {
	trace         [16]byte
	id, parent    [8]byte
	hasParent     bool
	name          string
	kind          uint64 // of OTLP
	timestamp     int64  // microseconds
	duration      int64
	local, remote zipkinEndpoint
	tags          []zipkinTag
	events        protoBuilder // the annotations, as fields of Span
}

type zipkinEndpoint struct {
	service, ip string
	port        int64
}

type zipkinTag struct{ key, value string }

// reset empties s and keeps its memory.
func (s *zipkinSpan) reset() {
	*s = zipkinSpan{tags: s.tags[:0], events: protoBuilder{s.events.b[:0]}}
}

// maxZipkinTags bounds the tags of a span: in memory they are larger than on the
// wire, and no honest span comes near.
const maxZipkinTags = 1 << 16

func (s *zipkinSpan) addTag(key, value string) error {
	if len(s.tags) == maxZipkinTags {
		return fmt.Errorf("more than %d tags", maxZipkinTags)
	}
	s.tags = append(s.tags, zipkinTag{key, value})
	return nil
}

func (s *zipkinSpan) addAnnotation(timestamp int64, value string) {
	ev := s.events.open(spanEvents)
	s.events.fixed64(eventTime, nanos(timestamp))
	s.events.string(eventName, value)
	s.events.close(ev)
}

// zipkinBatch is a list of spans on its way: one resource a service, services in
// the order in which they appear.
type zipkinBatch struct {
	limit  *budget
	groups spanGroups
	s      zipkinSpan // used for every span
	spans  int
}

// room is asked before each span is read.
func (z *zipkinBatch) room() error {
	if most := z.limit.in.limits.Spans; z.spans == most {
		return refuse(tooLarge, "request has more than the limit of %d spans; send smaller batches", most)
	}
	return nil
}

// add translates the span just read.
func (z *zipkinBatch) add() error {
	z.spans++
	p := z.groups.of(z.s.local.service, scope{})
	before := len(p.b)
	p.zipkinSpan(&z.s)
	z.groups.size += len(p.b) - before
	return z.limit.check(z.groups.size)
}

// write appends a TracesData to p.
func (z *zipkinBatch) write(p *protoBuilder) {
	_ = z.groups.write(p, func(service string) error {
		if service != "" {
			res := p.open(fieldResource)
			p.attrString(fieldResourceAttributes, "service.name", service)
			p.close(res)
		}
		return nil
	})
}

// zipkinSpan appends one span as a field of ScopeSpans.
func (p *protoBuilder) zipkinSpan(s *zipkinSpan) {
	span := p.open(fieldSpans)
	p.bytes(spanTraceID, s.trace[:])
	p.bytes(spanSpanID, s.id[:])
	if s.hasParent {
		p.bytes(spanParentID, s.parent[:])
	}
	p.string(spanName, s.name)
	p.varint(spanKind, s.kind)
	p.fixed64(spanStart, nanos(s.timestamp))
	p.fixed64(spanEnd, nanos(endMicros(s.timestamp, s.duration)))
	code, message := p.zipkinTags(s)
	p.b = append(p.b, s.events.b...)
	p.status(code, message)
	p.close(span)
}

// zipkinTags writes the attributes, sorted by key as they are a map without
// order, and returns the status in them.
func (p *protoBuilder) zipkinTags(s *zipkinSpan) (code uint64, message string) {
	s.sortTags()
	_, coded := s.tag("otel.status_code")
	for _, t := range s.tags {
		switch {
		case t.key == "otel.status_code":
			code = max(code, statusNamed(t.value))
			continue
		case t.key == "otel.status_description" && coded:
			message = t.value
			continue
		case t.key == "error":
			code = statusError
		}
		p.attrString(spanAttributes, t.key, t.value)
	}
	p.zipkinEndpoint(s, &s.local, "net.host.ip", "net.host.port")
	if _, set := s.tag("peer.service"); s.remote.service != "" && !set {
		p.attrString(spanAttributes, "peer.service", s.remote.service)
	}
	p.zipkinEndpoint(s, &s.remote, "net.peer.ip", "net.peer.port")
	return code, message
}

// sortTags also keeps only the last of each key.
func (s *zipkinSpan) sortTags() {
	slices.SortStableFunc(s.tags, func(a, b zipkinTag) int { return cmp.Compare(a.key, b.key) })
	kept := s.tags[:0]
	for i, t := range s.tags {
		if i+1 == len(s.tags) || s.tags[i+1].key != t.key {
			kept = append(kept, t)
		}
	}
	s.tags = kept
}

// tag finds a tag among sorted ones.
func (s *zipkinSpan) tag(key string) (value string, found bool) {
	i, found := slices.BinarySearchFunc(s.tags, key, func(t zipkinTag, key string) int { return cmp.Compare(t.key, key) })
	if !found {
		return "", false
	}
	return s.tags[i].value, true
}

// zipkinEndpoint writes address and port unless a tag has said them.
func (p *protoBuilder) zipkinEndpoint(s *zipkinSpan, e *zipkinEndpoint, ipKey, portKey string) {
	if _, set := s.tag(ipKey); e.ip != "" && !set {
		p.attrString(spanAttributes, ipKey, e.ip)
	}
	if _, set := s.tag(portKey); e.port > 0 && !set {
		p.attrInt(spanAttributes, portKey, e.port)
	}
}

func statusNamed(name string) uint64 {
	switch name {
	case "OK":
		return statusOK
	case "ERROR":
		return statusError
	}
	return statusUnset
}
