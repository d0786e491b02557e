package receive

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// countedListener counts open connections over all listeners and closes those
// past the limit at once: an open port that does not answer is harder to
// understand for a client than one that hangs up.
type countedListener struct {
	net.Listener
	max   int64
	stats *Stats
	once  sync.Once
}

// Close may be called again: by Shutdown, and by the server that accepts here.
func (l *countedListener) Close() (err error) {
	l.once.Do(func() { err = l.Listener.Close() })
	return err
}

func (l *countedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.stats.connections.Add(1) <= l.max {
			return &countedConn{Conn: c, stats: l.stats}, nil
		}
		l.stats.connections.Add(-1)
		l.stats.cut.Add(1)
		_ = c.Close()
	}
}

type countedConn struct {
	net.Conn
	stats  *Stats
	closed sync.Once
}

func (c *countedConn) Close() error {
	c.closed.Do(func() { c.stats.connections.Add(-1) })
	return c.Conn.Close()
}

// CloseWrite is what net/http uses to say that it will not read on, so that the
// client sees the answer and not a reset.
func (c *countedConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// handoff is a listener fed by hand with connections already accepted.
type handoff struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give passes c to the server behind; if that is gone it closes c.
func (h *handoff) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is for logs only; connections carry their own addresses.
func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }

// sortConns accepts connections and gives each to the server that speaks its
// language. usual is the protocol whose customary port this is.
func (s *Server) sortConns(l net.Listener, usual Protocol) error {
	wait := time.Duration(0)
	for {
		c, err := l.Accept()
		if err == nil {
			wait = 0
			go s.sortConn(c, usual)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of file descriptors, most likely: wait for some to come back.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		s.in.logger.Warn("accept connection", "addr", l.Addr().String(), "err", err, "retry", wait)
		select {
		case <-time.After(wait):
		case <-s.closing:
			return net.ErrClosed
		}
	}
}

// startSniffing notes c for Shutdown to cut, unless that has begun.
func (s *Server) startSniffing(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sniffing == nil {
		return false
	}
	s.sniffing[c] = struct{}{}
	return true
}

func (s *Server) sortConn(c net.Conn, usual Protocol) {
	if !s.startSniffing(c) {
		_ = c.Close()
		return
	}
	conn, spoken, err := sniff(c, s.in.limits.HeaderTimeout)
	s.mu.Lock()
	delete(s.sniffing, c)
	s.mu.Unlock()
	if err != nil {
		s.in.stats.cut.Add(1)
		s.in.logger.Debug("cut connection", "from", c.RemoteAddr().String(), "err", err)
		_ = c.Close()
		return
	}
	if spoken != usual {
		level := slog.LevelDebug
		if s.in.stats.wrongPort.Add(1) == 1 {
			level = slog.LevelInfo // worth telling once
		}
		s.in.logger.Log(context.Background(), level, "serve OTLP on the other protocol's port",
			"spoken", string(spoken), "port", string(usual), "from", c.RemoteAddr().String())
	}
	if spoken == OTLPGRPC {
		s.serveGRPC(conn)
		return
	}
	s.serveHTTP(conn)
}

// serveGRPC leaves connections that do not begin with spans to grpc-go.
func (s *Server) serveGRPC(c net.Conn) {
	if first, ok := c.(*sniffedConn); ok && takesSpans(first.path) {
		s.calls.serve(c)
		return
	}
	s.grpcConns.give(c)
}

// serveHTTP serves what the fast path takes, and leaves the rest to net/http:
// everything when there are tenants, whose header the fast path does not read.
func (s *Server) serveHTTP(c net.Conn) {
	if !s.in.multi {
		c = s.exports.serve(c)
	}
	if c != nil {
		s.httpConns.give(c)
	}
}
