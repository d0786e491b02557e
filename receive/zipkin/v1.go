package zipkin

import (
	"etude/internal/jsonread"
	"etude/receive/spans"
)

// Zipkin v1 has no kind, tags or local endpoint. It expresses them by annotations with well-known values ("cs":
// client send), by binary annotations ("sa": the server's address), and by the endpoint in each of these. A
// span is of v1 when an annotation has an endpoint, or when it has binary annotations. A field of v2 takes
// precedence.

// binaryAnnotation is a key, its value as text, and the endpoint that recorded it.
type binaryAnnotation struct {
	key, value string
	endpoint   endpoint
}

func (s *span) jsonBinaryAnnotations(r *jsonread.Reader) error {
	ok, err := r.Open('[')
	if !ok {
		return err
	}
	s.v1 = true
	for r.More() {
		var b binaryAnnotation
		ok, err := r.Open('{')
		for ok && err == nil && r.More() {
			switch r.Key() {
			case "key":
				b.key, err = r.String()
			case "value":
				b.value, err = r.Scalar()
			case "endpoint":
				b.endpoint, err = jsonEndpoint(r)
			default: // the type of the value, which JSON shows already
				r.Skip()
			}
		}
		if err == nil {
			err = s.addBinary(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addBinary converts a binary annotation to a tag or an address.
func (s *span) addBinary(b binaryAnnotation) error {
	switch b.key {
	case "sa", "ca", "ma": // address of the server, client, or message broker
		if s.remote == (endpoint{}) {
			s.remote = b.endpoint
		}
		return nil
	case "lc": // local component
		if b.value == "" {
			s.recorder.orElse(b.endpoint)
			return nil
		}
	}
	s.recorder.orElse(b.endpoint)
	return s.addTag(b.key, b.value)
}

// orElse takes another endpoint when e is empty.
func (e *endpoint) orElse(other endpoint) {
	if *e == (endpoint{}) {
		*e = other
	}
}

// fromV1 converts annotations to the fields of v2. The local endpoint is the one that recorded the span's kind,
// or any other endpoint that recorded something.
func (s *span) fromV1() {
	var begin, end int64
	anyone := s.recorder
	kept := s.annotations[:0]
	for _, a := range s.annotations {
		anyone.orElse(a.endpoint)
		kind, begins := coreAnnotation(a.value)
		if kind == 0 {
			kept = append(kept, a)
			continue
		}
		if s.kind == 0 {
			s.kind = kind
		}
		switch {
		case s.kind != kind: // the other side of a span that both sides report
			continue
		case begins:
			begin = a.timestamp
		default:
			end = a.timestamp
		}
		s.local.orElse(a.endpoint)
	}
	s.local.orElse(anyone)
	s.annotations = kept
	if s.timestamp == 0 {
		s.timestamp = begin
	}
	if s.duration == 0 && begin > 0 && end > begin {
		s.duration = end - begin
	}
}

// coreAnnotation returns the span kind that an annotation's value means, and whether the value marks the span's
// start.
func coreAnnotation(value string) (kind uint64, begins bool) {
	switch value {
	case "cs":
		return spans.KindClient, true
	case "cr":
		return spans.KindClient, false
	case "sr":
		return spans.KindServer, true
	case "ss":
		return spans.KindServer, false
	case "ms":
		return spans.KindProducer, true
	case "mr":
		return spans.KindConsumer, true
	}
	return 0, false
}
