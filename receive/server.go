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

	Limits Limits
	// Multitenancy demands that each request names its tenant by the header, or
	// gRPC metadata, X-Scope-OrgID. Without it the header means nothing.
	Multitenancy bool
	// AllowedOrigins are the web origins whose pages may send OTLP/HTTP:
	// "https://shop.example", "http://localhost:*" for any port, "*" for all.
	// nil allows pages of this machine; an empty list allows none.
	AllowedOrigins []string
	Logger         *slog.Logger // nil: no log
	Stats          *Stats       // nil: the Server makes its own
}

// Addrs are the addresses really bound, empty for a listener that is off.
type Addrs struct {
	OTLPGRPC, OTLPHTTP, Jaeger, JaegerGRPC, Zipkin string
}

// Server is the set of open listeners. Every request that it accepted is
// answered before Shutdown returns nil.
type Server struct {
	in        *intake
	listeners []*listener
	addrs     Addrs

	// The listeners of OTLP and of Jaeger's gRPC sort their connections into
	// these two; the servers behind take them like any listener's.
	grpcConns, httpConns *handoff
	grpc                 *grpc.Server
	http                 []*http.Server
	calls                *calls   // before grpcConns
	exports              *exports // before httpConns

	closing  chan struct{} // closed by Shutdown
	shutdown sync.Once

	mu       sync.Mutex
	sniffing map[net.Conn]struct{} // nil after Shutdown
}

// listener is one open port and what happens to its connections.
type listener struct {
	net.Listener
	name  string
	serve func(net.Listener) error
}

// Listen opens all listeners, or none: the error names the address it could
// not have. Connections wait in the kernel until Serve.
func Listen(c Config, sink Sink) (*Server, error) {
	s := &Server{in: newIntake(c, sink), closing: make(chan struct{}), sniffing: map[net.Conn]struct{}{}}
	s.grpcConns, s.httpConns = newHandoff(), newHandoff()
	s.grpc = s.in.newGRPCServer()
	s.calls = newCalls(s.in, s.closing)
	s.exports = newExports(s.in, s.closing)
	otlp := s.in.newHTTPServer(s.otlpHandler(c.AllowedOrigins))
	otlp.Protocols.SetUnencryptedHTTP2(true)
	jaeger := s.in.newHTTPServer(http.HandlerFunc(s.in.serveJaeger))
	zipkin := s.in.newHTTPServer(http.HandlerFunc(s.in.serveZipkin))
	s.http = []*http.Server{otlp, jaeger, zipkin}

	for _, l := range []struct {
		name, addr string
		bound      *string
		serve      func(net.Listener) error
	}{
		{"OTLP gRPC", c.OTLPGRPCAddr, &s.addrs.OTLPGRPC, func(l net.Listener) error { return s.sortConns(l, OTLPGRPC) }},
		{"OTLP HTTP", c.OTLPHTTPAddr, &s.addrs.OTLPHTTP, func(l net.Listener) error { return s.sortConns(l, OTLPHTTP) }},
		{"Jaeger", c.JaegerAddr, &s.addrs.Jaeger, jaeger.Serve},
		{"Jaeger gRPC", c.JaegerGRPCAddr, &s.addrs.JaegerGRPC, func(l net.Listener) error { return s.sortConns(l, OTLPGRPC) }},
		{"Zipkin", c.ZipkinAddr, &s.addrs.Zipkin, zipkin.Serve},
	} {
		if l.addr == "" {
			continue
		}
		ln, err := net.Listen("tcp", l.addr)
		if err != nil {
			s.closeListeners()
			return nil, fmt.Errorf("listen for %s on %s: %w", l.name, l.addr, err)
		}
		*l.bound = ln.Addr().String()
		counted := &countedListener{Listener: ln, max: s.in.limits.Connections, stats: s.in.stats}
		s.listeners = append(s.listeners, &listener{counted, l.name, l.serve})
	}
	return s, nil
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
	n := 2
	run("gRPC connections", func() error { return s.grpc.Serve(s.grpcConns) })
	run("OTLP HTTP connections", func() error { return s.http[0].Serve(s.httpConns) })
	for _, l := range s.listeners {
		n++
		run(l.name+" on "+l.Addr().String(), func() error { return l.serve(l) })
	}
	var first error
	for ; n > 0 && first == nil; n-- {
		first = <-ended
	}
	go func() { // let the rest end behind us
		for ; n > 0; n-- {
			<-ended
		}
	}()
	return first
}

// Shutdown stops listening, lets requests in flight finish and closes all
// connections. When ctx ends first it cuts what is left, and returns the
// context's error: some clients then did not hear whether their spans were
// taken. It may be called before Serve, and more than once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shutdown.Do(func() { close(s.closing) })
	s.closeListeners()
	s.cutSniffing()
	var wg sync.WaitGroup
	errs := make([]error, len(s.http)+3)
	for i, h := range s.http {
		wg.Go(func() {
			if errs[i] = h.Shutdown(ctx); errs[i] != nil {
				_ = h.Close()
			}
		})
	}
	wg.Go(func() { errs[len(s.http)] = s.stopGRPC(ctx) })
	wg.Go(func() { errs[len(s.http)+1] = s.exports.drain(ctx) })
	wg.Go(func() { errs[len(s.http)+2] = s.calls.drain(ctx) })
	wg.Wait()
	s.grpcConns.Close()
	s.httpConns.Close()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("drain listeners: %w", err)
		}
	}
	return nil
}

// cutSniffing closes connections that have not said what they want: no request
// of theirs is in flight, and a silent one must not be waited for. A connection
// sorted later finds its server closed, and is closed too.
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
		s.grpc.Stop()
		return ctx.Err()
	}
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		if err := l.Close(); err != nil {
			s.in.logger.Warn("close listener", "listener", l.name, "err", err)
		}
	}
}
