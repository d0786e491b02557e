package receive

import (
	"sync/atomic"
	"time"
)

const mebibyte = 1 << 20

// Limits bound what clients can make the process hold or wait for. A field
// left at zero takes its default.
type Limits struct {
	// Body is the most bytes of one HTTP body as sent. Default 20 MiB.
	Body int64
	// Decompressed is the most bytes of one request after decompression, of one
	// gRPC message, and of the OTLP that another protocol becomes. Default 20 MiB.
	Decompressed int64
	// Spans is the most spans in one request. Default 100,000.
	Spans int
	// Requests is how many requests may be in flight at once. Default 256.
	Requests int64
	// InFlight is how many bytes the requests in flight may hold together,
	// decompressed: bodies and messages as room is made for what arrives (where
	// grpc-go itself reads, once they are whole). Default 256 MiB.
	InFlight int64
	// Connections is how many connections may be open at once. Default 1024.
	Connections int64
	// HeaderTimeout cuts a client that does not say what it wants. Default 10 s.
	HeaderTimeout time.Duration
	// RequestTimeout cuts a client that does not finish its request. Default 30 s.
	RequestTimeout time.Duration
	// IdleTimeout closes a connection without requests. Default 2 min.
	IdleTimeout time.Duration
	// RetryDelay is what an overloaded server asks clients to wait. Default 1 s.
	RetryDelay time.Duration
}

func (l Limits) withDefaults() Limits {
	l.Body = orDefault(l.Body, 20*mebibyte)
	l.Decompressed = orDefault(l.Decompressed, 20*mebibyte)
	l.Spans = orDefault(l.Spans, 100_000)
	l.Requests = orDefault(l.Requests, 256)
	l.InFlight = orDefault(l.InFlight, 256*mebibyte)
	l.Connections = orDefault(l.Connections, 1024)
	l.HeaderTimeout = orDefault(l.HeaderTimeout, 10*time.Second)
	l.RequestTimeout = orDefault(l.RequestTimeout, 30*time.Second)
	l.IdleTimeout = orDefault(l.IdleTimeout, 2*time.Minute)
	l.RetryDelay = orDefault(l.RetryDelay, time.Second)
	return l
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// gate admits requests while both their number and their bytes stay within the
// limits. It never queues: a client that is told to come back holds its own
// data, a queue here would hold it for everybody.
type gate struct {
	maxRequests, maxBytes int64
	requests, bytes       atomic.Int64
}

// enter reports whether one more request may start; if so, leave must follow.
func (g *gate) enter() bool {
	if g.requests.Add(1) > g.maxRequests {
		g.requests.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.requests.Add(-1) }

// hold reports whether n more bytes may be held; if so, release must follow.
func (g *gate) hold(n int64) bool {
	if g.bytes.Add(n) > g.maxBytes {
		g.bytes.Add(-n)
		return false
	}
	return true
}

func (g *gate) release(n int64) { g.bytes.Add(-n) }

// budget bounds the OTLP that one request of another protocol becomes: a few
// bytes of a hostile one can ask for many. They are held at the gate as they
// come to be, like those of a body.
type budget struct {
	in   *intake
	held int64
}

// budgetStep is how much is asked of the gate at once.
const budgetStep = 64 << 10

func (in *intake) newBudget() *budget { return &budget{in: in} }

// check is told, span by span, how many bytes there are so far.
func (b *budget) check(n int) error {
	if int64(n) <= b.held {
		return nil // Fast path.
	}
	if limit := b.in.limits.Decompressed; int64(n) > limit {
		return refuse(tooLarge, "request is larger than the limit of %d bytes as OTLP; send smaller batches", limit)
	}
	more := int64(n) - b.held + budgetStep
	if !b.in.gate.hold(more) {
		return b.in.overload("requests in flight hold more than %d bytes", b.in.limits.InFlight)
	}
	b.held += more
	return nil
}

// free gives back what is held.
func (b *budget) free() { b.in.gate.release(b.held) }
