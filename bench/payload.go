package bench

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A template is an encoded ExportTraceServiceRequest and the offsets of all
// that must differ from request to request. Every field there has a fixed
// length, so a fresh payload is one copy and a few stores per span; encoding a
// batch from scratch would cost the client as much as the server spends on it.
type template struct {
	bytes  []byte
	slots  []slot
	traces int
}

// slot is one span in a template. Offsets are of content, after tag and length;
// 0 means that the span has no such field.
type slot struct {
	span, parent                     uint32 // numbers within the template
	trace                            uint32
	traceID, spanID, parentID, value uint32
	startAt, endAt, eventAt          uint32
	begin, end                       uint64 // ns after the trace's start
	before                           uint64 // ns from the trace's start to its end
}

// jitterMask bounds by how many ns a span ends earlier than its template says.
// It is below every gap between the ends of a child and its parent.
const jitterMask = 1<<16 - 1

// maxIdle bounds by how many ns a trace ended before it is sent, as if it had
// waited in an exporter's queue.
const maxIdle = 1<<24 - 1

// patch gives the spans in b, a copy of the template, their ids, times and
// values. firstTrace and firstSpan number them through the whole run.
func (t *template) patch(b []byte, s *source, firstTrace, firstSpan uint64, now time.Time) {
	sent := uint64(now.UnixNano())
	for i := range t.slots {
		at := &t.slots[i]
		trace := firstTrace + uint64(at.trace)
		hi := s.traceHi(trace)
		binary.BigEndian.PutUint64(b[at.traceID:], hi)
		binary.BigEndian.PutUint64(b[at.traceID+8:], s.traceLo(trace))
		id := s.spanID(firstSpan + uint64(at.span))
		binary.BigEndian.PutUint64(b[at.spanID:], id)
		if at.parentID != 0 {
			binary.BigEndian.PutUint64(b[at.parentID:], s.spanID(firstSpan+uint64(at.parent)))
		}
		base := sent - hi&maxIdle - at.before
		binary.LittleEndian.PutUint64(b[at.startAt:], base+at.begin)
		binary.LittleEndian.PutUint64(b[at.endAt:], base+at.end-id&jitterMask)
		if at.eventAt != 0 {
			binary.LittleEndian.PutUint64(b[at.eventAt:], base+(at.begin+at.end)/2)
		}
		putDigits(b[at.value:at.value+valueDigits], s.valueNumber(firstSpan+uint64(at.span)))
	}
}

func putDigits(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// source turns the numbers of a run into ids and values. mix is a bijection, so
// ids are unique in a run; the random seeds keep runs apart.
type source struct {
	traceSeed, spanSeed, valueSeed uint64
	cardinality                    uint64 // 0: each span its own value
}

func newSource(cardinality uint64) *source {
	return &source{rand.Uint64(), rand.Uint64(), rand.Uint64(), cardinality}
}

func (s *source) traceHi(n uint64) uint64 { return mix(s.traceSeed+n) | 1<<63 } // never zero, and always 32 digits
func (s *source) traceLo(n uint64) uint64 { return mix(s.valueSeed ^ n) }

func (s *source) spanID(n uint64) uint64 {
	id := mix(s.spanSeed + n)
	if id == 0 { // one number in 2^64, and zero means no id
		return 1
	}
	return id
}

// valueSpan is the most numbers that the digits of a value can tell apart.
const valueSpan = 10_000_000_000

func (s *source) valueNumber(n uint64) uint64 {
	if s.cardinality == 0 {
		return (s.valueSeed%valueSpan + n) % valueSpan
	}
	return mix(s.valueSeed+n) % s.cardinality
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// payloads makes fresh payloads of one batch size, from many goroutines. They
// share the source and the numbering of the run.
type payloads struct {
	*source
	templates []*template
	counter   *counter
}

type counter struct{ requests, traces, spans atomic.Uint64 }

func newPayloads(s *source, c *counter, batch, services int) *payloads {
	p := &payloads{source: s, counter: c}
	rng := rand.New(rand.NewPCG(1, 2)) // the same data on every run
	for triple := 0; len(p.templates) < minTemplates || triple*servicesPerTrace < services; triple += triplesIn(batch) {
		p.templates = append(p.templates, buildTemplate(rng, batch, services, triple))
	}
	return p
}

// minTemplates keeps a server from seeing the same few batches again and again.
const minTemplates = 16

// fill returns a payload in dst's memory and the number of its first trace.
func (p *payloads) fill(dst []byte, now time.Time) (payload []byte, trace, span uint64) {
	t := p.templates[p.counter.requests.Add(1)%uint64(len(p.templates))]
	trace = p.counter.traces.Add(uint64(t.traces)) - uint64(t.traces)
	span = p.counter.spans.Add(uint64(len(t.slots))) - uint64(len(t.slots))
	payload = append(dst[:0], t.bytes...)
	t.patch(payload, p.source, trace, span, now)
	return payload, trace, span
}

// size is the mean number of bytes of a payload.
func (p *payloads) size() float64 {
	var sum int
	for _, t := range p.templates {
		sum += len(t.bytes)
	}
	return float64(sum) / float64(len(p.templates))
}
