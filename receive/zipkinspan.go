package receive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// From Zipkin v2 JSON to OTLP (zipkin-api, zipkin2-api.yaml);
// testdata/zipkin.txt shows each rule.

type zipkinSpan struct {
	TraceID        string             `json:"traceId"`
	ID             string             `json:"id"`
	ParentID       string             `json:"parentId"`
	Name           string             `json:"name"`
	Kind           string             `json:"kind"`
	Timestamp      int64              `json:"timestamp"` // microseconds
	Duration       int64              `json:"duration"`
	LocalEndpoint  *zipkinEndpoint    `json:"localEndpoint"`
	RemoteEndpoint *zipkinEndpoint    `json:"remoteEndpoint"`
	Annotations    []zipkinAnnotation `json:"annotations"`
	Tags           map[string]string  `json:"tags"`
	// Only Zipkin v1 has these; seen, they make a better error.
	BinaryAnnotations json.RawMessage `json:"binaryAnnotations"`
}

type zipkinEndpoint struct {
	ServiceName string `json:"serviceName"`
	IPv4        string `json:"ipv4"`
	IPv6        string `json:"ipv6"`
	Port        int64  `json:"port"`
}

type zipkinAnnotation struct {
	Timestamp int64  `json:"timestamp"`
	Value     string `json:"value"`
}

// zipkinToOTLP translates a JSON list of spans, one ResourceSpans a service,
// services in the order in which they appear. Spans are decoded one at a time,
// so that a list of many empty ones costs no more than one.
func zipkinToOTLP(body []byte, maxSpans int) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, refuse(malformed, "body is not a JSON list of Zipkin v2 spans")
	}
	var groups zipkinGroups
	for n := 0; d.More(); n++ {
		if n == maxSpans {
			return nil, refuse(tooLarge, "request has more than the limit of %d spans; send smaller batches", maxSpans)
		}
		var s zipkinSpan
		if err := d.Decode(&s); err != nil {
			return nil, refuse(malformed, "span %d is not a Zipkin v2 span: %v", n, err)
		}
		if err := groups.of(&s).zipkinSpan(&s); err != nil {
			return nil, refuse(malformed, "span %d: %v", n, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, refuse(malformed, "JSON list of spans does not end: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse(malformed, "something follows the JSON list of spans")
	}
	return groups.bytes(), nil
}

// zipkinGroups holds the encoded spans of each service.
type zipkinGroups struct {
	order  []string
	byName map[string]*protoBuilder
}

func (g *zipkinGroups) of(s *zipkinSpan) *protoBuilder {
	var name string
	if s.LocalEndpoint != nil {
		name = s.LocalEndpoint.ServiceName
	}
	p := g.byName[name]
	if p == nil {
		if g.byName == nil {
			g.byName = map[string]*protoBuilder{}
		}
		p = new(protoBuilder)
		g.byName[name] = p
		g.order = append(g.order, name)
	}
	return p
}

func (g *zipkinGroups) bytes() []byte {
	var p protoBuilder
	for _, name := range g.order {
		rs := p.open(fieldResourceSpans)
		if name != "" {
			res := p.open(fieldResource)
			p.attrString(fieldResourceAttributes, "service.name", name)
			p.close(res)
		}
		p.b = protowire.AppendTag(p.b, fieldScopeSpans, protowire.BytesType)
		p.b = protowire.AppendBytes(p.b, g.byName[name].b)
		p.close(rs)
	}
	return p.b
}

// zipkinSpan appends one span as a field of ScopeSpans.
func (p *protoBuilder) zipkinSpan(s *zipkinSpan) error {
	if s.BinaryAnnotations != nil {
		return errors.New("binaryAnnotations belong to Zipkin v1, which is not supported; send v2")
	}
	ids, err := s.decodeIDs()
	if err != nil {
		return err
	}
	kind, err := zipkinKind(s.Kind)
	if err != nil {
		return err
	}
	span := p.open(fieldSpans)
	p.bytes(spanTraceID, ids.trace[:])
	p.bytes(spanSpanID, ids.span[:])
	if s.ParentID != "" {
		p.bytes(spanParentID, ids.parent[:])
	}
	p.string(spanName, s.Name)
	p.varint(spanKind, kind)
	p.fixed64(spanStart, nanos(s.Timestamp))
	p.fixed64(spanEnd, nanos(endMicros(s.Timestamp, s.Duration)))
	code, message := p.zipkinTags(s)
	for _, a := range s.Annotations {
		ev := p.open(spanEvents)
		p.fixed64(eventTime, nanos(a.Timestamp))
		p.string(eventName, a.Value)
		p.close(ev)
	}
	p.status(code, message)
	p.close(span)
	return nil
}

// zipkinTags writes the attributes, sorted by key as JSON objects have no
// order, and returns the status in them.
func (p *protoBuilder) zipkinTags(s *zipkinSpan) (code uint64, message string) {
	_, coded := s.Tags["otel.status_code"]
	for _, k := range slices.Sorted(maps.Keys(s.Tags)) {
		v := s.Tags[k]
		switch {
		case k == "otel.status_code":
			code = max(code, statusNamed(v))
			continue
		case k == "otel.status_description" && coded:
			message = v
			continue
		case k == "error":
			code = statusError
		}
		p.attrString(spanAttributes, k, v)
	}
	p.zipkinEndpoint(s.LocalEndpoint, "net.host.ip", "net.host.port", s.Tags)
	if r := s.RemoteEndpoint; r != nil {
		if _, set := s.Tags["peer.service"]; r.ServiceName != "" && !set {
			p.attrString(spanAttributes, "peer.service", r.ServiceName)
		}
		p.zipkinEndpoint(r, "net.peer.ip", "net.peer.port", s.Tags)
	}
	return code, message
}

// zipkinEndpoint writes address and port unless a tag has said them.
func (p *protoBuilder) zipkinEndpoint(e *zipkinEndpoint, ipKey, portKey string, tags map[string]string) {
	if e == nil {
		return
	}
	ip := e.IPv4
	if ip == "" {
		ip = e.IPv6
	}
	if _, set := tags[ipKey]; ip != "" && !set {
		p.attrString(spanAttributes, ipKey, ip)
	}
	if _, set := tags[portKey]; e.Port > 0 && !set {
		p.attrInt(spanAttributes, portKey, e.Port)
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

func zipkinKind(kind string) (uint64, error) {
	switch kind {
	case "":
		return 0, nil
	case "SERVER":
		return kindServer, nil
	case "CLIENT":
		return kindClient, nil
	case "PRODUCER":
		return kindProducer, nil
	case "CONSUMER":
		return kindConsumer, nil
	}
	return 0, fmt.Errorf("kind %q is none of CLIENT, SERVER, PRODUCER, CONSUMER", kind)
}

type zipkinIDs struct {
	trace        [16]byte
	span, parent [8]byte
}

// decodeIDs accepts trace ids of 64 bits, which get zeros in front.
func (s *zipkinSpan) decodeIDs() (ids zipkinIDs, err error) {
	trace := ids.trace[:]
	if len(s.TraceID) == 16 {
		trace = ids.trace[8:]
	}
	if err := decodeHex(trace, s.TraceID, "traceId", "16 or 32"); err != nil {
		return ids, err
	}
	if err := decodeHex(ids.span[:], s.ID, "id", "16"); err != nil {
		return ids, err
	}
	if s.ParentID == "" {
		return ids, nil
	}
	return ids, decodeHex(ids.parent[:], s.ParentID, "parentId", "16")
}

func decodeHex(dst []byte, text, field, digits string) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%s %q must have %s hex digits", field, cutText(text), digits)
	}
	if _, err := hex.Decode(dst, []byte(text)); err != nil {
		return fmt.Errorf("%s %q must have %s hex digits: %w", field, cutText(text), digits, err)
	}
	return nil
}

// cutText keeps a hostile value from filling the error.
func cutText(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
