package receive

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// conn is one accepted connection, as grpc-go and net/http see it. The registry
// counts it. The sniffer leaves bytes in it that a server reads again. Requests find
// it in their context, to count what this one client holds.
//
// Read is called by one goroutine at a time, and so is Write, as servers do.
type conn struct {
	net.Conn
	reg    *registry
	closed sync.Once

	// Set by the sniffer, before a server gets the connection.
	replay []byte      // read before, to be read again
	acks   *ackFilter  // removes the client's answer to the sniffer from the bytes read
	answer *ackDropper // removes the server's second answer from the bytes written
	meter  *arrivals   // of a gRPC connection: counts messages as they arrive
	http2  bool

	used         atomic.Int64 // when the last request was answered, in Unix nanoseconds
	working      atomic.Int64 // whole requests being handled
	workingBytes atomic.Int64 // of these requests

	mu       sync.Mutex
	arriving int64         // bytes of requests that are not whole yet
	cut      chan struct{} // closed by the registry, to make room, and at the end
	overfull atomic.Bool   // it was to make room

	// A client that does not read must not be read from: see Write.
	writing  sync.Mutex
	blocked  atomic.Bool
	ahead    int
	deadline time.Time
}

// readAhead is how much a client may send while it leaves an answer unread.
const readAhead = mebibyte

// Read reads what the sniffer left, then the connection.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if n > 0 && c.meter != nil {
		c.meter.read(c, p[:n])
	}
	if n > 0 && c.http2 {
		c.waitForWriter(n)
	}
	return n, err
}

func (c *conn) read(p []byte) (int, error) {
	for len(p) > 0 {
		if len(c.replay) > 0 {
			n := copy(p, c.replay)
			c.replay = c.replay[n:]
			return n, nil
		}
		c.replay = nil
		if c.acks == nil {
			break // Fast path: all but the first moments of a connection.
		}
		out, done, err := c.acks.read(c.Conn)
		c.replay = out
		if done {
			c.acks = nil
		}
		if err != nil && len(out) == 0 {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// waitForWriter stops reading while an answer cannot be written. grpc-go and net/http
// queue answers. Without this a client that sends and never reads would make that
// queue as long as it likes.
func (c *conn) waitForWriter(n int) {
	if !c.blocked.Load() {
		c.ahead = 0
		return
	}
	if c.ahead += n; c.ahead > readAhead {
		c.writing.Lock() // until the write ends, by its deadline at the latest
		c.ahead = 0
		c.writing.Unlock()
	}
}

// Write writes, in HTTP/2 within Limits.WriteTimeout. HTTP/1 has deadlines of its
// own, set by net/http for each request.
func (c *conn) Write(p []byte) (int, error) {
	if !c.http2 {
		return c.Conn.Write(p)
	}
	c.writing.Lock()
	c.blocked.Store(true)
	defer func() {
		c.blocked.Store(false)
		c.writing.Unlock()
	}()
	timeout := c.reg.limits.WriteTimeout
	if now := time.Now(); c.deadline.Sub(now) < timeout/2 {
		c.deadline = now.Add(timeout)
		_ = c.Conn.SetWriteDeadline(c.deadline) // A closed connection tells at the write.
	}
	out, done := p, false
	if c.answer != nil { // Slow path: the first moments of a connection.
		if out, done = c.answer.filter(p); done {
			c.answer = nil
		}
	}
	if _, err := c.Conn.Write(out); err != nil {
		// grpc-go expects its reader to fail as well, but a write deadline does not
		// end a read.
		_ = c.Close()
		return 0, err
	}
	return len(p), nil
}

// SetDeadline and SetWriteDeadline leave the deadline of writes in HTTP/2 to Write:
// the servers clear it when a connection has begun.
func (c *conn) SetDeadline(t time.Time) error {
	if c.http2 {
		return c.SetReadDeadline(t)
	}
	return c.Conn.SetDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.http2 {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) Close() error {
	c.closed.Do(func() { c.reg.remove(c) })
	return c.Conn.Close()
}

// CloseWrite lets net/http close its side first, so that the client sees the answer and not a reset.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// arrive counts n more bytes of requests that are not whole yet. It reports false
// when the connection was cut to make room for others.
func (c *conn) arrive(n int64) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	if c.wasCut() {
		c.mu.Unlock()
		return false
	}
	c.arriving += n
	c.mu.Unlock()
	if c.reg.arriving.Add(n) <= c.reg.limits.Arriving {
		return true
	}
	return c.reg.relieve() != c
}

// depart takes back what arrive counted: the request is whole, or was given up.
func (c *conn) depart(n int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wasCut() { // relieve has taken back all of it
		return
	}
	c.arriving -= n
	c.reg.arriving.Add(-n)
}

// gone is closed when the registry has cut c to make room, or c is closed.
func (c *conn) gone() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.cut
}

func (c *conn) wasCut() bool {
	select {
	case <-c.gone():
		return true
	default:
		return false
	}
}

// connKey finds the connection in the context of an HTTP request.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request, nil when it came without one.
func connOf(ctx context.Context) *conn {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		return c
	}
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(connInfo); ok {
			return info.conn
		}
	}
	return nil
}

// connInfo carries the connection to gRPC's handlers: a handler can only get at the connection through its
// credentials.
type connInfo struct{ conn *conn }

func (connInfo) AuthType() string { return "plain" }

// plainCreds are no credentials: encryption, if any, ends before the sniffer.
type plainCreds struct {
	credentials.TransportCredentials
}

func (plainCreds) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	own, _ := c.(*conn)
	return c, connInfo{own}, nil
}

func (plainCreds) Clone() credentials.TransportCredentials { return plainCreds{} }
func (plainCreds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "plain"}
}
