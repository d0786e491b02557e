package receive

import (
	"errors"
	"fmt"
	"math"
)

// Reading api_v2 (jaeger-idl, proto/api_v2/model.proto and collector.proto).
// Beyond what thrift can say, a span may name its own process, and tags that
// OpenTelemetry's exporters wrote for scope and trace state are turned back.

// jaegerProto appends a TracesData with all spans of a PostSpansRequest and
// returns how many there are.
func (p *protoBuilder) jaegerProto(b []byte, limit *budget) (int, error) {
	g := protoBatch{limit: limit}
	defer g.groups.free()
	err := g.read(b)
	if err == nil {
		err = g.groups.write(p, func(process string) error { return g.resource(p, process) })
	}
	var r *refusal
	if err != nil && !errors.As(err, &r) {
		err = refuse(malformed, "body is not a Jaeger PostSpansRequest: %v", err)
	}
	return g.spans, err
}

// protoBatch is a batch on its way. Spans of one process are one resource; its
// bytes are the key.
type protoBatch struct {
	limit  *budget
	groups spanGroups
	s      jaegerSpan // used for every span, and its tags for processes
	spans  int
}

func (g *protoBatch) read(b []byte) error {
	var batch, process merged
	r := protoReader{rest: b}
	for r.next() {
		if r.isBytes(1) {
			batch.add(r.data)
		}
	}
	if r.err != nil {
		return r.err
	}
	// The process, which the spans need, comes behind them on the wire.
	for r = (protoReader{rest: batch.data}); r.next(); {
		if r.isBytes(2) {
			process.add(r.data)
		}
	}
	if r.err != nil {
		return fmt.Errorf("batch: %w", r.err)
	}
	for r = (protoReader{rest: batch.data}); r.next(); {
		if !r.isBytes(1) {
			continue
		}
		if err := g.span(r.data, process.data); err != nil {
			return err
		}
	}
	return nil
}

// span translates one span into its group.
func (g *protoBatch) span(b, process []byte) error {
	if most := g.limit.in.limits.Spans; g.spans == most {
		return refuse(tooLarge, "batch has more than the limit of %d spans; send smaller batches", most)
	}
	own, err := g.s.readProto(b)
	if err != nil {
		return fmt.Errorf("span %d: %w", g.spans, err)
	}
	g.spans++
	if own.there {
		process = own.data
	}
	g.s.tags = uniqueTags(g.s.tags)
	sc := g.s.takeScope()
	state := g.s.takeTag("w3c.tracestate")
	p := g.groups.of(borrow(process), sc)
	before := len(p.b)
	p.jaegerSpan(&g.s, state)
	g.groups.size += len(p.b) - before
	return g.limit.check(g.groups.size)
}

// resource writes the Resource of a process. No process, no Resource.
func (g *protoBatch) resource(p *protoBuilder, process string) error {
	if process == "" {
		return nil
	}
	var service string
	g.s.tags = g.s.tags[:0]
	r := protoReader{rest: []byte(process)}
	for r.next() {
		var err error
		switch {
		case r.isBytes(1):
			service = r.text()
		case r.isBytes(2):
			g.s.tags, err = addProtoTag(g.s.tags, r.data)
		}
		if err != nil {
			return fmt.Errorf("process: %w", err)
		}
	}
	if r.err != nil {
		return fmt.Errorf("process: %w", r.err)
	}
	p.jaegerProcess(service, g.s.tags)
	return nil
}

// takeScope removes the tags that name the scope. otel.library.* are the older
// names. A version without its name stays a tag.
func (s *jaegerSpan) takeScope() (sc scope) {
	if name := s.takeTag("otel.library.name"); name != "" {
		sc = scope{name, s.takeTag("otel.library.version")}
	}
	if name := s.takeTag("otel.scope.name"); name != "" {
		sc = scope{name, s.takeTag("otel.scope.version")}
	}
	return sc
}

// takeTag removes a tag that is a string and not empty, and returns its text.
func (s *jaegerSpan) takeTag(key string) string {
	for i := range s.tags {
		if t := &s.tags[i]; t.key == key && t.typ == tagString && t.text != "" {
			text := t.text
			s.tags = append(s.tags[:i], s.tags[i+1:]...)
			return text
		}
	}
	return ""
}

// readProto reads a Span, and returns its own process.
func (s *jaegerSpan) readProto(b []byte) (process merged, err error) {
	s.reset()
	var start, duration moment
	r := protoReader{rest: b}
	for r.next() {
		switch {
		case r.isBytes(1):
			s.traceHigh, s.traceLow, err = protoTraceID(r.data)
		case r.isBytes(2):
			s.id, err = protoSpanID(r.data)
		case r.isBytes(3):
			s.name = r.text()
		case r.isBytes(4):
			err = s.addProtoRef(r.data)
		case r.isBytes(6):
			start, err = readMoment(r.data)
		case r.isBytes(7):
			duration, err = readMoment(r.data)
		case r.isBytes(8):
			s.tags, err = addProtoTag(s.tags, r.data)
		case r.isBytes(9):
			err = s.addProtoLog(r.data)
		case r.isBytes(10):
			process.add(r.data)
		}
		if err != nil {
			return process, fmt.Errorf("field %d: %w", r.number, err)
		}
	}
	s.start, s.end = start.nanos(), start.plus(duration).nanos()
	return process, r.err
}

func protoTraceID(b []byte) (high, low uint64, err error) {
	switch len(b) {
	case 16:
		return bigEndian(b[:8]), bigEndian(b[8:]), nil
	case 8:
		return 0, bigEndian(b), nil
	}
	return 0, 0, fmt.Errorf("trace id of %d bytes, want 16", len(b))
}

func protoSpanID(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("span id of %d bytes, want 8", len(b))
	}
	return bigEndian(b), nil
}

func (s *jaegerSpan) addProtoRef(b []byte) (err error) {
	if len(s.refs) == maxJaegerList {
		return errJaegerList
	}
	var ref jaegerRef
	r := protoReader{rest: b}
	for r.next() && err == nil {
		switch {
		case r.isBytes(1):
			ref.traceHigh, ref.traceLow, err = protoTraceID(r.data)
		case r.isBytes(2):
			ref.span, err = protoSpanID(r.data)
		case r.isVarint(3):
			ref.kind = int32(r.value)
		}
	}
	s.refs = append(s.refs, ref)
	return errors.Join(err, r.err)
}

func (s *jaegerSpan) addProtoLog(b []byte) (err error) {
	var time moment
	s.fields = s.fields[:0]
	r := protoReader{rest: b}
	for r.next() && err == nil {
		switch {
		case r.isBytes(1):
			time, err = readMoment(r.data)
		case r.isBytes(2):
			s.fields, err = addProtoTag(s.fields, r.data)
		}
	}
	s.events.jaegerLog(time.nanos(), s.fields)
	return errors.Join(err, r.err)
}

// addProtoTag reads a KeyValue and keeps the value that its type asks for.
func addProtoTag(tags []jaegerTag, b []byte) ([]jaegerTag, error) {
	if len(tags) == maxJaegerList {
		return tags, errJaegerList
	}
	var t jaegerTag
	var typ int32
	var text, binary string
	var boolean, long, double uint64
	r := protoReader{rest: b}
	for r.next() {
		switch {
		case r.isBytes(1):
			t.key = r.text()
		case r.isVarint(2):
			typ = int32(r.value)
		case r.isBytes(3):
			text = r.text()
		case r.isVarint(4):
			boolean = r.value
		case r.isVarint(5):
			long = r.value
		case r.isFixed64(6):
			double = r.value
		case r.isBytes(7):
			binary = r.text()
		}
	}
	switch typ {
	case 0:
		t.typ, t.text = tagString, text
	case 1:
		t.typ, t.bits = tagBool, boolean
	case 2:
		t.typ, t.bits = tagLong, long
	case 3:
		t.typ, t.bits = tagDouble, double
	case 4:
		t.typ, t.text = tagBinary, binary
	default:
		t.typ, t.bits = tagUnknown, uint64(typ)
	}
	return append(tags, t), r.err
}

// moment is a protobuf Timestamp, or a Duration.
type moment struct{ seconds, nano int64 }

// readMoment holds seconds within what can be added up: far beyond all clocks.
func readMoment(b []byte) (m moment, err error) {
	const far = 1 << 40
	r := protoReader{rest: b}
	for r.next() {
		switch {
		case r.isVarint(1):
			m.seconds = max(-far, min(int64(r.value), far))
		case r.isVarint(2):
			m.nano = int64(int32(r.value))
		}
	}
	return m, r.err
}

func (m moment) plus(d moment) moment { return moment{m.seconds + d.seconds, m.nano + d.nano} }

// nanos is the moment since 1970, held within what nanoseconds can say.
func (m moment) nanos() uint64 {
	const second = 1_000_000_000
	seconds, nano := m.seconds+m.nano/second, m.nano%second
	if nano < 0 {
		seconds, nano = seconds-1, nano+second
	}
	switch {
	case seconds < 0:
		return 0
	case seconds >= math.MaxUint64/second:
		return math.MaxUint64
	}
	return uint64(seconds)*second + uint64(nano)
}
