package zipkin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"etude/internal/jsonread"
	"etude/internal/wire"
	"etude/receive/spans"
)

var errNotList = errors.New("body is not a JSON list of Zipkin spans")

// FromJSON appends to dst a TracesData with a JSON list of spans, of v2 or v1. A span without a time gets the
// time of its first annotation, or arrival. After an error dst has an incomplete result.
func FromJSON(dst, list []byte, arrival time.Time, bounds spans.Bounds) ([]byte, error) {
	r, err := jsonread.New(list)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errNotList, err)
	}
	if r.Peek() != '[' {
		return dst, errNotList
	}
	b := newBatch(arrival, bounds)
	defer b.groups.Free()
	_, _ = r.Open('[')
	for r.More() {
		if err := b.bounds.Room(b.spans); err != nil {
			return dst, err
		}
		if err := b.s.readJSON(r); err != nil {
			return dst, fmt.Errorf("span %d: %w", b.spans, err)
		}
		if err := b.add(); err != nil {
			return dst, err
		}
	}
	return b.write(dst), nil
}

func (s *span) readJSON(r *jsonread.Reader) error {
	s.reset()
	var ids hexIDs
	if ok, err := r.Open('{'); !ok {
		if err == nil {
			err = ids.decode(s) // the error for null names the missing field
		}
		return err
	}
	for r.More() {
		key := r.Key()
		if err := s.readMember(r, key, &ids); err != nil {
			return fmt.Errorf("%s: %w", jsonread.Cut(key), err)
		}
	}
	return ids.decode(s)
}

func (s *span) readMember(r *jsonread.Reader, key string, ids *hexIDs) (err error) {
	switch key {
	case "traceId":
		ids.trace, err = r.String()
	case "id":
		ids.span, err = r.String()
	case "parentId":
		ids.parent, err = r.String()
	case "name":
		s.name, err = r.String()
	case "kind":
		s.kind, err = jsonKind(r)
	case "timestamp":
		s.timestamp, err = r.Int()
	case "duration":
		s.duration, err = r.Int()
	case "localEndpoint":
		s.local, err = jsonEndpoint(r)
	case "remoteEndpoint":
		s.remote, err = jsonEndpoint(r)
	case "annotations":
		err = s.jsonAnnotations(r)
	case "tags":
		err = s.jsonTags(r)
	case "binaryAnnotations":
		err = s.jsonBinaryAnnotations(r)
	default:
		r.Skip()
	}
	return err
}

func jsonKind(r *jsonread.Reader) (uint64, error) {
	kind, err := r.String()
	switch kind {
	case "":
		return 0, err
	case "SERVER":
		return spans.KindServer, nil
	case "CLIENT":
		return spans.KindClient, nil
	case "PRODUCER":
		return spans.KindProducer, nil
	case "CONSUMER":
		return spans.KindConsumer, nil
	}
	return 0, fmt.Errorf("%q is not one of CLIENT, SERVER, PRODUCER, CONSUMER", jsonread.Cut(kind))
}

// jsonEndpoint decodes an Endpoint. Of two addresses it keeps the shorter one.
func jsonEndpoint(r *jsonread.Reader) (e endpoint, err error) {
	ok, err := r.Open('{')
	if !ok {
		return e, err
	}
	var ipv4, ipv6 string
	for r.More() && err == nil {
		switch r.Key() {
		case "serviceName":
			e.service, err = r.String()
		case "ipv4":
			ipv4, err = r.String()
		case "ipv6":
			ipv6, err = r.String()
		case "port":
			e.port, err = r.Int()
		default:
			r.Skip()
		}
	}
	if e.ip = ipv4; e.ip == "" {
		e.ip = ipv6
	}
	return e, err
}

func (s *span) jsonAnnotations(r *jsonread.Reader) error {
	s.annotations = s.annotations[:0]
	ok, err := r.Open('[')
	if !ok {
		return err
	}
	for r.More() {
		if err := s.jsonAnnotation(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *span) jsonAnnotation(r *jsonread.Reader) error {
	var a annotation
	ok, err := r.Open('{')
	for ok && err == nil && r.More() {
		switch r.Key() {
		case "timestamp":
			a.timestamp, err = r.Int()
		case "value":
			a.value, err = r.String()
		case "endpoint": // v1
			s.v1 = true
			a.endpoint, err = jsonEndpoint(r)
		default:
			r.Skip()
		}
	}
	if err != nil {
		return err
	}
	return s.addAnnotation(a)
}

func (s *span) jsonTags(r *jsonread.Reader) error {
	ok, err := r.Open('{')
	if !ok {
		return err
	}
	for r.More() {
		key := r.Key()
		value, err := r.String()
		if err == nil {
			err = s.addTag(key, value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", jsonread.Cut(key), err)
		}
	}
	return nil
}

// hexIDs has the ids of a span as JSON texts.
type hexIDs struct{ trace, span, parent string }

// decode also accepts 64-bit trace ids, which it extends with leading zeros.
func (ids *hexIDs) decode(s *span) error {
	trace := s.trace[:]
	if len(ids.trace) == 16 {
		trace = s.trace[8:]
	}
	if err := decodeHex(trace, ids.trace, "traceId", "16 or 32"); err != nil {
		return err
	}
	if err := decodeHex(s.id[:], ids.span, "id", "16"); err != nil {
		return err
	}
	if s.hasParent = ids.parent != ""; !s.hasParent {
		return nil
	}
	return decodeHex(s.parent[:], ids.parent, "parentId", "16")
}

func decodeHex(dst []byte, text, field, digits string) error {
	var hexText [32]byte // hex.DecodeString would allocate
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%s %q must have %s hex digits", field, jsonread.Cut(text), digits)
	}
	if _, err := hex.Decode(dst, hexText[:copy(hexText[:], text)]); err != nil {
		return fmt.Errorf("%s %q must have %s hex digits: %w", field, jsonread.Cut(text), digits, err)
	}
	return nil
}

func newWriter(dst []byte) spans.Writer { return spans.Writer{Builder: wire.Builder{B: dst}} }
