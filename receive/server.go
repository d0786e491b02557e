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

// Config has the addresses to listen on. An empty address disables its listener; port 0 uses a free port.
type Config struct {
	OTLPGRPCAddr   string // customary port 4317; also accepts Jaeger's gRPC
	OTLPHTTPAddr   string // customary port 4318
	JaegerAddr     string // thrift over HTTP; customary port 14268
	JaegerGRPCAddr string // customary port 14250; also accepts OTLP
	ZipkinAddr     string // customary port 9411

	// Open opens an address field for a listener such as "OTLP gRPC". The field may name several addresses, and
	// the listeners may use TLS. nil: net.Listen("tcp", address).
	Open func(listener, address string) ([]net.Listener, error)
	// Authorize checks the Authorization header, or metadata, of a request. Its error is the answer: 401,
	// UNAUTHENTICATED. nil: every client may send.
	Authorize func(header []string) error

	Limits Limits
	// Multitenancy requires each request to name its tenant in the header, or gRPC metadata, X-Scope-OrgID.
	// Without it, the header is ignored.
	Multitenancy bool
	// AllowedOrigins are the web origins whose pages may send to the OTLP/HTTP and
	// Zipkin ports: "https://shop.example", "http://localhost:*" for any port, "*"
	// for all. nil allows pages of this machine; an empty list allows none.
	AllowedOrigins []string
	Metrics        MetricsSink  // nil: answers to metrics report that none was stored
	Logger         *slog.Logger // nil: no log
	Stats          *Stats       // nil: the Server makes its own
}

// Addrs are the bound addresses, the first of each field; empty for a disabled listener.
type Addrs struct {
	OTLPGRPC, OTLPHTTP, Jaeger, JaegerGRPC, Zipkin string
}

// Server is the set of open listeners. It answers every accepted request before Shutdown returns nil.
type Server struct {
	in        *intake
	listeners []*listener
	addrs     Addrs

	// Every connection is sniffed and then passed to one of these, from which the servers accept.
	grpcConns *handoff
	httpConns []*handoff // in the order of http
	grpc      *grpc.Server
	http      []*http.Server

	closing  chan struct{} // closed by Shutdown
	shutdown sync.Once

	mu       sync.Mutex
	sniffing map[*conn]struct{} // nil after Shutdown
}

// Listen opens all listeners or none; the error names the unavailable address. Connections wait in the kernel
// until Serve.
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

// serveBy makes an HTTP server, and returns the function that passes a connection to it.
func (s *Server) serveBy(h http.Handler) func(*conn) {
	conns := newHandoff()
	s.http = append(s.http, s.in.newHTTPServer(h))
	s.httpConns = append(s.httpConns, conns)
	return conns.give
}

// Addrs returns the bound addresses.
func (s *Server) Addrs() Addrs { return s.addrs }

// Stats returns the counters of this server.
func (s *Server) Stats() *Stats { return s.in.stats }

// Serve serves until Shutdown, then returns nil. When a listener fails, Serve returns its error; the caller
// must still call Shutdown.
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
	go func() { // waits for the others after Serve has returned
		for ; n > 0; n-- {
			<-ended
		}
	}()
	return first
}

// Shutdown stops listening, waits for requests in flight and closes all connections. When ctx ends first, it
// cuts the remaining connections. If these had complete requests, it returns the context's error, because some
// clients do not know whether their spans were accepted. It may be called before Serve, and more than once.
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

// cutSniffing closes connections whose protocol is still unknown: they have no request in flight, and Shutdown
// must not wait for a silent client. A connection sniffed later finds its server closed, and is closed too.
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

// unanswered returns err when complete requests are being handled. A client with an incomplete request has no
// guarantee, and must not affect the program's exit status.
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
