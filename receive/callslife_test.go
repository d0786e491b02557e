package receive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// talk is a connection of the fast path whose client writes frames itself.
type talk struct {
	*testing.T
	net.Conn
	fr *http2.Framer
}

// begin sends a script to a server over a socket.
func begin(t *testing.T, s *Server, first *script) *talk {
	t.Helper()
	c := &talk{T: t, Conn: connect(t, s.Addrs().OTLPGRPC)}
	c.fr = http2.NewFramer(c, c)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.send(first)
	return c
}

func (c *talk) send(s *script) {
	c.Helper()
	if _, err := c.Write(s.Bytes()); err != nil {
		c.Fatal(err)
	}
	s.Buffer.Reset()
}

// until reads frames up to one that f wants, and fails at the end of the connection.
func (c *talk) until(what string, f func(http2.Frame) bool) {
	c.Helper()
	for {
		got, err := c.fr.ReadFrame()
		if err != nil {
			c.Fatalf("%s never came: %v", what, err)
		}
		if f(got) {
			return
		}
	}
}

func grpcStatus(f http2.Frame) string {
	h, ok := f.(*http2.MetaHeadersFrame)
	if !ok {
		return ""
	}
	for _, f := range h.RegularFields() {
		if f.Name == "grpc-status" {
			return f.Value
		}
	}
	return ""
}

func (c *talk) untilStatus(id uint32, want string) {
	c.Helper()
	c.until("status "+want, func(f http2.Frame) bool {
		got := grpcStatus(f)
		if f.Header().StreamID == id && got != "" && got != want {
			c.Fatalf("status %s, want %s", got, want)
		}
		return f.Header().StreamID == id && got == want
	})
}

func (c *talk) untilReset(id uint32, code http2.ErrCode) {
	c.Helper()
	c.until("reset", func(f http2.Frame) bool {
		r, ok := f.(*http2.RSTStreamFrame)
		return ok && r.StreamID == id && r.ErrCode == code
	})
}

func (c *talk) untilEnd() {
	c.Helper()
	for {
		if _, err := c.fr.ReadFrame(); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				c.Fatal("connection is still open")
			}
			return
		}
	}
}

// hanging is a Sink whose calls wait: for their context, or for release.
type hanging struct {
	entered, release chan struct{}
	ended            chan error
}

func newHanging() *hanging {
	return &hanging{entered: make(chan struct{}, 100), release: make(chan struct{}), ended: make(chan error, 100)}
}

func (h *hanging) Append(ctx context.Context, _ []byte) (rejected Rejected, err error) {
	h.entered <- struct{}{}
	select {
	case <-ctx.Done():
		h.ended <- ctx.Err()
		return rejected, ctx.Err()
	case <-h.release:
		return rejected, nil
	}
}

// TestCallContext: a call's context ends with its time, its stream or its connection.
func TestCallContext(t *testing.T) {
	t.Parallel()
	message := prefixed(0, marshal(t, request(1)))
	sink := newHanging()
	s := start(t, Config{}, sink)
	first := newScript()
	c := begin(t, s, first.call(1, message, "grpc-timeout", "20m"))
	if err := <-sink.ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("late: %v", err)
	}
	c.untilStatus(1, fmt.Sprint(int(codes.DeadlineExceeded)))
	<-sink.entered
	c.send(first.call(3, message))
	<-sink.entered
	c.send(first.data(3, true, message)) // after its end
	c.untilReset(3, http2.ErrCodeStreamClosed)
	if err := <-sink.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("closed: %v", err)
	}
	c.send(first.call(5, message))
	<-sink.entered
	c.send(first.reset(5))
	if err := <-sink.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("reset: %v", err)
	}
	c.send(first.call(7, message).head(9, false, exportPath))
	<-sink.entered
	eventually(t, "both in flight", func() bool { return s.Stats().Counts().InFlight == 2 })
	c.Close()
	if err := <-sink.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("gone: %v", err)
	}
	eventually(t, "none in flight", func() bool {
		n := s.Stats().Counts()
		return n.InFlight == 0 && n.InFlightBytes == 0 && n.Connections == 0
	})
	if n := s.Stats().Counts().Protocols[0].Refused; n["timed_out"] != 1 || n["canceled"] != 4 {
		t.Errorf("counted %v", n)
	}
}

// TestCallsAreBounded: what a client cannot do without end.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	message := prefixed(0, marshal(t, request(1)))
	t.Run("streams", func(t *testing.T) {
		t.Parallel()
		sink := newHanging()
		s := start(t, Config{Limits: Limits{Requests: 2}}, sink)
		first := newScript()
		c := begin(t, s, first.call(1, message).call(3, message).call(5, message))
		c.untilReset(5, http2.ErrCodeRefusedStream)
		<-sink.entered
		<-sink.entered
		close(sink.release)
		c.until("answers", func(f http2.Frame) bool { return grpcStatus(f) == "0" })
	})
	t.Run("rapid reset", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		var running, most atomic.Int32
		s := start(t, Config{Limits: Limits{Requests: 3}}, &recorder{answer: func(context.Context) error {
			most.Store(max(most.Load(), running.Add(1)))
			<-release // deaf to its context
			running.Add(-1)
			return nil
		}})
		first := newScript()
		for id := uint32(1); id < 400; id += 2 {
			first.call(id, message).reset(id)
		}
		c := begin(t, s, first.pings(1))
		c.until("ping", func(f http2.Frame) bool { p, ok := f.(*http2.PingFrame); return ok && p.IsAck() })
		close(release)
		eventually(t, "all done", func() bool { return running.Load() == 0 && s.Stats().Counts().InFlight == 0 })
		if most.Load() > 3 {
			t.Errorf("%d calls ran at once", most.Load())
		}
		c.send(first.call(401, message))
		c.untilStatus(401, "0")
	})
	for name, flood := range map[string]func(*script){
		"pings":               func(s *script) { s.pings(10) },
		"endless header":      func(s *script) { s.continued(3, strings.Repeat("X", 60_000), 100) },
		"empty continuations": func(s *script) { s.emptyContinued(3, 100_000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{}, new(recorder))
			first := newScript()
			c := begin(t, s, first.call(1, message))
			c.untilStatus(1, "0")
			flood(first)
			_, _ = c.Write(first.Bytes()) // it may be cut off meanwhile
			c.untilEnd()
			eventually(t, "closed", func() bool { return s.Stats().Counts().Connections == 0 })
		})
	}
}

func (s *script) emptyContinued(id uint32, n int) {
	s.do(s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id}))
	for range n {
		s.do(s.fr.WriteContinuation(id, false, nil))
	}
}

// TestIdleCallsConnection says good-bye, and takes the calls that cross it.
func TestIdleCallsConnection(t *testing.T) {
	t.Parallel()
	message := prefixed(0, marshal(t, request(1)))
	s := start(t, Config{Limits: Limits{IdleTimeout: 30 * time.Millisecond}}, new(recorder))
	first := newScript()
	c := begin(t, s, first.call(1, message))
	c.untilStatus(1, "0")
	var ping [8]byte
	c.until("ping", func(f http2.Frame) bool {
		p, ok := f.(*http2.PingFrame)
		if ok {
			ping = p.Data
		}
		return ok
	})
	c.send(first.call(3, message))
	c.untilStatus(3, "0")
	if err := c.fr.WritePing(true, ping); err != nil {
		t.Fatal(err)
	}
	c.until("last GOAWAY", func(f http2.Frame) bool {
		g, ok := f.(*http2.GoAwayFrame)
		return ok && g.LastStreamID == 3 && g.ErrCode == http2.ErrCodeNo
	})
	c.untilEnd()
	eventually(t, "closed", func() bool { return s.Stats().Counts().Connections == 0 })
}

// TestAnswersWaitForWindows: nothing is lost while the client gives no window.
func TestAnswersWaitForWindows(t *testing.T) {
	t.Parallel()
	message := prefixed(0, marshal(t, request(1)))
	s := start(t, Config{}, discard{})
	first := newScript(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c := begin(t, s, first.call(1, message).call(3, message).call(5, message))
	eventually(t, "three taken", func() bool { return s.Stats().Counts().Protocols[0].Requests == 3 })
	c.send(first.reset(3).window(1, 5))
	c.untilStatus(1, "0")
	c.send(first.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}))
	c.untilStatus(5, "0")
}

// TestAnswersWaitForConnection: its window is shared by all streams.
func TestAnswersWaitForConnection(t *testing.T) {
	t.Parallel()
	s := startPiped(t, Limits{}, discard{})
	client, server := net.Pipe()
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(5 * time.Second))
	conn := newCallConn(s.calls, server)
	conn.window = 12
	s.calls.add(conn)
	go func() {
		defer s.calls.remove(conn)
		conn.serve()
	}()
	first := newScript()
	for id := uint32(1); id < 20; id += 2 {
		first.call(id, prefixed(0, nil))
	}
	c := &talk{T: t, Conn: client, fr: http2.NewFramer(client, client)}
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	go func() { _, _ = client.Write(first.Bytes()) }()
	answered, bytes := 0, 0
	c.until("all answers", func(f http2.Frame) bool {
		if d, ok := f.(*http2.DataFrame); ok {
			if bytes += len(d.Data()); bytes == 12 {
				go func() { _ = c.fr.WriteWindowUpdate(0, 38) }()
			}
		}
		if grpcStatus(f) == "0" {
			answered++
		}
		return answered == 10
	})
	if bytes != 50 {
		t.Errorf("%d bytes of answers, want 50", bytes)
	}
}

// TestCallsDrain: calls in flight are answered, those that come late say that they
// were not taken, and nothing that was answered with success is lost.
func TestCallsDrain(t *testing.T) {
	t.Parallel()
	sink := &recorder{}
	s, err := Listen(Config{OTLPGRPCAddr: "127.0.0.1:0"}, sink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	var answered, refused atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		client := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC))
		for range 4 {
			senders.Go(func() {
				for {
					_, err := client.Export(context.Background(), request(1))
					switch status.Code(err) {
					case codes.OK:
						answered.Add(1)
					case codes.Unavailable:
						refused.Add(1)
						return
					default:
						t.Errorf("answer: %v", err)
						return
					}
				}
			})
		}
	}
	eventually(t, "it runs", func() bool { return answered.Load() > 100 })
	if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
	stored := int64(len(sink.requests()))
	senders.Wait()
	if stored != answered.Load() || refused.Load() != 16 {
		t.Errorf("%d stored, %d answered, %d clients refused", stored, answered.Load(), refused.Load())
	}
}

// TestManyCalls: sizes from nothing to several windows, some given up, over one
// connection.
func TestManyCalls(t *testing.T) {
	t.Parallel()
	sink := &recorder{}
	s := start(t, Config{}, sink)
	client := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC))
	var taken, spans atomic.Int64
	var senders sync.WaitGroup
	for i := range uint64(8) {
		senders.Go(func() {
			r := rand.New(rand.NewPCG(i, 1))
			for range 15 {
				n := []int{0, 1, 20, 200, 3000}[r.IntN(5)]
				ctx, cancel := context.WithCancel(t.Context())
				if r.IntN(5) == 0 {
					time.AfterFunc(time.Duration(r.IntN(3000))*time.Microsecond, cancel)
				}
				_, err := client.Export(ctx, request(n))
				cancel()
				switch {
				case err == nil:
					taken.Add(1)
					spans.Add(int64(n))
				case status.Code(err) != codes.Canceled:
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	eventually(t, "all is given back", func() bool { n := s.Stats().Counts(); return n.InFlight == 0 && n.InFlightBytes == 0 })
	c := s.Stats().Counts().Protocols[0]
	if int64(c.Requests) < taken.Load() || int64(c.Spans) < spans.Load() {
		t.Errorf("took %d requests with %d spans, answered %d with %d", c.Requests, c.Spans, taken.Load(), spans.Load())
	}
}

// FuzzCalls: any bytes after a good beginning. Nothing may stay behind.
func FuzzCalls(f *testing.F) {
	message := prefixed(0, marshal(f, request(1)))
	for _, s := range []*script{
		newScript().call(1, message),
		newScript().padded(1, exportPath, message).continued(3, exportPath, 5).pings(2).window(1, 5).reset(3),
		newScript(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}).call(1, message).call(3, nil).settings(http2.Setting{ID: http2.SettingHeaderTableSize}).head(5, true, healthCheck),
	} {
		f.Add(s.Bytes()[len(http2.ClientPreface):], 10)
	}
	f.Fuzz(func(t *testing.T, b []byte, chunk int) {
		s, err := Listen(Config{}, &recorder{})
		if err != nil {
			t.Fatal(err)
		}
		c := &scriptedConn{frames: [][]byte{[]byte(http2.ClientPreface), b}, max: max(1, chunk), acked: true}
		s.calls.serve(quietConn{c})
		if err := s.calls.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Stats().Counts(); n.InFlight != 0 || n.InFlightBytes != 0 {
			t.Errorf("%d in flight, %d bytes", n.InFlight, n.InFlightBytes)
		}
		if len(c.out.Bytes()) == 0 {
			t.Error("not even SETTINGS were sent")
		}
	})
}

// quietConn has all that a connection has, to no effect.
type quietConn struct{ *scriptedConn }

func (quietConn) Close() error                     { return nil }
func (quietConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (quietConn) SetReadDeadline(time.Time) error  { return nil }
func (quietConn) SetWriteDeadline(time.Time) error { return nil }

// TestSilentCallsClientIsAsked whether it is there, and given up when it is not.
func TestSilentCallsClientIsAsked(t *testing.T) {
	t.Parallel()
	s := startPiped(t, Limits{}, discard{})
	out := &scriptedConn{}
	c := newCallConn(s.calls, quietConn{out})
	at := c.heard.Add(pingAfter)
	if err := c.look(at.Add(-1)); err != nil || out.out.Len() > 0 || !c.readBy.Equal(c.earliest) && !c.readBy.Equal(at) {
		t.Errorf("before: %v, sent %x, next look at %v", err, out.out.Bytes(), c.readBy)
	}
	ping := appendPing(nil, false, pingAlive)
	for _, now := range []time.Time{at, at.Add(pingTimeout - 1)} {
		if err := c.look(now); err != nil || out.out.String() != string(ping) {
			t.Errorf("asked: %v, sent %x", err, out.out.Bytes())
		}
	}
	if err := c.look(at.Add(pingTimeout)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("no answer: %v", err)
	}
	c.heard = at.Add(1) // an answer
	if err := c.look(at.Add(pingTimeout)); err != nil {
		t.Errorf("answer: %v", err)
	}
}
