package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// export sends one span as an honest client does.
func export(t *testing.T, s *Server) error {
	t.Helper()
	_, err := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC)).Export(t.Context(), request(1))
	return err
}

func post(t *testing.T, s *Server, body []byte, headers ...string) reply {
	t.Helper()
	return send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, bytes.NewReader(body), append(headers, "Content-Type", typeProtobuf)...)
}

// TestHalfSentCallsStopNobody: calls that are not whole take no slot, however many
// there are and whether their message has begun.
func TestHalfSentCallsStopNobody(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Limits: Limits{Requests: 4}}, new(recorder))
	message := prefixed(0, marshal(t, request(10)))
	for i := range 4 {
		half := newScript()
		for id := range uint32(100) {
			half.head(2*id+1, false, exportPath)
			if i%2 == 0 {
				half.data(2*id+1, false, message[:500])
			}
		}
		begin(t, s, half)
	}
	for range 400 { // HTTP/1 likewise; each is a connection
		c := connect(t, s.Addrs().OTLPHTTP)
		fmt.Fprintf(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n%s", message[:500])
	}
	eventually(t, "half-sent bytes are counted", func() bool { return s.Stats().Counts().ArrivingBytes >= 2*100*500+400*500 })
	if err := export(t, s); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	if r := post(t, s, message[5:]); r.status != 200 {
		t.Errorf("HTTP: %d %s", r.status, r.body)
	}
	if n := s.Stats().Counts(); n.InFlight != 0 || n.InFlightBytes != 0 {
		t.Errorf("half-sent requests hold %d slots and %d bytes", n.InFlight, n.InFlightBytes)
	}
}

// TestHalfSentBytesAreBounded: past the bound those that hold the most are cut,
// and an honest client among them is served.
func TestHalfSentBytesAreBounded(t *testing.T) {
	t.Parallel()
	const bound = 2 << 20
	s := start(t, Config{Limits: Limits{Arriving: bound}}, new(recorder))
	half := bytes.Repeat([]byte{0}, 600<<10)
	var most int64
	for i := range 40 {
		if i%2 == 0 {
			c := connect(t, s.Addrs().OTLPGRPC)
			_, _ = c.Write(newScript().head(1, false, exportPath).data(1, false, append([]byte{0, 0, 20, 0, 0}, half...)).Bytes())
		} else {
			c := connect(t, s.Addrs().OTLPHTTP)
			_, _ = fmt.Fprintf(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 10000000\r\n\r\n%s", half)
		}
		most = max(most, s.Stats().Counts().ArrivingBytes)
		if err := export(t, s); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
	}
	eventually(t, "some are cut", func() bool { return s.Stats().Counts().Overfull > 10 })
	if most > bound+2<<20 {
		t.Errorf("%d bytes were held, the bound is %d", most, bound)
	}
}

// TestUnreadAnswers: a client that sends calls and reads nothing is not read from
// for long, and is cut.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Limits: Limits{WriteTimeout: 300 * time.Millisecond}}, discard{})
	theirs, ours := net.Pipe() // has no buffers: the first answer is stuck
	defer theirs.Close()
	c := s.in.conns.add(ours)
	c.http2, c.meter = true, newArrivals(time.Minute)
	go s.grpcConns.give(c)
	go func() { // until the server has greeted
		fr := http2.NewFramer(io.Discard, theirs)
		for range 3 {
			_, _ = fr.ReadFrame()
		}
	}()
	message := prefixed(0, make([]byte, 0))
	first := newScript()
	sent, stuck := 0, 0
	for id := uint32(1); ; id += 2 {
		first.call(id, message)
		_ = theirs.SetWriteDeadline(time.Now().Add(5 * time.Second))
		n, err := theirs.Write(first.Bytes())
		first.Reset()
		if sent += n; err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection was not cut")
			}
			break
		}
		stuck++
	}
	if sent > readAhead+1<<20 {
		t.Errorf("the server took %d bytes, %d calls, from a client that reads nothing", sent, stuck)
	}
	eventually(t, "closed", func() bool { n := s.Stats().Counts(); return n.Connections == 0 && n.InFlight == 0 })
}

// TestManyBombs: small requests that inflate are counted as they do, all together.
// Not parallel: it looks at the heap.
func TestManyBombs(t *testing.T) {
	const each, bound = 4 << 20, 16 << 20
	sink := newHanging()
	s := start(t, Config{Limits: Limits{Decompressed: each, InFlight: bound, Arriving: bound, Streams: 60}}, sink)
	bomb := compressed(t, marshal(t, bigRequest(each-1000)), gzipWriter)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	var bombs sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	add := func(answer string) { mu.Lock(); defer mu.Unlock(); answers[answer]++ }
	ctx, cancel := context.WithCancel(t.Context())
	for range 25 {
		conn := dial(t, s.Addrs().OTLPGRPC)
		bombs.Go(func() {
			var out []byte
			err := conn.Invoke(ctx, exportPath, bomb, &out, grpc.ForceCodecV2(rawClient{}), grpc.UseCompressor("packed"))
			add("gRPC " + status.Code(err).String())
		})
		h := client(t)
		bombs.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, bytes.NewReader(bomb))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", typeProtobuf)
			r.Header.Set("Content-Encoding", "GZip")
			res, err := h.Do(r)
			if err != nil {
				add("HTTP failed")
				return
			}
			res.Body.Close()
			add(fmt.Sprint("HTTP ", res.StatusCode))
		})
	}
	refused := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, k := range answers {
			n += k
		}
		return n
	}
	eventually(t, "all but those in flight are refused", func() bool {
		n := s.Stats().Counts()
		if n.InFlightBytes > bound || n.ArrivingBytes > bound+each {
			t.Errorf("%d in flight, %d arriving; the bound of each is %d", n.InFlightBytes, n.ArrivingBytes, bound)
		}
		return refused()+int(n.InFlight) == 50
	})
	runtime.GC()
	runtime.GC() // what is pooled outlives the first
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 3*bound {
		t.Errorf("%d MiB held by bombs of %d MiB in all; the bound is %d MiB", held>>20, 50*each>>20, bound>>20)
	}
	close(sink.release)
	bombs.Wait()
	cancel()
	if answers["gRPC ResourceExhausted"]+answers["HTTP 429"] < 40 || answers["HTTP failed"] > 0 {
		t.Errorf("answers %v", answers)
	}
	eventually(t, "nothing held", func() bool { n := s.Stats().Counts(); return n.InFlightBytes == 0 && n.ArrivingBytes == 0 })
}

// TestPingBeforeTheFirstRequest: a client that asks whether we are alive hears at
// once, and its first request, much later, is served.
func TestPingBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	bothPorts(t, func(t *testing.T, addr string, s *Server, sink *recorder) {
		c := &talk{T: t, Conn: connect(t, addr)}
		c.fr = http2.NewFramer(c, c)
		c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		first := newScript(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		c.send(first)
		acked := false
		c.until("acknowledgement", func(f http2.Frame) bool {
			set, ok := f.(*http2.SettingsFrame)
			acked = acked || ok && set.IsAck()
			return acked
		})
		for i := range byte(20) {
			if err := c.fr.WritePing(false, [8]byte{i}); err != nil {
				t.Fatal(err)
			}
			c.until("answer to a PING", func(f http2.Frame) bool {
				p, ok := f.(*http2.PingFrame)
				return ok && p.IsAck() && p.Data == [8]byte{i}
			})
		}
		if err := c.fr.WriteSettingsAck(); err != nil {
			t.Fatal(err)
		}
		c.send(first.call(1, prefixed(0, marshal(t, request(1)))))
		acks := 0
		c.until("answer", func(f http2.Frame) bool {
			if set, ok := f.(*http2.SettingsFrame); ok && set.IsAck() {
				acks++
			}
			return grpcStatus(f) == "0"
		})
		if acks != 0 {
			t.Errorf("SETTINGS acknowledged %d times more", acks)
		}
		if err := c.fr.WriteSettingsAck(); err != nil { // of the server's
			t.Fatal(err)
		}
		c.send(first.call(3, prefixed(0, marshal(t, request(1)))))
		c.untilStatus(3, "0")
		sink.requests()
	})
}

// TestFirstBytesAreExplained: a client that speaks something else hears so, in a
// form that it can show.
func TestFirstBytesAreExplained(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))
	s := start(t, Config{Logger: logger}, new(recorder))
	a := s.Addrs()
	for _, addr := range []string{a.OTLPGRPC, a.OTLPHTTP, a.JaegerGRPC, a.Jaeger, a.Zipkin} {
		for first, want := range map[string]string{
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc": "this port does not speak TLS",
			"\x00\x01\x02":                         "malformed: the first byte is 0x00",
			"{\"resourceSpans\":[]}":               "malformed: the first byte is 0x7b",
			"requests:1|c\nhello\n":                `malformed: the first line "requests:1|c" is not an HTTP request`,
			"GET\x00/":                             `malformed: the first line "GET\x00/" is not`,
		} {
			c := connect(t, addr)
			_, _ = io.WriteString(c, first)
			got, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 400 ") || !strings.Contains(string(got), want) {
				t.Errorf("%q: %q, %v", first, got, err)
			}
		}
	}
	_, err := http.Get("https://" + a.OTLPHTTP)
	if err == nil || !strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		t.Errorf("an HTTPS client hears %v", err)
	}
	eventually(t, "all are closed", func() bool { return s.Stats().Counts().Connections == 0 })
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(log.String(), "does not speak TLS"); n != 1 {
		t.Errorf("logged %d times at Info:\n%s", n, &log)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestFaultyFramesAreExplained: HTTP/2 says why in GOAWAY.
func TestFaultyFramesAreExplained(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Limits: Limits{IdleTimeout: 50 * time.Millisecond}}, new(recorder))
	raw := func(kind http2.FrameType, payload string) *script {
		return newScript().do2(func(fr *http2.Framer) error { return fr.WriteRawFrame(kind, 0, 1, []byte(payload)) })
	}
	for name, c := range map[string]struct {
		send *script
		code http2.ErrCode
		text string
	}{
		"giant frame": {raw(http2.FrameData, strings.Repeat("a", maxFrame+1)), http2.ErrCodeFrameSize, "the limit is 16384"},
		"bad compression": {newScript().do2(func(fr *http2.Framer) error {
			return fr.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte("\xff\xff\xff\xff\xff\xff"))
		}), http2.ErrCodeCompression, "cannot be decoded"},
		"interrupted":    {raw(http2.FrameHeaders, "\x83").pings(1), http2.ErrCodeProtocol, "interrupted"},
		"endless header": {newScript().endless(), http2.ErrCodeEnhanceYourCalm, "limit of 65536 bytes"},
		"many frames":    {newScript().pings(maxGreeted + 1), http2.ErrCodeEnhanceYourCalm, "before the first request"},
		"idle":           {newScript().settings(), http2.ErrCodeNo, "no request in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			talk := &talk{T: t, Conn: connect(t, s.Addrs().OTLPGRPC)}
			talk.fr = http2.NewFramer(talk, talk)
			_, _ = talk.Write(c.send.Bytes())
			talk.until("GOAWAY", func(f http2.Frame) bool {
				if set, ok := f.(*http2.SettingsFrame); ok && !set.IsAck() {
					_ = talk.fr.WriteSettingsAck()
				}
				g, ok := f.(*http2.GoAwayFrame)
				if ok && (g.ErrCode != c.code || !strings.Contains(string(g.DebugData()), c.text)) {
					t.Errorf("%v %q, want %v %q", g.ErrCode, g.DebugData(), c.code, c.text)
				}
				return ok
			})
		})
	}
}

// TestLargeHeaders: 60 KiB are accepted in every form, and too many are refused.
func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, Config{}, new(recorder))
	large := strings.Repeat("a", 60<<10)
	body := marshal(t, request(1))
	for name, c := range map[string]*http.Client{"HTTP/1": client(t), "HTTP/2": h2client(t)} {
		for size, want := range map[int]int{60 << 10: 200, 200 << 10: 431} {
			req, err := http.NewRequest(http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", typeProtobuf)
			req.Header.Set("X-Large", strings.Repeat("a", size))
			res, err := c.Do(req)
			if want == 431 && err != nil { // HTTP/2 clients know the limit themselves
				continue
			}
			if err != nil || res.StatusCode != want {
				t.Errorf("%s, %d bytes: %v, %v", name, size, res, err)
				continue
			}
			res.Body.Close()
		}
	}
	ctx := metadataContext(t, "x-large", large)
	if _, err := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC)).Export(ctx, request(1)); err != nil {
		t.Errorf("gRPC: %v", err)
	}
}

// TestShareOfOneConnection: one connection cannot have all slots.
func TestShareOfOneConnection(t *testing.T) {
	t.Parallel()
	sink := newHanging()
	s := start(t, Config{Limits: Limits{Requests: 8}}, sink)
	message := prefixed(0, marshal(t, request(1)))
	first := newScript()
	for id := range uint32(8) {
		first.call(2*id+1, message)
	}
	c := begin(t, s, first)
	for range 4 {
		<-sink.entered
		c.until("refusal", func(f http2.Frame) bool { return grpcStatus(f) == fmt.Sprint(int(codes.ResourceExhausted)) })
	}
	done := make(chan error, 1)
	go func() { done <- export(t, s) }()
	<-sink.entered
	close(sink.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := s.Stats().Counts().Protocols[0].Refused["overloaded"]; n != 4 {
		t.Errorf("%d refused, want 4", n)
	}
}

// TestTooLargeAlone: a request that would not fit if it were alone is told to be
// smaller. Told to come back, it would come back for ever.
func TestTooLargeAlone(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, 3<<20))
	_ = z.Close()
	for name, test := range map[string]struct {
		limits Limits
		body   []byte
		header []string
	}{
		"plain, arriving":     {Limits{Arriving: 1 << 20}, make([]byte, 1200<<10), nil},
		"compressed, arrived": {Limits{Arriving: 1 << 20}, packed.Bytes(), []string{"Content-Encoding", "gzip"}},
		"whole":               {Limits{InFlight: 2 << 20, Arriving: 64 << 20}, marshal(t, request(8000)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Limits: test.limits}, new(recorder))
			r := post(t, s, test.body, test.header...)
			if r.status != 400 || !strings.Contains(string(r.body), "--max-in-flight") || !strings.Contains(string(r.body), "send smaller batches") {
				t.Errorf("%d %s", r.status, r.body)
			}
			if err := export(t, s); err != nil {
				t.Errorf("a small request after it: %v", err)
			}
		})
	}
}
