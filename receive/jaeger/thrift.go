package jaeger

import (
	"errors"
	"fmt"
	"math"

	"etude/internal/wire"
	"etude/receive/spans"
)

// FromThrift appends to dst a TracesData with all spans of a batch (jaeger-idl, thrift/jaeger.thrift), in
// Thrift's compact or binary protocol. Fields may come in any order. A missing required field makes the batch
// malformed, as in upstream's code.
//
// It translates one span at a time, so that a hostile batch of many empty spans takes no more memory than one
// span. After an error dst has an incomplete result.
func FromThrift(dst, batch []byte, compact bool, bounds spans.Bounds) ([]byte, error) {
	w := spans.Writer{Builder: wire.Builder{B: dst}}
	t := thriftBatch{r: newThriftReader(batch, compact), p: &w, spans: -1}
	rs := w.OpenResource()
	err := t.read(bounds)
	w.Close(rs)
	switch {
	case err != nil:
	case t.r.err != nil:
		err = fmt.Errorf("body is not a Jaeger thrift batch: %w", t.r.err)
	case len(t.r.rest) > 0:
		err = fmt.Errorf("body is not a Jaeger thrift batch: %d bytes follow its end", len(t.r.rest))
	}
	return w.B, err
}

// thriftBatch is a batch during translation.
type thriftBatch struct {
	r       *thriftReader
	p       *spans.Writer
	s       span // reused for every span; its tags also for the process
	process bool // has been read
	spans   int  // -1: not read yet
}

var errThriftTwice = errors.New("a field occurs twice")

func (t *thriftBatch) read(bounds spans.Bounds) error {
	var f thriftField
	for t.r.next(&f) {
		switch {
		case f.is(1, thriftStruct) && !t.process:
			t.process = true
			t.readProcess()
		case f.is(2, thriftList) && t.spans < 0:
			t.spans = t.r.list(thriftStruct)
			if err := bounds.Room(t.spans - 1); err != nil {
				return err
			}
			if err := t.readSpans(bounds); err != nil {
				return err
			}
		case f.is(1, thriftStruct), f.is(2, thriftList):
			t.r.fail(errThriftTwice)
		default:
			t.r.skipField(&f)
		}
	}
	if !t.process {
		t.r.missing("batch", "process")
	}
	if t.spans < 0 {
		t.r.missing("batch", "spans")
	}
	return nil
}

// missing reports a missing required field.
func (r *thriftReader) missing(of, field string) {
	if r.err == nil {
		r.fail(fmt.Errorf("%s without %s", of, field))
	}
}

// require checks the required fields of a struct: bit n of seen is field n.
func (r *thriftReader) require(of string, seen uint32, names ...string) {
	for i, name := range names {
		if seen&(2<<i) == 0 {
			r.missing(of, name)
		}
	}
}

func (t *thriftBatch) readProcess() {
	var f thriftField
	var seen uint32
	var service string
	t.s.reset()
	for t.r.next(&f) {
		switch {
		case f.is(1, thriftString):
			service, seen = t.r.text(), seen|1<<1
		case f.is(2, thriftList):
			t.s.tags = t.r.tags(t.s.tags[:0])
		default:
			t.r.skipField(&f)
		}
	}
	t.r.require("process", seen, "serviceName")
	if t.r.err == nil {
		writeProcess(t.p, service, t.s.tags)
	}
}

func (t *thriftBatch) readSpans(bounds spans.Bounds) error {
	ss := t.p.OpenScope(spans.Scope{})
	for n := t.spans; n > 0 && t.r.err == nil; n-- {
		t.r.span(&t.s)
		if t.r.err != nil {
			break
		}
		t.s.tags = uniqueTags(t.s.tags)
		writeSpan(t.p, &t.s, "")
		if err := bounds.Grown(len(t.p.B)); err != nil {
			return err
		}
	}
	t.p.Close(ss)
	return nil
}

func (r *thriftReader) span(s *span) {
	s.reset()
	var f thriftField
	var seen uint32
	var start, duration int64
	for r.next(&f) {
		switch {
		case f.is(1, thriftI64):
			s.traceLow = uint64(r.i64())
		case f.is(2, thriftI64):
			s.traceHigh = uint64(r.i64())
		case f.is(3, thriftI64):
			s.id = uint64(r.i64())
		case f.is(4, thriftI64):
			s.parent = uint64(r.i64())
		case f.is(5, thriftString):
			s.name = r.text()
		case f.is(6, thriftList):
			r.refs(s)
		case f.is(7, thriftI32):
			r.i32() // flags no longer have a meaning
		case f.is(8, thriftI64):
			start = r.i64()
		case f.is(9, thriftI64):
			duration = r.i64()
		case f.is(10, thriftList):
			s.tags = r.tags(s.tags[:0])
		case f.is(11, thriftList):
			r.logs(s)
		default:
			r.skipField(&f)
			continue
		}
		seen |= 1 << f.id
	}
	s.start, s.end = nanos(start), nanos(endMicros(start, duration))
	const required = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<7 | 1<<8 | 1<<9
	if seen&required != required {
		r.require("span", seen|1<<6, "traceIdLow", "traceIdHigh", "spanId", "parentSpanId", "operationName", "references", "flags", "startTime", "duration")
	}
}

func (r *thriftReader) refs(s *span) {
	s.refs = s.refs[:0]
	for n := r.few(); n > 0 && r.err == nil; n-- {
		s.refs = append(s.refs, r.ref())
	}
}

func (r *thriftReader) ref() (out ref) {
	var f thriftField
	var seen uint32
	for r.next(&f) {
		switch {
		case f.is(1, thriftI32):
			out.kind = r.i32()
		case f.is(2, thriftI64):
			out.traceLow = uint64(r.i64())
		case f.is(3, thriftI64):
			out.traceHigh = uint64(r.i64())
		case f.is(4, thriftI64):
			out.span = uint64(r.i64())
		default:
			r.skipField(&f)
			continue
		}
		seen |= 1 << f.id
	}
	r.require("reference", seen, "refType", "traceIdLow", "traceIdHigh", "spanId")
	return out
}

func (r *thriftReader) logs(s *span) {
	s.events.B = s.events.B[:0]
	for n := r.list(thriftStruct); n > 0 && r.err == nil; n-- {
		r.log(s)
	}
}

func (r *thriftReader) log(s *span) {
	var f thriftField
	var seen uint32
	var time int64
	for r.next(&f) {
		switch {
		case f.is(1, thriftI64):
			time = r.i64()
		case f.is(2, thriftList):
			s.fields = r.tags(s.fields[:0])
		default:
			r.skipField(&f)
			continue
		}
		seen |= 1 << f.id
	}
	r.require("log", seen, "timestamp", "fields")
	if r.err == nil {
		writeLog(&s.events, nanos(time), s.fields)
	}
}

// few reads the head of a list that is kept in memory.
func (r *thriftReader) few() int {
	n := r.list(thriftStruct)
	if n > maxList {
		r.fail(errList)
		return 0
	}
	return n
}

func (r *thriftReader) tags(tags []tag) []tag {
	for n := r.few(); n > 0 && r.err == nil; n-- {
		tags = append(tags, r.tag())
	}
	return tags
}

// tag decodes a tag and keeps the value of its type.
func (r *thriftReader) tag() (t tag) {
	var f thriftField
	var seen uint32
	var typ int32
	var text, binary string
	var double, boolean, long uint64
	for r.next(&f) {
		switch {
		case f.is(1, thriftString):
			t.key = r.text()
		case f.is(2, thriftI32):
			typ = r.i32()
		case f.is(3, thriftString):
			text = r.text()
		case f.is(4, thriftDouble):
			double = r.double()
		case f.is(5, thriftBool):
			boolean = 0
			if r.bool(&f) {
				boolean = 1
			}
		case f.is(6, thriftI64):
			long = uint64(r.i64())
		case f.is(7, thriftString):
			binary = r.text()
		default:
			r.skipField(&f)
			continue
		}
		seen |= 1 << f.id
	}
	if seen&(1<<1|1<<2) != 1<<1|1<<2 {
		r.require("tag", seen, "key", "vType")
	}
	switch typ {
	case 0:
		t.typ, t.text = tagString, text
	case 1:
		t.typ, t.bits = tagDouble, double
	case 2:
		t.typ, t.bits = tagBool, boolean
	case 3:
		t.typ, t.bits = tagLong, long
	case 4:
		t.typ, t.text = tagBinary, binary
	default:
		t.typ, t.bits = tagUnknown, uint64(typ)
	}
	return t
}

// nanos converts microseconds to nanoseconds, limited to the range of both.
func nanos(us int64) uint64 {
	if us <= 0 {
		return 0
	}
	if uint64(us) > math.MaxUint64/1000 {
		return math.MaxUint64
	}
	return uint64(us) * 1000
}

// endMicros is start + duration without overflow.
func endMicros(start, duration int64) int64 {
	if duration > 0 && start > math.MaxInt64-duration {
		return math.MaxInt64
	}
	if duration < 0 && start < math.MinInt64-duration {
		return math.MinInt64
	}
	return start + duration
}
