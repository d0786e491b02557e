package zipkin

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"etude/receive/spans"
)

// span is a decoded span of any format. Its texts are borrowed from the request's bytes.
type span struct {
	trace         [16]byte
	id, parent    [8]byte
	hasParent     bool
	v1            bool
	name          string
	kind          uint64 // of OTLP
	timestamp     int64  // microseconds since 1970; 0: absent
	duration      int64  // microseconds
	local, remote endpoint
	recorder      endpoint // of v1's binary annotations
	tags          []tag
	annotations   []annotation
}

type endpoint struct {
	service, ip string
	port        int64
}

type tag struct{ key, value string }

type annotation struct {
	timestamp int64 // microseconds since 1970
	value     string
	endpoint  endpoint // of v1
}

// reset clears s and keeps its memory.
func (s *span) reset() {
	*s = span{tags: s.tags[:0], annotations: s.annotations[:0]}
}

// maxList limits the tags and the annotations of a span: in memory they are larger than on the wire. Real spans
// stay far below the limit.
const maxList = 1 << 16

func (s *span) addTag(key, value string) error {
	if len(s.tags) == maxList {
		return fmt.Errorf("more than %d tags", maxList)
	}
	s.tags = append(s.tags, tag{key, value})
	return nil
}

func (s *span) addAnnotation(a annotation) error {
	if len(s.annotations) == maxList {
		return fmt.Errorf("more than %d annotations", maxList)
	}
	s.annotations = append(s.annotations, a)
	return nil
}

// maxMicros is the last microsecond that nanoseconds since 1970 can represent.
const maxMicros = math.MaxUint64 / 1000

// checkTimes refuses times that OTLP cannot represent.
func (s *span) checkTimes() error {
	check := func(field string, micros int64) error {
		if micros < 0 || micros > maxMicros {
			return fmt.Errorf("%s of %d microseconds is out of range: want 0 to %d", field, micros, uint64(maxMicros))
		}
		return nil
	}
	if err := check("timestamp", s.timestamp); err != nil {
		return err
	}
	for _, a := range s.annotations {
		if err := check("annotations: timestamp", a.timestamp); err != nil {
			return err
		}
	}
	s.duration = max(s.duration, 0)
	if s.duration > maxMicros-s.timestamp {
		return fmt.Errorf("duration of %d microseconds ends the span out of range", s.duration)
	}
	return nil
}

// settle sets the time of a span without one.
func (s *span) settle(arrival int64) {
	if s.timestamp != 0 {
		return
	}
	for _, a := range s.annotations {
		if a.timestamp > 0 && (s.timestamp == 0 || a.timestamp < s.timestamp) {
			s.timestamp = a.timestamp
		}
	}
	if s.timestamp == 0 {
		s.timestamp = arrival
	}
}

// batch is a list of spans during translation. Each service has one resource; services keep the order of their
// first span.
type batch struct {
	bounds  spans.Bounds
	arrival int64
	groups  spans.Groups
	s       span // reused for every span
	spans   int
}

func newBatch(arrival time.Time, bounds spans.Bounds) *batch {
	return &batch{bounds: bounds, arrival: arrival.UnixMicro()}
}

// add translates the decoded span.
func (b *batch) add() error {
	if b.s.v1 {
		b.s.fromV1()
	}
	b.s.settle(b.arrival)
	if err := b.s.checkTimes(); err != nil {
		return fmt.Errorf("span %d: %w", b.spans, err)
	}
	b.spans++
	return b.bounds.Grown(b.groups.Add(b.s.local.service, spans.Scope{}, func(w *spans.Writer) { writeSpan(w, &b.s) }))
}

// write appends a TracesData to dst.
func (b *batch) write(dst []byte) []byte {
	w := newWriter(dst)
	_ = b.groups.Write(&w, func(service string) error {
		if service != "" {
			res := w.Open(spans.FieldResource)
			w.AttrString(spans.ResourceAttributes, "service.name", service)
			w.Close(res)
		}
		return nil
	})
	return w.B
}

// writeSpan appends one span as a field of ScopeSpans.
func writeSpan(w *spans.Writer, s *span) {
	m := w.Open(spans.FieldSpan)
	w.Bytes(spans.TraceID, s.trace[:])
	w.Bytes(spans.SpanID, s.id[:])
	if s.hasParent {
		w.Bytes(spans.ParentID, s.parent[:])
	}
	w.String(spans.Name, s.name)
	w.Varint(spans.Kind, s.kind)
	w.Fixed64(spans.Start, uint64(s.timestamp)*1000)
	w.Fixed64(spans.End, uint64(s.timestamp+s.duration)*1000)
	code, message := writeTags(w, s)
	for i := range s.annotations {
		a := &s.annotations[i]
		ev := w.Open(spans.Events)
		w.Fixed64(spans.EventTime, uint64(a.timestamp)*1000)
		w.String(spans.EventName, a.value)
		w.Close(ev)
	}
	w.Status(code, message)
	w.Close(m)
}

// writeTags writes the attributes sorted by key, because the input is a map without order. It returns the
// status in them.
func writeTags(w *spans.Writer, s *span) (code uint64, message string) {
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
			code = spans.StatusError
		}
		w.AttrString(spans.Attributes, t.key, t.value)
	}
	writeEndpoint(w, s, &s.local, "net.host.ip", "net.host.port")
	if _, set := s.tag("peer.service"); s.remote.service != "" && !set {
		w.AttrString(spans.Attributes, "peer.service", s.remote.service)
	}
	writeEndpoint(w, s, &s.remote, "net.peer.ip", "net.peer.port")
	return code, message
}

// sortTags sorts the tags and keeps the last of each key.
func (s *span) sortTags() {
	slices.SortStableFunc(s.tags, func(a, b tag) int { return cmp.Compare(a.key, b.key) })
	kept := s.tags[:0]
	for i, t := range s.tags {
		if i+1 == len(s.tags) || s.tags[i+1].key != t.key {
			kept = append(kept, t)
		}
	}
	s.tags = kept
}

// tag finds a tag in sorted tags.
func (s *span) tag(key string) (value string, found bool) {
	i, found := slices.BinarySearchFunc(s.tags, key, func(t tag, key string) int { return cmp.Compare(t.key, key) })
	if !found {
		return "", false
	}
	return s.tags[i].value, true
}

// writeEndpoint writes address and port unless tags have set them.
func writeEndpoint(w *spans.Writer, s *span, e *endpoint, ipKey, portKey string) {
	if _, set := s.tag(ipKey); e.ip != "" && !set {
		w.AttrString(spans.Attributes, ipKey, e.ip)
	}
	if _, set := s.tag(portKey); e.port > 0 && !set {
		w.AttrInt(spans.Attributes, portKey, e.port)
	}
}

func statusNamed(name string) uint64 {
	switch name {
	case "OK":
		return spans.StatusOK
	case "ERROR":
		return spans.StatusError
	}
	return spans.StatusUnset
}
