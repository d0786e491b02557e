package prometheus

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// hosts serves targets inside this process. A request to one uses a connection in memory and passes no
// listener. So the listeners' requirements for clients (TLS, a token, a Host name) do not apply to these
// scrapes.
type hosts struct {
	servers map[string]*http.Server
	conns   map[string]chan net.Conn
	closed  chan struct{}
	close   sync.Once
}

func newHosts(handlers map[string]http.Handler, log *slog.Logger) *hosts {
	h := &hosts{servers: map[string]*http.Server{}, conns: map[string]chan net.Conn{}, closed: make(chan struct{})}
	for name, handler := range handlers {
		s := &http.Server{Handler: handler, ReadHeaderTimeout: dialTimeout, IdleTimeout: 2 * time.Minute,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
		conns := make(chan net.Conn)
		h.servers[name], h.conns[name] = s, conns
		go func() { _ = s.Serve(&memoryListener{h, conns}) }() // ends only with Close
	}
	return h
}

// dial connects to a target in this process; ok is false if it is not one.
func (h *hosts) dial(ctx context.Context, name string) (conn net.Conn, ok bool, err error) {
	conns, ok := h.conns[name]
	if !ok {
		return nil, false, nil
	}
	ours, theirs := net.Pipe()
	select {
	case conns <- theirs:
		return ours, true, nil
	case <-h.closed:
		return nil, true, net.ErrClosed
	case <-ctx.Done():
		return nil, true, context.Cause(ctx)
	}
}

func (h *hosts) stop() {
	h.close.Do(func() { close(h.closed) })
	for _, s := range h.servers {
		_ = s.Close()
	}
}

type memoryListener struct {
	*hosts
	conns chan net.Conn
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error   { return nil }
func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
