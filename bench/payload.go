package bench

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A template is an encoded ExportTraceServiceRequest and the offsets of all fields that must differ between
// requests. These fields have a fixed length, so a new payload takes one copy and a few stores per span.
// Encoding each batch would cost the client as much as decoding costs the server.
type template struct {
	bytes  []byte
	slots  []slot
	traces int
}

// slot is one span in a template. Offsets are those of a field's content, after tag and length; 0 means that
// the span has no such field.
type slot struct {
	span, parent                     uint32 // numbers within the template
	trace                            uint32
	traceID, spanID, parentID, value uint32
	startAt, endAt, eventAt          uint32
	begin, end                       uint64 // ns after the trace's start
	before                           uint64 // ns from the trace's start to its end
}

// jitterMask limits how many ns earlier than in its template a span ends. It is smaller than every gap between
// the ends of a child and its parent.
const jitterMask = 1<<16 - 1

// maxIdle limits how many ns before sending a trace ended, as if it had waited in an exporter's queue.
const maxIdle = 1<<24 - 1

// patch sets the ids, times and values of the spans in b, a copy of the template. firstTrace and firstSpan
// number them through the whole run.
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

// source turns the numbers of a run into ids and values. mix is a bijection, so ids are unique within a run.
// The random seeds make ids differ between runs.
type source struct {
	traceSeed, spanSeed, valueSeed uint64
	cardinality                    uint64 // 0: each span has its own value
}

func newSource(cardinality uint64) *source {
	return &source{rand.Uint64(), rand.Uint64(), rand.Uint64(), cardinality}
}

func (s *source) traceHi(n uint64) uint64 { return mix(s.traceSeed+n) | 1<<63 } // never zero, and always 32 digits
func (s *source) traceLo(n uint64) uint64 { return mix(s.valueSeed ^ n) }

func (s *source) spanID(n uint64) uint64 {
	id := mix(s.spanSeed + n)
	if id == 0 { // one number in 2^64; zero means no id
		return 1
	}
	return id
}

// valueSpan is the number of values that the digits can distinguish.
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

// payloads makes new payloads of one batch size. It is safe for concurrent use. All payloads of a run share its
// source and its numbering.
type payloads struct {
	*source
	templates []*template
	counter   *counter
}

type counter struct{ requests, traces, spans atomic.Uint64 }

func newPayloads(s *source, c *counter, batch, services int) *payloads {
	p := &payloads{source: s, counter: c}
	rng := rand.New(rand.NewPCG(1, 2)) // the same data in every run
	for triple := 0; len(p.templates) < minTemplates || triple*servicesPerTrace < services; triple += triplesIn(batch) {
		p.templates = append(p.templates, buildTemplate(rng, batch, services, triple))
	}
	return p
}

// minTemplates is the minimum number of different batches, so that a server does not receive the same few
// repeatedly.
const minTemplates = 16

// fill returns a payload, in dst's memory, and the numbers of its first trace and span.
func (p *payloads) fill(dst []byte, now time.Time) (payload []byte, trace, span uint64) {
	t := p.templates[p.counter.requests.Add(1)%uint64(len(p.templates))]
	trace = p.counter.traces.Add(uint64(t.traces)) - uint64(t.traces)
	span = p.counter.spans.Add(uint64(len(t.slots))) - uint64(len(t.slots))
	payload = append(dst[:0], t.bytes...)
	t.patch(payload, p.source, trace, span, now)
	return payload, trace, span
}

// size is the mean size of a payload in bytes.
func (p *payloads) size() float64 {
	var sum int
	for _, t := range p.templates {
		sum += len(t.bytes)
	}
	return float64(sum) / float64(len(p.templates))
}
