package receive

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// listener is one open port. Close may be called again: by Shutdown, and by the
// loop that accepts here.
type listener struct {
	net.Listener
	name           string
	usual          Protocol // whose customary port this is
	toGRPC, toHTTP func(*conn)
	once           sync.Once
}

func (l *listener) Close() (err error) {
	l.once.Do(func() { err = l.Listener.Close() })
	return err
}

// accept accepts connections and gives each to the server of its protocol.
func (s *Server) accept(l *listener) error {
	wait := time.Duration(0)
	for {
		c, err := l.Accept()
		if err == nil {
			wait = 0
			if own := s.in.conns.add(c); own != nil {
				go s.sort(own, l)
			}
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

func (s *Server) sort(c *conn, l *listener) {
	if !s.startSniffing(c) {
		_ = c.Close()
		return
	}
	spoken, err := c.sniff(&s.in.limits)
	s.mu.Lock()
	delete(s.sniffing, c)
	s.mu.Unlock()
	if err != nil {
		s.cut(c, l, err)
		return
	}
	if spoken == OTLPGRPC && (l.usual == OTLPGRPC || l.usual == OTLPHTTP) {
		s.noteWrongPort(c, l, spoken)
		c.meter = newArrivals(s.in.limits.RequestTimeout)
		l.toGRPC(c)
		return
	}
	if l.usual == OTLPGRPC {
		s.noteWrongPort(c, l, spoken)
	}
	l.toHTTP(c)
}

// cut closes a connection that no server takes.
func (s *Server) cut(c *conn, l *listener, err error) {
	s.in.stats.cut.Add(1)
	level, from := slog.LevelDebug, c.RemoteAddr().String()
	var e *sniffError
	if errors.As(err, &e) && e.tls && !s.in.toldTLS.Swap(true) {
		level = slog.LevelInfo // the client cannot report it itself: log it once
	}
	s.in.logger.Log(context.Background(), level, "close connection", "port", l.name, "from", from, "err", err)
	_ = c.Close()
}

func (s *Server) noteWrongPort(c *conn, l *listener, spoken Protocol) {
	if spoken == l.usual {
		return
	}
	level := slog.LevelDebug
	if s.in.stats.wrongPort.Add(1) == 1 {
		level = slog.LevelInfo // worth telling once
	}
	s.in.logger.Log(context.Background(), level, "serve OTLP on the other protocol's port",
		"spoken", string(spoken), "port", string(l.usual), "from", c.RemoteAddr().String())
}

// startSniffing notes c for Shutdown to close, unless that has begun.
func (s *Server) startSniffing(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sniffing == nil {
		return false
	}
	s.sniffing[c] = struct{}{}
	return true
}

// handoff is a listener whose connections were accepted by accept.
type handoff struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give passes c to the server that accepts here; if that is gone it closes c.
func (h *handoff) give(c *conn) {
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
