package receive

import (
	"sync/atomic"
	"time"
)

const mebibyte = 1 << 20

// Limits limit the memory and time that clients can use. A zero field means its default.
type Limits struct {
	// Body is the maximum size of an HTTP body as sent. Default 20 MiB.
	Body int64
	// Decompressed is the maximum size of a request after decompression, of a gRPC message, and of the OTLP
	// made from another protocol. Default 20 MiB.
	Decompressed int64
	// Spans is the maximum number of spans in one request. Default 100,000.
	Spans int
	// Points is the maximum number of metric data points in one request. Default 200,000.
	Points int
	// Requests is the maximum number of complete requests being handled. One connection may use half of them.
	// Default 256.
	Requests int64
	// Streams is the maximum number of open requests, complete or not, of one HTTP/2 connection. Default 128.
	Streams int64
	// InFlight is the maximum memory of all requests, decompressed, including their translations. One
	// connection may use half of it for requests being handled, or all of it for a single request. Default 256
	// MiB.
	InFlight int64
	// Arriving is the maximum memory of incomplete requests, as part of InFlight. A body that is being
	// decompressed counts decompressed. Beyond the limit, the registry cuts the connection that uses most. A
	// request that needs more by itself, including the room to decompress it, is too large. Default: half of
	// InFlight, but at least three quarters of Body and Decompressed.
	Arriving int64
	// Connections is the maximum number of open connections. At the limit, a new connection replaces the one
	// that has been idle longest. Default 1024.
	Connections int64
	// HeaderTimeout is the time to complete a request header; then the client is cut off. Default 10 s.
	HeaderTimeout time.Duration
	// RequestTimeout is the time to finish a request; then the client is cut off. Default 30 s.
	RequestTimeout time.Duration
	// WriteTimeout is the time to read an answer; then the client is cut off. Default 10 s.
	WriteTimeout time.Duration
	// IdleTimeout closes a connection without requests. Default 2 min.
	IdleTimeout time.Duration
	// RetryDelay is the time an overloaded server tells clients to wait. Default 1 s.
	RetryDelay time.Duration
}

func (l Limits) withDefaults() Limits {
	l.Body = orDefault(l.Body, 20*mebibyte)
	l.Decompressed = orDefault(l.Decompressed, 20*mebibyte)
	l.Spans = orDefault(l.Spans, 100_000)
	l.Points = orDefault(l.Points, 200_000)
	l.Requests = orDefault(l.Requests, 256)
	l.Streams = min(orDefault(l.Streams, 128), maxArrivals/8)
	l.InFlight = orDefault(l.InFlight, 256*mebibyte)
	l.Arriving = orDefault(l.Arriving, max(l.InFlight/2, (l.Decompressed+l.Body)*3/4))
	l.Connections = orDefault(l.Connections, 1024)
	l.HeaderTimeout = orDefault(l.HeaderTimeout, 10*time.Second)
	l.RequestTimeout = orDefault(l.RequestTimeout, 30*time.Second)
	l.WriteTimeout = orDefault(l.WriteTimeout, 10*time.Second)
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

// streams is Streams in HTTP/2's type.
func (l *Limits) streams() uint32 { return uint32(l.Streams) }

// gate admits complete requests while their number and their bytes stay within the limits, for all connections
// together and for each connection (half of the limits). It never queues: a client that must retry keeps its
// own data, whereas a queue would keep the data of all.
//
// A request reaches the gate when its last byte has arrived, so admission depends only on the Sink's speed,
// never on a client's.
type gate struct {
	limits          *Limits
	conns           *registry // has the bytes of incomplete requests
	requests, bytes atomic.Int64
}

// full reports whether a request would be refused now. Callers ask before they read a body, to save the
// reading.
func (g *gate) full() bool { return g.requests.Load() >= g.limits.Requests }

// enter admits a complete request of n bytes. After nil, the caller must call leave.
func (g *gate) enter(c *conn, n int64) error {
	if g.requests.Add(1) > g.limits.Requests {
		g.requests.Add(-1)
		return g.tooManyRequests()
	}
	if err := g.enterConn(c, n); err != nil {
		g.requests.Add(-1)
		return err
	}
	if !g.reserve(n) {
		g.leaveConn(c, n)
		g.requests.Add(-1)
		return g.tooManyBytes(n)
	}
	return nil
}

func (g *gate) leave(c *conn, n int64) {
	g.release(n)
	g.leaveConn(c, n)
	g.requests.Add(-1)
}

func (g *gate) enterConn(c *conn, n int64) error {
	if c == nil {
		return nil
	}
	requests, bytes := c.working.Add(1), c.workingBytes.Add(n)
	switch {
	case requests == 1: // Fast path: a connection may always have one.
		return nil
	case requests > max(g.limits.Requests/2, 1):
		g.leaveConn(c, n)
		return g.overload("more than %d requests in flight on one connection", max(g.limits.Requests/2, 1))
	case bytes > g.limits.InFlight/2:
		g.leaveConn(c, n)
		return g.overload("requests in flight on one connection use more than %d bytes", g.limits.InFlight/2)
	}
	return nil
}

func (g *gate) leaveConn(c *conn, n int64) {
	if c != nil {
		c.used.Store(time.Now().UnixNano())
		c.workingBytes.Add(-n)
		c.working.Add(-1)
	}
}

// reserve reports whether n more bytes are available. If so, the caller must call release.
func (g *gate) reserve(n int64) bool {
	if g.bytes.Add(n)+g.conns.arriving.Load() > g.limits.InFlight {
		g.bytes.Add(-n)
		return false
	}
	return true
}

func (g *gate) release(n int64) { g.bytes.Add(-n) }

func (g *gate) overload(format string, args ...any) *refusal {
	r := refuse(overloaded, format, args...)
	r.retry = g.limits.RetryDelay
	return r
}

func (g *gate) tooManyRequests() *refusal {
	return g.overload("more than %d requests in flight", g.limits.Requests)
}

// tooManyBytes returns the refusal of a request of n bytes. A request that is too large even by itself must not
// be retried.
func (g *gate) tooManyBytes(n int64) *refusal {
	if n > g.limits.InFlight {
		return refuse(tooLarge, "the request needs more than %d bytes, the limit for all requests together (--max-in-flight); send smaller batches", g.limits.InFlight)
	}
	return g.overload("requests in flight use more than %d bytes", g.limits.InFlight)
}

// budget limits the OTLP made from one request of another protocol, because a few hostile bytes can become
// many. It reserves the bytes at the gate while they are written, like those of a body.
type budget struct {
	in       *intake
	reserved int64
}

// budgetStep is the number of bytes to reserve at once.
const budgetStep = 64 << 10

// check is called after each span with the number of bytes so far.
func (b *budget) check(n int) error {
	if int64(n) <= b.reserved {
		return nil // Fast path.
	}
	if limit := b.in.limits.Decompressed; int64(n) > limit {
		return refuse(tooLarge, "request is larger than the limit of %d bytes as OTLP; send smaller batches", limit)
	}
	more := int64(n) - b.reserved + budgetStep
	if !b.in.gate.reserve(more) {
		return b.in.gate.tooManyBytes(b.reserved + more)
	}
	b.reserved += more
	return nil
}

// free releases the reserved bytes.
func (b *budget) free() { b.in.gate.release(b.reserved) }
