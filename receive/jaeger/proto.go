package jaeger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"etude/internal/wire"
	"etude/receive/spans"
)

// FromProto appends to dst a TracesData with all spans of a PostSpansRequest (jaeger-idl,
// proto/api_v2/model.proto and collector.proto). Two things go beyond thrift: a span may have its own process,
// and the tags that OpenTelemetry's exporters wrote for scope and trace state are converted back. After an
// error dst has an incomplete result.
func FromProto(dst, request []byte, bounds spans.Bounds) ([]byte, error) {
	w := spans.Writer{Builder: wire.Builder{B: dst}}
	g := protoBatch{bounds: bounds}
	defer g.groups.Free()
	err := g.read(request)
	if err == nil {
		err = g.groups.Write(&w, func(process string) error { return g.resource(&w, process) })
	}
	return w.B, err
}

// notRequest wraps an error about invalid bytes.
func notRequest(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("body is not a Jaeger PostSpansRequest: %w", err)
}

// protoBatch is a batch during translation. The spans of one process share a resource; the key is the process'
// bytes.
type protoBatch struct {
	bounds spans.Bounds
	groups spans.Groups
	s      span // reused for every span; its tags also for processes
	spans  int
}

func (g *protoBatch) read(b []byte) error {
	var batch, process wire.Merged
	r := wire.Reader{Rest: b}
	for r.Next() {
		if r.IsBytes(1) {
			batch.Add(r.Data)
		}
	}
	if r.Err != nil {
		return notRequest(r.Err)
	}
	// The spans need the process, which comes after them on the wire.
	for r = (wire.Reader{Rest: batch.Data}); r.Next(); {
		if r.IsBytes(2) {
			process.Add(r.Data)
		}
	}
	if r.Err != nil {
		return notRequest(fmt.Errorf("batch: %w", r.Err))
	}
	for r = (wire.Reader{Rest: batch.Data}); r.Next(); {
		if !r.IsBytes(1) {
			continue
		}
		if err := g.span(r.Data, process.Data); err != nil {
			return err
		}
	}
	return nil
}

// span translates one span into its group.
func (g *protoBatch) span(b, process []byte) error {
	if err := g.bounds.Room(g.spans); err != nil {
		return err
	}
	own, err := g.s.readProto(b)
	if err != nil {
		return notRequest(fmt.Errorf("span %d: %w", g.spans, err))
	}
	g.spans++
	if own.There {
		process = own.Data
	}
	g.s.tags = uniqueTags(g.s.tags)
	sc := g.s.removeScope()
	state := g.s.removeTag("w3c.tracestate")
	size := g.groups.Add(wire.Borrow(process), sc, func(w *spans.Writer) { writeSpan(w, &g.s, state) })
	return g.bounds.Grown(size)
}

// resource writes the Resource of a process, or nothing without a process.
func (g *protoBatch) resource(w *spans.Writer, process string) error {
	if process == "" {
		return nil
	}
	var service string
	g.s.tags = g.s.tags[:0]
	r := wire.Reader{Rest: []byte(process)}
	for r.Next() {
		var err error
		switch {
		case r.IsBytes(1):
			service = r.Text()
		case r.IsBytes(2):
			g.s.tags, err = addProtoTag(g.s.tags, r.Data)
		}
		if err != nil {
			return notRequest(fmt.Errorf("process: %w", err))
		}
	}
	if r.Err != nil {
		return notRequest(fmt.Errorf("process: %w", r.Err))
	}
	writeProcess(w, service, g.s.tags)
	return nil
}

// removeScope removes the tags that name the scope and returns the scope. otel.library.* are the older names. A
// version without a name stays a tag.
func (s *span) removeScope() (sc spans.Scope) {
	if name := s.removeTag("otel.library.name"); name != "" {
		sc = spans.Scope{Name: name, Version: s.removeTag("otel.library.version")}
	}
	if name := s.removeTag("otel.scope.name"); name != "" {
		sc = spans.Scope{Name: name, Version: s.removeTag("otel.scope.version")}
	}
	return sc
}

// removeTag removes a tag with a non-empty string, and returns the string.
func (s *span) removeTag(key string) string {
	for i := range s.tags {
		if t := &s.tags[i]; t.key == key && t.typ == tagString && t.text != "" {
			text := t.text
			s.tags = append(s.tags[:i], s.tags[i+1:]...)
			return text
		}
	}
	return ""
}

// readProto decodes a Span, and returns its own process.
func (s *span) readProto(b []byte) (process wire.Merged, err error) {
	s.reset()
	var start, duration moment
	r := wire.Reader{Rest: b}
	for r.Next() {
		switch {
		case r.IsBytes(1):
			s.traceHigh, s.traceLow, err = protoTraceID(r.Data)
		case r.IsBytes(2):
			s.id, err = protoSpanID(r.Data)
		case r.IsBytes(3):
			s.name = r.Text()
		case r.IsBytes(4):
			err = s.addProtoRef(r.Data)
		case r.IsBytes(6):
			start, err = readMoment(r.Data)
		case r.IsBytes(7):
			duration, err = readMoment(r.Data)
		case r.IsBytes(8):
			s.tags, err = addProtoTag(s.tags, r.Data)
		case r.IsBytes(9):
			err = s.addProtoLog(r.Data)
		case r.IsBytes(10):
			process.Add(r.Data)
		}
		if err != nil {
			return process, fmt.Errorf("field %d: %w", r.Number, err)
		}
	}
	s.start, s.end = start.nanos(), start.plus(duration).nanos()
	return process, r.Err
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

func (s *span) addProtoRef(b []byte) (err error) {
	if len(s.refs) == maxList {
		return errList
	}
	var out ref
	r := wire.Reader{Rest: b}
	for r.Next() && err == nil {
		switch {
		case r.IsBytes(1):
			out.traceHigh, out.traceLow, err = protoTraceID(r.Data)
		case r.IsBytes(2):
			out.span, err = protoSpanID(r.Data)
		case r.IsVarint(3):
			out.kind = int32(r.Value)
		}
	}
	s.refs = append(s.refs, out)
	return errors.Join(err, r.Err)
}

func (s *span) addProtoLog(b []byte) (err error) {
	var time moment
	s.fields = s.fields[:0]
	r := wire.Reader{Rest: b}
	for r.Next() && err == nil {
		switch {
		case r.IsBytes(1):
			time, err = readMoment(r.Data)
		case r.IsBytes(2):
			s.fields, err = addProtoTag(s.fields, r.Data)
		}
	}
	writeLog(&s.events, time.nanos(), s.fields)
	return errors.Join(err, r.Err)
}

// addProtoTag decodes a KeyValue and keeps the value of its type.
func addProtoTag(tags []tag, b []byte) ([]tag, error) {
	if len(tags) == maxList {
		return tags, errList
	}
	var t tag
	var typ int32
	var text, binary string
	var boolean, long, double uint64
	r := wire.Reader{Rest: b}
	for r.Next() {
		switch {
		case r.IsBytes(1):
			t.key = r.Text()
		case r.IsVarint(2):
			typ = int32(r.Value)
		case r.IsBytes(3):
			text = r.Text()
		case r.IsVarint(4):
			boolean = r.Value
		case r.IsVarint(5):
			long = r.Value
		case r.IsFixed64(6):
			double = r.Value
		case r.IsBytes(7):
			binary = r.Text()
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
	return append(tags, t), r.Err
}

// moment is a protobuf Timestamp or Duration.
type moment struct{ seconds, nano int64 }

// readMoment limits seconds so that sums cannot overflow; the limit is far beyond all clocks.
func readMoment(b []byte) (m moment, err error) {
	const far = 1 << 40
	r := wire.Reader{Rest: b}
	for r.Next() {
		switch {
		case r.IsVarint(1):
			m.seconds = max(-far, min(int64(r.Value), far))
		case r.IsVarint(2):
			m.nano = int64(int32(r.Value))
		}
	}
	return m, r.Err
}

func (m moment) plus(d moment) moment { return moment{m.seconds + d.seconds, m.nano + d.nano} }

// nanos is the time in nanoseconds since 1970, limited to their range.
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

// bigEndian decodes an id of at most 8 bytes.
func bigEndian(b []byte) uint64 {
	var full [8]byte
	copy(full[8-len(b):], b)
	return binary.BigEndian.Uint64(full[:])
}
