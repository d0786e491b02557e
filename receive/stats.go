package receive

import "sync/atomic"

// Protocol is the protocol of a request. It is the value of a metric label.
type Protocol string

const (
	OTLPGRPC     Protocol = "otlp_grpc"
	OTLPHTTP     Protocol = "otlp_http"
	JaegerThrift Protocol = "jaeger_thrift_http"
	JaegerGRPC   Protocol = "jaeger_grpc"
	Zipkin       Protocol = "zipkin_http"
)

var protocols = [...]Protocol{OTLPGRPC, OTLPHTTP, JaegerThrift, JaegerGRPC, Zipkin}

// Stats counts accepted and refused requests. The zero value is ready. Counters only grow; gauges have the
// current state.
type Stats struct {
	byProtocol [len(protocols)]protocolStats
	cut        atomic.Uint64
	idleClosed atomic.Uint64
	overfull   atomic.Uint64
	wrongPort  atomic.Uint64
	logs       taken
	metrics    taken
	gate       atomic.Pointer[gate]
	registry   atomic.Pointer[registry]
}

// taken counts telemetry other than traces.
type taken struct{ accepted, rejected atomic.Uint64 }

func (t *taken) accept(n int)   { t.accepted.Add(uint64(n)) }
func (t *taken) leaveOut(n int) { t.rejected.Add(uint64(n)) }

type protocolStats struct {
	requests, spans, bytes atomic.Uint64
	rejected               atomic.Uint64
	refused, refusedSpans  [len(reasons)]atomic.Uint64
}

// Counts is a copy of all counters.
type Counts struct {
	Protocols []ProtocolCounts
	// Connections is the number of open connections.
	Connections int64
	// InFlight and InFlightBytes are the requests being handled now.
	InFlight, InFlightBytes int64
	// ArrivingBytes are the bytes in memory of incomplete requests.
	ArrivingBytes int64
	// Cut counts connections closed before their protocol was known, or because too many were open and none was
	// idle.
	Cut uint64
	// IdleClosed counts connections closed to make room because they had been idle longest.
	IdleClosed uint64
	// Overfull counts connections cut because incomplete requests used too many bytes and theirs used most.
	Overfull uint64
	// WrongPort counts connections that used gRPC on the HTTP port or HTTP on the gRPC port. They were served.
	WrongPort uint64
	// Points and RejectedPoints count accepted and rejected data points of metrics. RejectedLogs counts log
	// records, all of which are rejected.
	Points, RejectedPoints, RejectedLogs uint64
}

// ProtocolCounts are the counters of one protocol.
type ProtocolCounts struct {
	Protocol Protocol
	// Requests, Spans and Bytes were accepted by the Sink. Bytes counts the decompressed OTLP payload.
	Requests, Spans, Bytes uint64
	// Rejected counts spans that the Sink rejected in accepted requests.
	Rejected uint64
	// Refused counts requests by the reason of refusal. It has every reason.
	Refused map[string]uint64
	// RefusedSpans counts their spans, as far as the requests could be decoded.
	RefusedSpans map[string]uint64
}

// Counts copies the counters, protocols in a fixed order.
func (s *Stats) Counts() Counts {
	c := Counts{
		Cut:        s.cut.Load(),
		IdleClosed: s.idleClosed.Load(),
		Overfull:   s.overfull.Load(),
		WrongPort:  s.wrongPort.Load(),
		Points:     s.metrics.accepted.Load(), RejectedPoints: s.metrics.rejected.Load(), RejectedLogs: s.logs.rejected.Load(),
	}
	if r := s.registry.Load(); r != nil {
		c.Connections, c.ArrivingBytes = r.open(), r.arriving.Load()
	}
	if g := s.gate.Load(); g != nil {
		c.InFlight, c.InFlightBytes = g.requests.Load(), g.bytes.Load()
	}
	for i, name := range protocols {
		p := &s.byProtocol[i]
		pc := ProtocolCounts{
			Protocol: name,
			Requests: p.requests.Load(), Spans: p.spans.Load(), Bytes: p.bytes.Load(), Rejected: p.rejected.Load(),
			Refused:      make(map[string]uint64, len(reasons)),
			RefusedSpans: make(map[string]uint64, len(reasons)),
		}
		for r, text := range reasons {
			pc.Refused[text] = p.refused[r].Load()
			pc.RefusedSpans[text] = p.refusedSpans[r].Load()
		}
		c.Protocols = append(c.Protocols, pc)
	}
	return c
}

func (s *Stats) of(p Protocol) *protocolStats {
	for i, name := range protocols {
		if name == p {
			return &s.byProtocol[i]
		}
	}
	panic("receive: unknown protocol " + p)
}

func (s *Stats) accept(p Protocol, spans, bytes int) {
	c := s.of(p)
	c.requests.Add(1)
	c.spans.Add(uint64(spans))
	c.bytes.Add(uint64(bytes))
}

func (s *Stats) reject(p Protocol, spans int) { s.of(p).rejected.Add(uint64(spans)) }

func (s *Stats) refuse(p Protocol, r reason) { s.of(p).refused[r].Add(1) }

// refuseSpans counts the spans of a request about to be refused with err.
func (s *Stats) refuseSpans(p Protocol, err error, spans int) {
	s.of(p).refusedSpans[readRefusal(err).reason].Add(uint64(spans))
}
