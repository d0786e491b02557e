package zipkin

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"etude/internal/wire"
	"etude/receive/spans"
)

// FromProto appends to dst a TracesData with the spans of a ListOfSpans (zipkin-api, zipkin.proto). A span
// without a time gets the time of its first annotation, or arrival. After an error dst has an incomplete
// result.
func FromProto(dst, list []byte, arrival time.Time, bounds spans.Bounds) ([]byte, error) {
	b := newBatch(arrival, bounds)
	defer b.groups.Free()
	var ips ipTexts
	r := wire.Reader{Rest: list}
	for r.Next() {
		if !r.IsBytes(1) {
			continue
		}
		if err := b.bounds.Room(b.spans); err != nil {
			return dst, err
		}
		if err := b.s.readProto(r.Data, &ips); err != nil {
			return dst, fmt.Errorf("span %d: %w", b.spans, err)
		}
		if err := b.add(); err != nil {
			return dst, err
		}
	}
	if r.Err != nil {
		return dst, fmt.Errorf("body is not a list of Zipkin spans: %w", r.Err)
	}
	return b.write(dst), nil
}

func (s *span) readProto(b []byte, ips *ipTexts) (err error) {
	s.reset()
	var trace, id, parent []byte
	r := wire.Reader{Rest: b}
	for r.Next() && err == nil {
		switch {
		case r.IsBytes(1):
			trace = r.Data
		case r.IsBytes(2):
			parent = r.Data
		case r.IsBytes(3):
			id = r.Data
		case r.IsVarint(4):
			s.kind, err = protoKind(r.Value)
		case r.IsBytes(5):
			s.name = r.Text()
		case r.IsFixed64(6):
			s.timestamp = signed(r.Value)
		case r.IsVarint(7):
			s.duration = signed(r.Value)
		case r.IsBytes(8):
			s.local, err = protoEndpoint(r.Data, &ips[0])
		case r.IsBytes(9):
			s.remote, err = protoEndpoint(r.Data, &ips[1])
		case r.IsBytes(10):
			err = s.protoAnnotation(r.Data)
		case r.IsBytes(11):
			err = s.protoTag(r.Data)
		}
	}
	if err == nil && r.Err == nil {
		err = s.setIDs(trace, id, parent)
	}
	return errors.Join(err, r.Err)
}

// signed converts a time. A time too large for int64 becomes the largest one, which is refused later.
func signed(v uint64) int64 { return int64(min(v, math.MaxInt64)) }

// setIDs also accepts 64-bit trace ids, which it extends with leading zeros.
func (s *span) setIDs(trace, id, parent []byte) error {
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

func protoKind(v uint64) (uint64, error) {
	kinds := [...]uint64{0, spans.KindClient, spans.KindServer, spans.KindProducer, spans.KindConsumer}
	if v >= uint64(len(kinds)) {
		return 0, fmt.Errorf("kind %d is not in the range 0 to %d", v, len(kinds)-1)
	}
	return kinds[v], nil
}

// protoEndpoint decodes an Endpoint. Of two addresses it keeps the shorter one.
func protoEndpoint(b []byte, text *ipText) (e endpoint, err error) {
	var ipv4, ipv6 []byte
	r := wire.Reader{Rest: b}
	for r.Next() {
		switch {
		case r.IsBytes(1):
			e.service = r.Text()
		case r.IsBytes(2):
			ipv4 = r.Data
		case r.IsBytes(3):
			ipv6 = r.Data
		case r.IsVarint(4):
			e.port = int64(int32(r.Value))
		}
	}
	switch {
	case len(ipv4) > 0:
		e.ip, err = text.of(ipv4, 4)
	case len(ipv6) > 0:
		e.ip, err = text.of(ipv6, 16)
	}
	return e, errors.Join(err, r.Err)
}

func (s *span) protoAnnotation(b []byte) error {
	var a annotation
	r := wire.Reader{Rest: b}
	for r.Next() {
		switch {
		case r.IsFixed64(1):
			a.timestamp = signed(r.Value)
		case r.IsBytes(2):
			a.value = r.Text()
		}
	}
	return errors.Join(s.addAnnotation(a), r.Err)
}

// protoTag decodes an entry of the map of tags.
func (s *span) protoTag(b []byte) error {
	var key, value string
	r := wire.Reader{Rest: b}
	for r.Next() {
		switch {
		case r.IsBytes(1):
			key = r.Text()
		case r.IsBytes(2):
			value = r.Text()
		}
	}
	return errors.Join(s.addTag(key, value), r.Err)
}

// ipTexts caches the last local and the last remote address, because the next span usually has the same.
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
