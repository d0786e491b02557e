package receive

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"google.golang.org/grpc"
)

// Config says where to listen. An empty address turns its listener off; port 0
// picks a free port.
type Config struct {
	OTLPGRPCAddr   string // customary port 4317; takes Jaeger's gRPC as well
	OTLPHTTPAddr   string // customary port 4318
	JaegerAddr     string // thrift over HTTP; customary port 14268
	JaegerGRPCAddr string // customary port 14250; takes OTLP as well
	ZipkinAddr     string // customary port 9411

	// Open opens what an address field above names, for a listener such as
	// "OTLP gRPC"; it may name several addresses, and what it opens may speak TLS.
	// nil: net.Listen("tcp", address).
	Open func(listener, address string) ([]net.Listener, error)
	// Authorize decides by the Authorization header, or metadata, of a request. Its error is the client's answer:
	// 401, UNAUTHENTICATED. nil: every client may send.
	Authorize func(header []string) error

	Limits Limits
	// Multitenancy demands that each request names its tenant by the header, or
	// gRPC metadata, X-Scope-OrgID. Without it the header means nothing.
	Multitenancy bool
	// AllowedOrigins are the web origins whose pages may send to the OTLP/HTTP and
	// Zipkin ports: "https://shop.example", "http://localhost:*" for any port, "*"
	// for all. nil allows pages of this machine; an empty list allows none.
	AllowedOrigins []string
	Metrics        MetricsSink  // nil: metrics are answered with "none was kept"
	Logger         *slog.Logger // nil: no log
	Stats          *Stats       // nil: the Server makes its own
}

// Addrs are the addresses really bound, the first one of each field, empty for a
// listener that is off.
type Addrs struct {
	OTLPGRPC, OTLPHTTP, Jaeger, JaegerGRPC, Zipkin string
}

// Server is the set of open listeners. Every request that it accepted is
// answered before Shutdown returns nil.
type Server struct {
	in        *intake
	listeners []*listener
	addrs     Addrs

	// Every connection is sniffed, and given to one of these, from which the
	// servers accept as from any listener.
	grpcConns *handoff
	httpConns []*handoff // of http, in the same order
	grpc      *grpc.Server
	http      []*http.Server

	closing  chan struct{} // closed by Shutdown
	shutdown sync.Once

	mu       sync.Mutex
	sniffing map[*conn]struct{} // nil after Shutdown
}

// Listen opens all listeners, or none: the error names the unavailable address. Connections wait in the kernel until
// Serve.
func Listen(c Config, sink Sink) (*Server, error) {
	s := &Server{in: newIntake(c, sink), closing: make(chan struct{}), sniffing: map[*conn]struct{}{}}
	s.grpc, s.grpcConns = s.in.newGRPCServer(), newHandoff()
	origins := newOrigins(c.AllowedOrigins)
	toGRPC := s.grpcConns.give
	toOTLP := s.serveBy(s.otlpHandler(origins))
	toJaeger := s.serveBy(http.HandlerFunc(s.in.serveJaeger))
	toZipkin := s.serveBy(s.in.zipkinHandler(origins))
	for _, l := range []struct {
		name, addr string
		bound      *string
		usual      Protocol
		http       func(*conn)
	}{
		{"OTLP gRPC", c.OTLPGRPCAddr, &s.addrs.OTLPGRPC, OTLPGRPC, toOTLP},
		{"OTLP HTTP", c.OTLPHTTPAddr, &s.addrs.OTLPHTTP, OTLPHTTP, toOTLP},
		{"Jaeger", c.JaegerAddr, &s.addrs.Jaeger, JaegerThrift, toJaeger},
		{"Jaeger gRPC", c.JaegerGRPCAddr, &s.addrs.JaegerGRPC, OTLPGRPC, toOTLP},
		{"Zipkin", c.ZipkinAddr, &s.addrs.Zipkin, Zipkin, toZipkin},
	} {
		if l.addr == "" {
			continue
		}
		opened, err := c.open(l.name, l.addr)
		if err != nil {
			s.closeListeners()
			return nil, fmt.Errorf("listen for %s on %s: %w", l.name, l.addr, err)
		}
		*l.bound = opened[0].Addr().String()
		for _, ln := range opened {
			s.listeners = append(s.listeners, &listener{Listener: ln, name: l.name, usual: l.usual, toGRPC: toGRPC, toHTTP: l.http})
		}
	}
	return s, nil
}

func (c *Config) open(name, addr string) ([]net.Listener, error) {
	if c.Open != nil {
		return c.Open(name, addr)
	}
	l, err := net.Listen("tcp", addr)
	return []net.Listener{l}, err
}

// serveBy makes an HTTP server, and returns how a connection is given to it.
func (s *Server) serveBy(h http.Handler) func(*conn) {
	conns := newHandoff()
	s.http = append(s.http, s.in.newHTTPServer(h))
	s.httpConns = append(s.httpConns, conns)
	return conns.give
}

// Addrs returns the addresses really bound.
func (s *Server) Addrs() Addrs { return s.addrs }

// Stats returns the counters of this server.
func (s *Server) Stats() *Stats { return s.in.stats }

// Serve answers until Shutdown, then returns nil. A listener that breaks on
// its own ends Serve with its error; the caller still calls Shutdown.
func (s *Server) Serve() error {
	ended := make(chan error)
	run := func(what string, f func() error) {
		go func() {
			err := f()
			select {
			case <-s.closing:
				err = nil
			default:
				err = fmt.Errorf("serve %s: %w", what, err)
			}
			ended <- err
		}()
	}
	n := 1 + len(s.http) + len(s.listeners)
	run("gRPC connections", func() error { return s.grpc.Serve(s.grpcConns) })
	for i, h := range s.http {
		run("HTTP connections", func() error { return h.Serve(s.httpConns[i]) })
	}
	for _, l := range s.listeners {
		run(l.name+" on "+l.Addr().String(), func() error { return s.accept(l) })
	}
	var first error
	for ; n > 0 && first == nil; n-- {
		first = <-ended
	}
	go func() { // wait for the others, after Serve has returned
		for ; n > 0; n-- {
			<-ended
		}
	}()
	return first
}

// Shutdown stops listening, lets requests in flight finish and closes all
// connections. When ctx ends first it cuts what is left. If whole requests were
// among it, it returns the context's error: some clients then did not hear whether
// their spans were accepted. It may be called before Serve, and more than once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shutdown.Do(func() { close(s.closing) })
	s.closeListeners()
	s.cutSniffing()
	var wg sync.WaitGroup
	errs := make([]error, len(s.http)+1)
	for i, h := range s.http {
		wg.Go(func() {
			if err := h.Shutdown(ctx); err != nil {
				errs[i] = s.unanswered(err)
				_ = h.Close()
			}
		})
	}
	wg.Go(func() { errs[len(s.http)] = s.stopGRPC(ctx) })
	wg.Wait()
	s.grpcConns.Close()
	for _, conns := range s.httpConns {
		conns.Close()
	}
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("drain listeners: %w", err)
		}
	}
	return nil
}

// cutSniffing closes connections whose protocol is not known yet: they have no request in flight, and Shutdown must
// not wait for a silent client. A connection sniffed later finds its server closed, and is closed too.
func (s *Server) cutSniffing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sniffing {
		_ = c.Close()
	}
	s.sniffing = nil
}

func (s *Server) stopGRPC(ctx context.Context) error {
	done := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		err := s.unanswered(ctx.Err())
		s.grpc.Stop()
		return err
	}
}

// unanswered returns err when complete requests are being handled. A client that has sent part of a request has no
// promise from us, and must not decide how the program ends.
func (s *Server) unanswered(err error) error {
	if s.in.gate.requests.Load() == 0 {
		return nil
	}
	return err
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		if err := l.Close(); err != nil {
			s.in.logger.Warn("close listener", "listener", l.name, "err", err)
		}
	}
}
