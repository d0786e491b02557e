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
	// Points is the most data points of metrics in one request. Default 200,000.
	Points int
	// Requests is how many whole requests may be handled at once. One connection
	// may have half of them. Default 256.
	Requests int64
	// Streams is how many requests one HTTP/2 connection may have open at once,
	// whole or not. Default 128.
	Streams int64
	// InFlight is how many bytes all requests may hold together, decompressed, with
	// what they become on the way. One connection may have half of them for requests
	// being handled, unless it has only one. Default 256 MiB.
	InFlight int64
	// Arriving is how many of these bytes may be held for requests that are not
	// whole yet, counted as room is made for them: a body that inflates counts
	// inflated. Past it, the connection that holds the most is cut. A request that takes
	// more by itself, with the room to inflate it, is too large. Default half of
	// InFlight, and three quarters of Body and Decompressed at least.
	Arriving int64
	// Connections is how many connections may be open at once. When there are as
	// many, the one that has been idle for the longest gives way. Default 1024.
	Connections int64
	// HeaderTimeout cuts a client that does not complete a request header. Default 10 s.
	HeaderTimeout time.Duration
	// RequestTimeout cuts a client that does not finish its request. Default 30 s.
	RequestTimeout time.Duration
	// WriteTimeout cuts a client that does not read its answers. Default 10 s.
	WriteTimeout time.Duration
	// IdleTimeout closes a connection without requests. Default 2 min.
	IdleTimeout time.Duration
	// RetryDelay is what an overloaded server asks clients to wait. Default 1 s.
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

// streams is Streams as HTTP/2 says it.
func (l *Limits) streams() uint32 { return uint32(l.Streams) }

// gate admits whole requests while both their number and their bytes stay within
// the limits, of all connections together and of each (half of it). It never queues: a client that must retry keeps
// its own data, while a queue here would keep the data of all.
//
// A request comes here when its last byte has arrived, so admission depends only on the Sink's speed, never on a
// client's.
type gate struct {
	limits          *Limits
	conns           *registry // has the bytes of those that are not whole yet
	requests, bytes atomic.Int64
}

// full reports whether a request that came now would be refused: asked before a
// body is read, which then need not be.
func (g *gate) full() bool { return g.requests.Load() >= g.limits.Requests }

// enter admits a whole request of n bytes. After nil, leave must follow.
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
		return g.overload("requests in flight on one connection hold more than %d bytes", g.limits.InFlight/2)
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

// reserve reports whether n more bytes are available; if so, release must follow.
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

// tooManyBytes is the refusal of a request that holds n bytes. One that would hold
// too many if it were alone must not come back.
func (g *gate) tooManyBytes(n int64) *refusal {
	if n > g.limits.InFlight {
		return refuse(tooLarge, "the request takes more than the %d bytes that all requests together may take (--max-in-flight); send smaller batches", g.limits.InFlight)
	}
	return g.overload("requests in flight hold more than %d bytes", g.limits.InFlight)
}

// budget bounds the OTLP that one request of another protocol becomes: a few hostile bytes can become many. It
// reserves them at the gate while they are written, like the bytes of a body.
type budget struct {
	in       *intake
	reserved int64
}

// budgetStep is how much is asked of the gate at once.
const budgetStep = 64 << 10

// check is told, span by span, how many bytes there are so far.
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
