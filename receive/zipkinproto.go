package receive

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
)

// Reading zipkin.proto (zipkin-api; package zipkin.proto3).

// zipkinProto appends a TracesData with the spans of a ListOfSpans and returns
// how many there are.
func (p *protoBuilder) zipkinProto(body []byte, limit *budget) (int, error) {
	z := zipkinBatch{limit: limit}
	defer z.groups.free()
	var ips ipTexts
	r := protoReader{rest: body}
	for r.next() {
		if !r.isBytes(1) {
			continue
		}
		if err := z.room(); err != nil {
			return 0, err
		}
		if err := z.s.readProto(r.data, &ips); err != nil {
			return 0, refuse(malformed, "span %d: %v", z.spans, err)
		}
		if err := z.add(); err != nil {
			return 0, err
		}
	}
	if r.err != nil {
		return 0, refuse(malformed, "body is not a list of Zipkin spans: %v", r.err)
	}
	z.write(p)
	return z.spans, nil
}

func (s *zipkinSpan) readProto(b []byte, ips *ipTexts) (err error) {
	s.reset()
	var trace, id, parent []byte
	r := protoReader{rest: b}
	for r.next() && err == nil {
		switch {
		case r.isBytes(1):
			trace = r.data
		case r.isBytes(2):
			parent = r.data
		case r.isBytes(3):
			id = r.data
		case r.isVarint(4):
			s.kind, err = zipkinProtoKind(r.value)
		case r.isBytes(5):
			s.name = r.text()
		case r.isFixed64(6):
			s.timestamp = int64(min(r.value, math.MaxInt64))
		case r.isVarint(7):
			s.duration = int64(min(r.value, math.MaxInt64))
		case r.isBytes(8):
			s.local, err = protoEndpoint(r.data, &ips[0])
		case r.isBytes(9):
			s.remote, err = protoEndpoint(r.data, &ips[1])
		case r.isBytes(10):
			err = s.protoAnnotation(r.data)
		case r.isBytes(11):
			err = s.protoTag(r.data)
		}
	}
	if err == nil && r.err == nil {
		err = s.setIDs(trace, id, parent)
	}
	return errors.Join(err, r.err)
}

// setIDs accepts trace ids of 64 bits, which get zeros in front.
func (s *zipkinSpan) setIDs(trace, id, parent []byte) error {
	switch {
	case len(trace) != 8 && len(trace) != 16:
		return fmt.Errorf("trace_id of %d bytes, want 8 or 16", len(trace))
	case len(id) != 8:
		return fmt.Errorf("id of %d bytes, want 8", len(id))
	case len(parent) != 8 && len(parent) != 0:
		return fmt.Errorf("parent_id of %d bytes, want 8 or none", len(parent))
	}
	copy(s.trace[16-len(trace):], trace)
	copy(s.id[:], id)
	copy(s.parent[:], parent)
	s.hasParent = len(parent) > 0
	return nil
}

func zipkinProtoKind(v uint64) (uint64, error) {
	kinds := [...]uint64{0, kindClient, kindServer, kindProducer, kindConsumer}
	if v >= uint64(len(kinds)) {
		return 0, fmt.Errorf("kind %d is none of 0 to %d", v, len(kinds)-1)
	}
	return kinds[v], nil
}

// protoEndpoint reads an Endpoint. Of two addresses the shorter one counts.
func protoEndpoint(b []byte, text *ipText) (e zipkinEndpoint, err error) {
	var ipv4, ipv6 []byte
	r := protoReader{rest: b}
	for r.next() {
		switch {
		case r.isBytes(1):
			e.service = r.text()
		case r.isBytes(2):
			ipv4 = r.data
		case r.isBytes(3):
			ipv6 = r.data
		case r.isVarint(4):
			e.port = int64(int32(r.value))
		}
	}
	switch {
	case len(ipv4) > 0:
		e.ip, err = text.of(ipv4, 4)
	case len(ipv6) > 0:
		e.ip, err = text.of(ipv6, 16)
	}
	return e, errors.Join(err, r.err)
}

func (s *zipkinSpan) protoAnnotation(b []byte) error {
	var timestamp int64
	var value string
	r := protoReader{rest: b}
	for r.next() {
		switch {
		case r.isFixed64(1):
			timestamp = int64(min(r.value, math.MaxInt64))
		case r.isBytes(2):
			value = r.text()
		}
	}
	s.addAnnotation(timestamp, value)
	return r.err
}

// protoTag reads an entry of the map of tags.
func (s *zipkinSpan) protoTag(b []byte) error {
	var key, value string
	r := protoReader{rest: b}
	for r.next() {
		switch {
		case r.isBytes(1):
			key = r.text()
		case r.isBytes(2):
			value = r.text()
		}
	}
	return errors.Join(s.addTag(key, value), r.err)
}

// ipTexts remember the last local and the last remote address: mostly the next
// span has the same.
type ipTexts [2]ipText

type ipText struct {
	addr netip.Addr
	text string
}

func (t *ipText) of(b []byte, size int) (string, error) {
	addr, ok := netip.AddrFromSlice(b)
	if !ok || len(b) != size {
		return "", fmt.Errorf("IP address of %d bytes, want %d", len(b), size)
	}
	if addr != t.addr {
		t.addr, t.text = addr, addr.String()
	}
	return t.text, nil
}
