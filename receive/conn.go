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

// conn is one accepted connection in the form that grpc-go and net/http use. The registry counts it. The
// sniffer leaves bytes in it for the server to read again. Requests find it in their context, to count the
// memory of their client.
//
// Only one goroutine at a time may call Read, and only one Write; the servers do so.
type conn struct {
	net.Conn
	reg    *registry
	closed sync.Once

	// Set by the sniffer, before a server gets the connection.
	replay []byte      // bytes already read by the sniffer, for the server
	acks   *ackFilter  // removes the client's answer to the sniffer from the input
	answer *ackDropper // removes the server's second answer from the output
	meter  *arrivals   // of a gRPC connection: counts incomplete messages
	http2  bool

	used         atomic.Int64 // time of the last answer, in Unix nanoseconds
	working      atomic.Int64 // complete requests being handled
	workingBytes atomic.Int64 // their bytes

	mu       sync.Mutex
	arriving int64         // bytes of incomplete requests
	cut      chan struct{} // closed when the registry cuts the connection, and at its end
	overfull atomic.Bool   // whether it was cut to make room

	// A client that does not read must not be read from; see Write.
	writing  sync.Mutex
	blocked  atomic.Bool
	ahead    int
	deadline time.Time
}

// readAhead is the number of bytes that a client may send while it leaves an answer unread.
const readAhead = mebibyte

// Read returns the bytes that the sniffer left, then those of the connection.
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
			break // Fast path: all except the first moments of a connection.
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

// waitForWriter stops reading while an answer cannot be written. grpc-go and net/http queue answers. Otherwise
// a client that sends and never reads could make this queue arbitrarily long.
func (c *conn) waitForWriter(n int) {
	if !c.blocked.Load() {
		c.ahead = 0
		return
	}
	if c.ahead += n; c.ahead > readAhead {
		c.writing.Lock() // until the write ends, at the latest by its deadline
		c.ahead = 0
		c.writing.Unlock()
	}
}

// Write writes within Limits.WriteTimeout in HTTP/2. HTTP/1 has its own deadlines, which net/http sets for each
// request.
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
		_ = c.Conn.SetWriteDeadline(c.deadline) // The write reports a closed connection.
	}
	out, done := p, false
	if c.answer != nil { // Slow path: the first moments of a connection.
		if out, done = c.answer.filter(p); done {
			c.answer = nil
		}
	}
	if _, err := c.Conn.Write(out); err != nil {
		// grpc-go expects its reader to fail too, but a write deadline does not end a read.
		_ = c.Close()
		return 0, err
	}
	return len(p), nil
}

// SetDeadline and SetWriteDeadline do not change the deadline of writes in HTTP/2, which Write sets. The
// servers clear it when a connection has begun.
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

// CloseWrite lets net/http close its side first, so that the client receives the answer and not a reset.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// arrive counts n more bytes of incomplete requests. It returns false when the registry has cut the connection
// to make room.
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

// depart subtracts bytes counted by arrive: the request is complete, or was abandoned.
func (c *conn) depart(n int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wasCut() { // relieve has subtracted all of them
		return
	}
	c.arriving -= n
	c.reg.arriving.Add(-n)
}

// gone is closed when the registry has cut c, or c is closed.
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

// connOf returns the connection of a request, or nil without one.
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

// connInfo passes the connection to gRPC's handlers, which can reach it only through the credentials.
type connInfo struct{ conn *conn }

func (connInfo) AuthType() string { return "plain" }

// plainCreds are empty credentials: TLS ends before the sniffer.
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
