package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"etude/receive/jaeger/jaegertest"
)

func connect(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSilentClientsAreCut: each of these says something, then nothing.
func TestSilentClientsAreCut(t *testing.T) {
	t.Parallel()
	short := Limits{HeaderTimeout: 30 * time.Millisecond, RequestTimeout: 30 * time.Millisecond, IdleTimeout: 30 * time.Millisecond}
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for name, first := range map[string]string{
		"nothing":               "",
		"half a preface":        http2.ClientPreface[:10],
		"preface only":          http2.ClientPreface,
		"preface and settings":  http2.ClientPreface + settings,
		"half a header frame":   http2.ClientPreface + settings + "\x00\x00\x10\x01\x04\x00\x00\x00\x01ab",
		"half an HTTP/1 header": "POST /v1/traces HTTP/1.1\r\nHost: x\r\n",
		"half an HTTP/1 body":   "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"idle after a request":  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"TLS":                   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
		"endless settings":      http2.ClientPreface + strings.Repeat(settings, 20_000),
		"giant frame":           http2.ClientPreface + "\xff\xff\xff\x01\x04\x00\x00\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Limits: short}, new(recorder))
			addrs := s.Addrs()
			ports := []string{addrs.OTLPGRPC, addrs.OTLPHTTP}
			if !strings.HasPrefix(first, "PRI") && first != "TLS" {
				ports = append(ports, addrs.Jaeger, addrs.Zipkin)
			}
			for _, addr := range ports {
				c := connect(t, addr)
				if _, err := io.WriteString(c, first); err != nil && name != "endless settings" {
					t.Fatal(err)
				}
				_, err := io.Copy(io.Discard, c)
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					t.Errorf("%s: still open", addr)
				}
			}
			eventually(t, "no connection open", func() bool { return s.Stats().Counts().Connections == 0 })
		})
	}
}

// TestChannelMayWaitBeforeItsFirstCall: a gRPC channel that is connected early is
// answered from the start, and is not cut as silent.
func TestChannelMayWaitBeforeItsFirstCall(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Limits: Limits{HeaderTimeout: 100 * time.Millisecond}}, new(recorder))
	c := dial(t, s.Addrs().OTLPHTTP)
	c.Connect()
	for state := c.GetState(); state != connectivity.Ready; state = c.GetState() {
		if !c.WaitForStateChange(t.Context(), state) {
			t.Fatal("channel never got ready")
		}
	}
	other := connect(t, s.Addrs().OTLPHTTP) // silent for as long
	_, _ = other.Read(make([]byte, 1))
	if _, err := collector.NewTraceServiceClient(c).Export(t.Context(), request(1)); err != nil {
		t.Error(err)
	}
	if n := s.Stats().Counts(); n.Cut != 1 || n.Connections != 1 {
		t.Errorf("%d cut, %d open", n.Cut, n.Connections)
	}
}

// TestSlowGRPCMessageIsCut opens a call and never sends its message.
func TestSlowGRPCMessageIsCut(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Limits: Limits{RequestTimeout: 30 * time.Millisecond}}, new(recorder))
	stream, err := dial(t, s.Addrs().OTLPGRPC).NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, exportPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(collector.ExportTraceServiceResponse)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want DEADLINE_EXCEEDED", err)
	}
	eventually(t, "counted as timed out", func() bool {
		c := s.Stats().Counts()
		return c.Protocols[0].Refused["timed_out"] == 1 && c.InFlight == 0
	})
}

func TestSlowHTTPBodyIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Limits: Limits{RequestTimeout: 500 * time.Millisecond}}, new(recorder))
	c := connect(t, s.Addrs().OTLPHTTP)
	if _, err := io.WriteString(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 408 ")) || !bytes.Contains(answer, []byte("did not arrive in time")) {
		t.Errorf("got %q, %v", answer, err)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	sink := newHanging()
	s := start(t, Config{Limits: Limits{Connections: 2}}, sink)
	for range 2 {
		begin(t, s, newScript().call(1, prefixed(0, marshal(t, request(1)))))
		<-sink.entered
	}
	third := connect(t, s.Addrs().Zipkin)
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("third connection got an answer")
	}
	if c := s.Stats().Counts(); c.Cut != 1 || c.IdleClosed != 0 || c.Connections != 2 {
		t.Errorf("%d cut, %d open", c.Cut, c.Connections)
	}
	close(sink.release)
}

// TestIdleConnectionsGiveWay: a full table costs the longest idle its place, not
// the client that has spans.
func TestIdleConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	const most = 8
	sink := new(recorder)
	s := start(t, Config{Limits: Limits{Connections: most}}, sink)
	var idle []net.Conn
	for i := range most {
		c := connect(t, s.Addrs().OTLPGRPC)
		if i%2 == 1 { // half a request is idle, too
			_, _ = c.Write(newScript().head(1, false, exportPath).data(1, false, make([]byte, 100)).Bytes())
		}
		idle = append(idle, c)
		eventually(t, "open", func() bool { return s.Stats().Counts().Connections == int64(i+1) })
	}
	for range most {
		c := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC))
		if _, err := c.Export(t.Context(), request(1)); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range idle {
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("idle connection %d is still open", i)
		}
	}
	if c := s.Stats().Counts(); c.IdleClosed != most || c.Connections != most || c.ArrivingBytes != 0 {
		t.Errorf("counted %+v", c)
	}
}

// scriptedConn is a client that sends its frames one after the other, at most
// max bytes at a time. When it is greeted it acknowledges that, but not before the
// frame numbered ackAt.
type scriptedConn struct {
	net.Conn
	frames [][]byte
	max    int
	ackAt  int

	sent  int // frames
	acked bool
	rest  []byte
	out   bytes.Buffer
}

func (c *scriptedConn) Read(p []byte) (n int, err error) {
	p = p[:min(len(p), c.max)]
	for n < len(p) {
		if len(c.rest) == 0 && !c.next() {
			break
		}
		k := copy(p[n:], c.rest)
		c.rest, n = c.rest[k:], n+k
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *scriptedConn) next() bool {
	asked := c.out.Len() > 0
	switch {
	case asked && !c.acked && (c.sent >= c.ackAt || c.sent == len(c.frames)):
		c.acked, c.rest = true, settingsAck
	case c.sent == len(c.frames):
		return false
	default:
		c.rest = c.frames[c.sent]
		c.sent++
	}
	return true
}

func (c *scriptedConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *scriptedConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptedConn) SetWriteDeadline(time.Time) error { return nil }
func (c *scriptedConn) Close() error                     { return nil }

// sniffScripted sniffs and returns the bytes that the server reads.
func sniffScripted(c *scriptedConn) (*conn, Protocol, error) {
	limits := Limits{}.withDefaults()
	own := newRegistry(&limits, new(Stats), slog.New(slog.DiscardHandler)).add(c)
	spoken, err := own.sniff(&limits)
	return own, spoken, err
}

// clientFrames is what a client sends for one request.
func clientFrames(t testing.TB, contentType string, continued bool) [][]byte {
	t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":path", Value: "/x"}, {Name: "content-type", Value: contentType}} {
		if err := enc.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	hb := block.Bytes()
	var parts []func(f *http2.Framer) error
	parts = append(parts, func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	})
	parts = append(parts, func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1000) })
	parts = append(parts, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{7}) })
	if continued {
		parts = append(parts, func(f *http2.Framer) error {
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: hb[:3], PadLength: 7, Priority: http2.PriorityParam{Weight: 3}}); err != nil {
				return err
			}
			return f.WriteContinuation(1, true, hb[3:])
		})
	} else {
		parts = append(parts, func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: hb, EndHeaders: true})
		})
	}
	parts = append(parts,
		func(f *http2.Framer) error { return f.WriteData(1, false, bytes.Repeat([]byte{0}, 5000)) },
		func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1}) },
		func(f *http2.Framer) error {
			return f.WriteData(1, true, []byte("\x00\x00\x00\x04\x01\x00\x00\x00\x00"))
		},
	)
	sent := [][]byte{[]byte(http2.ClientPreface)}
	for _, p := range parts {
		var buf bytes.Buffer
		if err := p(http2.NewFramer(&buf, nil)); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, buf.Bytes())
	}
	return sent
}

// frameTexts is a line for each frame.
func frameTexts(t *testing.T, b []byte) (all []string) {
	t.Helper()
	b, ok := bytes.CutPrefix(b, preface)
	if ok {
		all = append(all, "preface")
	}
	for len(b) > 0 {
		h := parseFrameHeader(b)
		end := frameHeaderLen + int(h.Length)
		if len(b) < end {
			t.Fatalf("%d bytes left of a frame of %d", len(b), end)
		}
		all = append(all, fmt.Sprintf("%v %d %d %x", h.Type, h.Flags, h.StreamID, b[frameHeaderLen:end]))
		b = b[end:]
	}
	return all
}

// TestSniffIsOneConversation: whatever the grouping of bytes and wherever the
// client's acknowledgement comes, client and server hear all that they must, once.
func TestSniffIsOneConversation(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"application/grpc", "application/grpc+proto", "application/x-protobuf"} {
		want := OTLPHTTP
		if strings.HasPrefix(contentType, "application/grpc") {
			want = OTLPGRPC
		}
		for _, continued := range []bool{false, true} {
			stream := clientFrames(t, contentType, continued)
			said := frameTexts(t, bytes.Join(stream, nil))
			for ackAt := range len(stream) + 1 {
				for _, chunk := range []int{1, 2, 8, 9, 10, 33, 100, 4096, 1 << 20} {
					c := &scriptedConn{frames: stream, max: chunk, ackAt: ackAt}
					conn, spoken, err := sniffScripted(c)
					if err != nil || spoken != want {
						t.Fatalf("%s ack %d chunk %d: %v, %v", contentType, ackAt, chunk, spoken, err)
					}
					heard, err := io.ReadAll(conn)
					if err != nil {
						t.Fatal(err)
					}
					// The server greets and acknowledges, as every server does.
					var server bytes.Buffer
					fr := http2.NewFramer(&server, nil)
					_ = fr.WriteSettings()
					_ = fr.WriteSettingsAck()
					_ = fr.WriteWindowUpdate(0, 5)
					for b := server.Bytes(); len(b) > 0; {
						n, err := conn.Write(b[:min(chunk, len(b))])
						if err != nil {
							t.Fatal(err)
						}
						b = b[n:]
					}
					checkConversation(t, fmt.Sprintf("%s continued %t ack %d chunk %d", contentType, continued, ackAt, chunk), said, frameTexts(t, heard), frameTexts(t, c.out.Bytes()))
				}
			}
		}
	}
}

func checkConversation(t *testing.T, name string, said, heard, answered []string) {
	t.Helper()
	pings, acks := 0, 0
	for _, f := range answered {
		switch {
		case strings.HasPrefix(f, "PING 1"):
			pings++
		case strings.HasPrefix(f, "SETTINGS 1"):
			acks++
		}
	}
	if acks != 1 {
		t.Fatalf("%s: client's SETTINGS acknowledged %d times: %q", name, acks, answered)
	}
	if !strings.HasPrefix(answered[0], "SETTINGS 0") {
		t.Fatalf("%s: the first frame is %s", name, answered[0])
	}
	// A PING before the request is answered at once, or heard by the server.
	first := slices.IndexFunc(said, func(f string) bool { return strings.HasPrefix(f, "PING 0") })
	want := slices.Clone(said)
	if pings > 0 {
		want = slices.Delete(want, first, first+1)
	}
	if !slices.Equal(heard, want) {
		t.Fatalf("%s: server hears\n%q\nwant\n%q", name, heard, want)
	}
}

func FuzzSniff(f *testing.F) {
	for _, contentType := range []string{"application/grpc", "text/plain"} {
		f.Add(bytes.Join(clientFrames(f, contentType, true), nil), 7)
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 1)
	f.Add([]byte(http2.ClientPreface+"\x00\x00\x01\x01\x0c\x00\x00\x00\x01\xff"), 100)
	f.Add([]byte(http2.ClientPreface+"\x00\x00\x04\x01\x24\x00\x00\x00\x01abcd"), 100)
	f.Fuzz(func(t *testing.T, b []byte, chunk int) {
		c := &scriptedConn{frames: [][]byte{b}, max: max(1, chunk), ackAt: 1, acked: true}
		conn, spoken, err := sniffScripted(c)
		if err != nil {
			return
		}
		if spoken == OTLPGRPC {
			conn.meter = newArrivals(time.Second)
		}
		got, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		if c.out.Len() == 0 && !bytes.Equal(got, b) {
			t.Errorf("%d bytes came in, others went on (%d)", len(b), len(got))
		}
		_ = conn.Close()
		if n := conn.reg.arriving.Load(); n != 0 {
			t.Errorf("%d bytes still count as arriving", n)
		}
	})
}

// TestShutdownDrains: requests in flight on every protocol are answered with
// success, and new connections are refused.
func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 5), make(chan struct{})
	sink := &recorder{answer: func(context.Context) error { entered <- struct{}{}; <-release; return nil }}
	const free = "127.0.0.1:0"
	c := Config{OTLPGRPCAddr: free, OTLPHTTPAddr: free, JaegerAddr: free, JaegerGRPCAddr: free, ZipkinAddr: free}
	s, err := Listen(c, sink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()

	answers := make(chan string, 5)
	thriftBody := jaegertest.Thrift(t, jaegertest.Binary, jaegertest.Parse(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2"))
	otlpBody := marshal(t, request(1))
	post := func(h *http.Client, url, contentType string, body []byte) {
		answers <- http.StatusText(send(t, h, http.MethodPost, "http://"+url, bytes.NewReader(body), "Content-Type", contentType).status)
	}
	go post(client(t), s.Addrs().Jaeger+"/api/traces", "application/x-thrift", thriftBody)
	go post(client(t), s.Addrs().OTLPHTTP+traces.path, typeProtobuf, otlpBody)
	go post(h2client(t), s.Addrs().OTLPGRPC+traces.path, typeProtobuf, otlpBody)
	conn := dial(t, s.Addrs().OTLPGRPC)
	go func() {
		_, err := collector.NewTraceServiceClient(conn).Export(context.Background(), request(1))
		answers <- status.Code(err).String()
	}()
	jaegerBody := jaegertest.Proto(t, jaegertest.Request(jaegertest.Parse(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2")))
	jaegerConn := dial(t, s.Addrs().JaegerGRPC)
	go func() {
		err := jaegerConn.Invoke(context.Background(), "/"+jaegerCollection+"/PostSpans", jaegerBody, new([]byte), grpc.ForceCodecV2(rawClient{}))
		answers <- status.Code(err).String()
	}()
	for range 5 {
		<-entered
	}
	silent, silentJaeger := connect(t, s.Addrs().OTLPGRPC), connect(t, s.Addrs().JaegerGRPC)
	eventually(t, "silent clients connected", func() bool { return s.Stats().Counts().Connections == 7 })

	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("silent client got an answer")
	}
	if _, err := silentJaeger.Read(make([]byte, 1)); err == nil {
		t.Error("silent client of Jaeger's port got an answer")
	}
	eventually(t, "ports closed", func() bool {
		c, err := net.Dial("tcp", s.Addrs().OTLPHTTP)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-down:
		t.Fatalf("Shutdown returned with requests in flight: %v", err)
	default:
	}
	close(release)
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	count := map[string]int{}
	for range 5 {
		count[<-answers]++
	}
	if count["OK"] != 4 || count["Accepted"] != 1 {
		t.Errorf("answers %v", count)
	}
	if n := len(sink.requests()); n != 5 {
		t.Errorf("Sink has %d requests, want 5", n)
	}
}

// TestShutdownCutsUnfinished: clients that have sent a part of a request neither hold
// the shutdown nor make it fail, and are not counted as too much at once.
func TestShutdownCutsUnfinished(t *testing.T) {
	t.Parallel()
	s, err := Listen(Config{OTLPGRPCAddr: "127.0.0.1:0", OTLPHTTPAddr: "127.0.0.1:0"}, new(recorder))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	message := prefixed(0, marshal(t, request(10)))
	begin(t, s, newScript().head(1, false, exportPath).data(1, false, message[:500]))
	c := connect(t, s.Addrs().OTLPHTTP)
	fmt.Fprintf(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n%s", message[:500])
	eventually(t, "both have begun", func() bool { return s.Stats().Counts().ArrivingBytes > 1000 })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	eventually(t, "the client is gone", func() bool {
		return s.Stats().Counts().Protocols[1].Refused["canceled"] == 1
	})
}

// TestShutdownIsBounded: a Sink that hangs does not hang the program.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	sink := &recorder{answer: func(ctx context.Context) error { close(entered); <-ctx.Done(); return ctx.Err() }}
	s, err := Listen(Config{OTLPGRPCAddr: "127.0.0.1:0"}, sink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	exported := make(chan error, 1)
	conn := dial(t, s.Addrs().OTLPGRPC)
	go func() {
		_, err := collector.NewTraceServiceClient(conn).Export(context.Background(), request(1))
		exported <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want deadline exceeded", err)
	}
	if err := <-exported; status.Code(err) == codes.OK {
		t.Error("the cut request was answered with success")
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestShutdownWithoutServe(t *testing.T) {
	t.Parallel()
	s, err := Listen(Config{OTLPGRPCAddr: "127.0.0.1:0", ZipkinAddr: "127.0.0.1:0"}, new(recorder))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := s.Serve(); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

func TestListenNamesTheTakenAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	_, err = Listen(Config{OTLPGRPCAddr: "127.0.0.1:0", JaegerAddr: addr}, new(recorder))
	if err == nil || !strings.Contains(err.Error(), "listen for Jaeger on "+addr) {
		t.Errorf("got %v", err)
	}
}

func TestListenersAreOffWithoutAddress(t *testing.T) {
	t.Parallel()
	s, err := Listen(Config{ZipkinAddr: "127.0.0.1:0"}, new(recorder))
	if err != nil {
		t.Fatal(err)
	}
	if a := s.Addrs(); a.OTLPGRPC != "" || a.OTLPHTTP != "" || a.Jaeger != "" || a.Zipkin == "" {
		t.Errorf("got %+v", a)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
