package receive

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

var errZipkinV1 = errors.New("this is Zipkin v1, which is not supported; send v2")

// zipkinJSON appends a TracesData with a JSON list of spans and returns how many
// there are.
func (p *protoBuilder) zipkinJSON(body []byte, limit *budget) (int, error) {
	if !json.Valid(body) {
		return 0, refuse(malformed, "body is not a JSON list of Zipkin v2 spans: %v", jsonFault(body))
	}
	r := &jsonReader{text: body}
	if r.peek() != '[' {
		return 0, refuse(malformed, "body is not a JSON list of Zipkin v2 spans")
	}
	r.pos++
	z := zipkinBatch{limit: limit}
	defer z.groups.free()
	for r.more() {
		if err := z.room(); err != nil {
			return 0, err
		}
		if err := z.s.readJSON(r); err != nil {
			return 0, refuse(malformed, "span %d: %v", z.spans, err)
		}
		if err := z.add(); err != nil {
			return 0, err
		}
	}
	z.write(p)
	return z.spans, nil
}

func (s *zipkinSpan) readJSON(r *jsonReader) error {
	s.reset()
	var ids zipkinIDs
	if ok, err := r.open('{'); !ok {
		if err == nil {
			err = ids.decode(s) // says what null lacks
		}
		return err
	}
	for r.more() {
		key := r.key()
		if err := s.readMember(r, key, &ids); err != nil {
			return fmt.Errorf("%s: %w", cutText(key), err)
		}
	}
	return ids.decode(s)
}

func (s *zipkinSpan) readMember(r *jsonReader, key string, ids *zipkinIDs) (err error) {
	switch key {
	case "traceId":
		ids.trace, err = r.string()
	case "id":
		ids.span, err = r.string()
	case "parentId":
		ids.parent, err = r.string()
	case "name":
		s.name, err = r.string()
	case "kind":
		s.kind, err = zipkinKind(r)
	case "timestamp":
		s.timestamp, err = r.int()
	case "duration":
		s.duration, err = r.int()
	case "localEndpoint":
		s.local, err = jsonEndpoint(r)
	case "remoteEndpoint":
		s.remote, err = jsonEndpoint(r)
	case "annotations":
		err = s.jsonAnnotations(r)
	case "tags":
		err = s.jsonTags(r)
	case "binaryAnnotations":
		err = errZipkinV1
	default:
		r.skip()
	}
	return err
}

func zipkinKind(r *jsonReader) (uint64, error) {
	kind, err := r.string()
	switch kind {
	case "":
		return 0, err
	case "SERVER":
		return kindServer, nil
	case "CLIENT":
		return kindClient, nil
	case "PRODUCER":
		return kindProducer, nil
	case "CONSUMER":
		return kindConsumer, nil
	}
	return 0, fmt.Errorf("%q is none of CLIENT, SERVER, PRODUCER, CONSUMER", cutText(kind))
}

// jsonEndpoint reads an Endpoint. Of two addresses the shorter one counts.
func jsonEndpoint(r *jsonReader) (e zipkinEndpoint, err error) {
	ok, err := r.open('{')
	if !ok {
		return e, err
	}
	var ipv4, ipv6 string
	for r.more() && err == nil {
		switch r.key() {
		case "serviceName":
			e.service, err = r.string()
		case "ipv4":
			ipv4, err = r.string()
		case "ipv6":
			ipv6, err = r.string()
		case "port":
			e.port, err = r.int()
		default:
			r.skip()
		}
	}
	if e.ip = ipv4; e.ip == "" {
		e.ip = ipv6
	}
	return e, err
}

func (s *zipkinSpan) jsonAnnotations(r *jsonReader) error {
	s.events.b = s.events.b[:0]
	ok, err := r.open('[')
	if !ok {
		return err
	}
	for r.more() {
		if err := s.jsonAnnotation(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *zipkinSpan) jsonAnnotation(r *jsonReader) error {
	var timestamp int64
	var value string
	ok, err := r.open('{')
	for ok && err == nil && r.more() {
		switch r.key() {
		case "timestamp":
			timestamp, err = r.int()
		case "value":
			value, err = r.string()
		case "endpoint":
			err = errZipkinV1
		default:
			r.skip()
		}
	}
	s.addAnnotation(timestamp, value)
	return err
}

func (s *zipkinSpan) jsonTags(r *jsonReader) error {
	ok, err := r.open('{')
	if !ok {
		return err
	}
	for r.more() {
		key := r.key()
		value, err := r.string()
		if err == nil {
			err = s.addTag(key, value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", cutText(key), err)
		}
	}
	return nil
}

// zipkinIDs are the ids of a span in hex.
type zipkinIDs struct{ trace, span, parent string }

// decode accepts trace ids of 64 bits, which get zeros in front.
func (ids *zipkinIDs) decode(s *zipkinSpan) error {
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
	var hexText [32]byte // no hex.DecodeString: it allocates
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%s %q must have %s hex digits", field, cutText(text), digits)
	}
	if _, err := hex.Decode(dst, hexText[:copy(hexText[:], text)]); err != nil {
		return fmt.Errorf("%s %q must have %s hex digits: %w", field, cutText(text), digits, err)
	}
	return nil
}

// cutText keeps a hostile value from filling the error, and copies what is
// borrowed.
func cutText(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return string([]byte(s))
}
