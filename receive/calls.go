package receive

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// A fast path for gRPC.
//
// For a batch of 20 spans grpc-go costs about as much as storing them: three
// goroutines meet over each call, and its parts are queued one by one. Here the
// reader of a connection (callconn.go) gathers a whole message before anybody is
// woken, a worker stores it, and the answers that are ready together leave in one
// write (callsend.go).
//
// A connection comes here when its first request is a unary call that takes spans;
// all others go to grpc-go, which knows more of gRPC. One that came here stays:
// whatever its later requests are is served, or refused in grpc-go's own words.
// The one thing that grpc-go would do and this path does not is to stream the
// health service's Watch.

// calls are the connections on the fast path.
type calls struct {
	in      *intake
	closing <-chan struct{}
	pool    *tieredPool // of messages

	work    chan *call // taken by workers that have nothing to do
	ended   chan struct{}
	workers atomic.Int32

	serving sync.WaitGroup // connections and calls being handled
	connsMu sync.Mutex
	conns   map[*callConn]struct{} // nil after drain
}

func newCalls(in *intake, closing <-chan struct{}) *calls {
	return &calls{in: in, closing: closing, pool: new(tieredPool), work: make(chan *call), ended: make(chan struct{}), conns: map[*callConn]struct{}{}}
}

// method is a unary method whose answer is always the same.
type method struct {
	protocol Protocol // "" for those that take no spans: neither admitted nor counted
	submit   func(*intake, context.Context, []byte) (Rejected, error)
	taken    answer
}

var methods = map[string]*method{
	"/" + traceService + "/Export":        {OTLPGRPC, (*intake).submitExport, answer{message: "\x00\x00\x00\x00\x00"}},
	"/" + jaegerCollection + "/PostSpans": {JaegerGRPC, (*intake).submitPostSpans, answer{message: "\x00\x00\x00\x00\x00"}},
	healthCheck:                           {"", checkHealth, answer{message: "\x00\x00\x00\x00\x02\x08\x01"}}, // SERVING
}

const (
	healthService = "grpc.health.v1.Health"
	healthCheck   = "/" + healthService + "/Check"
)

// takesSpans reports whether a call begins a connection of the fast path.
func takesSpans(path string) bool {
	m := methods[path]
	return m != nil && m.protocol != ""
}

// checkHealth knows no service but the server as a whole: HealthCheckRequest
// {service 1}.
func checkHealth(_ *intake, _ context.Context, b []byte) (rejected Rejected, err error) {
	service := ""
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return rejected, status.Error(codes.Internal, "grpc: error unmarshalling request: not a HealthCheckRequest")
		}
		v := b[n:]
		m := protowire.ConsumeFieldValue(num, typ, v)
		if m < 0 {
			return rejected, status.Error(codes.Internal, "grpc: error unmarshalling request: not a HealthCheckRequest")
		}
		if num == 1 && typ == protowire.BytesType {
			text, _ := protowire.ConsumeBytes(v)
			service = string(text)
		}
		b = v[m:]
	}
	if service != "" {
		return rejected, status.Error(codes.NotFound, "unknown service")
	}
	return rejected, nil
}

// serve answers calls until the connection ends.
func (s *calls) serve(conn net.Conn) {
	c := newCallConn(s, conn)
	if !s.add(c) {
		_ = conn.Close()
		return
	}
	defer s.remove(c)
	c.serve()
}

func (s *calls) add(c *callConn) bool {
	s.connsMu.Lock()
	defer s.connsMu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[c] = struct{}{}
	s.serving.Add(1)
	return true
}

func (s *calls) remove(c *callConn) {
	s.connsMu.Lock()
	delete(s.conns, c)
	s.connsMu.Unlock()
	s.serving.Done()
}

// do has a call with its whole message handled. Waiting workers have stacks that
// have grown; more than streamWorkers calls at once are handled by new ones.
func (s *calls) do(k *call) {
	s.serving.Add(1) // its connection is counted, so this never races with drain
	select {
	case s.work <- k:
		return
	default:
	}
	if s.workers.Add(1) > streamWorkers {
		s.workers.Add(-1)
		go k.run()
		return
	}
	go func() {
		for {
			k.run()
			select {
			case k = <-s.work:
			case <-s.ended:
				return
			}
		}
	}()
}

// drain lets connections finish their calls, and cuts what is left when ctx ends.
// Closing must be closed.
func (s *calls) drain(ctx context.Context) error {
	s.connsMu.Lock()
	conns := s.conns
	s.conns = nil
	for c := range conns {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // its reader looks around
	}
	s.connsMu.Unlock()
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		if conns != nil { // nil for all but the first to drain
			close(s.ended)
		}
		return nil
	case <-ctx.Done():
	}
	for c := range conns {
		_ = c.conn.Close() // its reader ends the calls
	}
	if conns != nil {
		go func() {
			<-done
			close(s.ended)
		}()
	}
	return ctx.Err()
}
