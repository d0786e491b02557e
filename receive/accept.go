package receive

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// listener is one open port. Close may be called twice: by Shutdown, and by the loop in accept.
type listener struct {
	net.Listener
	name           string
	usual          Protocol // the protocol that customarily uses this port
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
		// Most likely the process has no free file descriptors: wait for some.
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

// cut closes a connection that no server accepts.
func (s *Server) cut(c *conn, l *listener, err error) {
	s.in.stats.cut.Add(1)
	level, from := slog.LevelDebug, c.RemoteAddr().String()
	var e *sniffError
	if errors.As(err, &e) && e.tls && !s.in.toldTLS.Swap(true) {
		level = slog.LevelInfo // the client cannot report it itself, so log it once
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
		level = slog.LevelInfo // log it once at this level
	}
	s.in.logger.Log(context.Background(), level, "serve OTLP on the other protocol's port",
		"spoken", string(spoken), "port", string(l.usual), "from", c.RemoteAddr().String())
}

// startSniffing registers c, so that Shutdown can close it. It returns false when Shutdown has begun.
func (s *Server) startSniffing(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sniffing == nil {
		return false
	}
	s.sniffing[c] = struct{}{}
	return true
}

// handoff is a listener for connections that accept has already accepted.
type handoff struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give passes c to the server that accepts here. It closes c if that server has stopped.
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
