package receive

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// bothPorts runs f once against each OTLP port.
func bothPorts(t *testing.T, f func(t *testing.T, addr string, s *Server, sink *recorder)) {
	for _, port := range []Protocol{OTLPGRPC, OTLPHTTP} {
		t.Run("port of "+string(port), func(t *testing.T) {
			t.Parallel()
			sink := new(recorder)
			s := start(t, Config{}, sink)
			addr := s.Addrs().OTLPGRPC
			if port == OTLPHTTP {
				addr = s.Addrs().OTLPHTTP
			}
			f(t, addr, s, sink)
		})
	}
}

// TestSDKExporters runs the exporters that everybody uses, on both ports.
func TestSDKExporters(t *testing.T) {
	t.Parallel()
	for name, newExporter := range map[string]func(ctx context.Context, addr string) (*otlptrace.Exporter, error){
		"grpc": func(ctx context.Context, addr string) (*otlptrace.Exporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(addr), otlptracegrpc.WithInsecure())
		},
		"grpc gzip": func(ctx context.Context, addr string) (*otlptrace.Exporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(addr), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip"))
		},
		"http": func(ctx context.Context, addr string) (*otlptrace.Exporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(addr), otlptracehttp.WithInsecure())
		},
		"http gzip": func(ctx context.Context, addr string) (*otlptrace.Exporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(addr), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothPorts(t, func(t *testing.T, addr string, s *Server, sink *recorder) {
				exporter, err := newExporter(t.Context(), addr)
				if err != nil {
					t.Fatal(err)
				}
				provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
				_, span := provider.Tracer("sdk").Start(t.Context(), "from the SDK")
				span.SetAttributes(attribute.Int("n", 7))
				span.End()
				if err := provider.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				got := sink.one(t).ResourceSpans[0].ScopeSpans[0]
				id := span.SpanContext().TraceID()
				if got.Scope.Name != "sdk" || got.Spans[0].Name != "from the SDK" || !bytes.Equal(got.Spans[0].TraceId, id[:]) {
					t.Errorf("got %v", got)
				}
				c := s.Stats().Counts()
				wrong := strings.HasPrefix(name, "grpc") == (addr == s.Addrs().OTLPHTTP)
				if (c.WrongPort == 1) != wrong {
					t.Errorf("WrongPort = %d", c.WrongPort)
				}
				p := c.Protocols[0]
				if strings.HasPrefix(name, "http") {
					p = c.Protocols[1]
				}
				if p.Requests != 1 || p.Spans != 1 || p.Bytes != uint64(proto.Size(sink.one(t))) {
					t.Errorf("counted %+v", p)
				}
			})
		})
	}
}

func dial(t testing.TB, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestGRPCCompressions(t *testing.T) {
	t.Parallel()
	want := request(50)
	bothPorts(t, func(t *testing.T, addr string, s *Server, sink *recorder) {
		c := collector.NewTraceServiceClient(dial(t, addr))
		names := []string{"identity", "gzip", "zstd", "snappy"}
		for range 3 { // pooled readers are used again
			for _, name := range names {
				if _, err := c.Export(t.Context(), want, grpc.UseCompressor(name)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		got := sink.requests()
		if len(got) != 3*len(names) {
			t.Fatalf("got %d requests", len(got))
		}
		for i, r := range got {
			if !proto.Equal(r, want) {
				t.Errorf("request %d differs from what was sent", i)
			}
		}
	})
}

func TestGRPCSizes(t *testing.T) {
	t.Parallel()
	sink := new(recorder)
	s := start(t, Config{}, sink)
	c := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC))
	for i, n := range []int{1, 3, 40, 41, 1000, 20_000, 0, 1} {
		want := request(n)
		res, err := c.Export(t.Context(), want)
		if err != nil {
			t.Fatalf("%d spans: %v", n, err)
		}
		if proto.Size(res) != 0 {
			t.Errorf("answer %v, want the empty message", res)
		}
		if n == 0 { // nothing to store, but a success
			continue
		}
		got := sink.requests()
		if !proto.Equal(got[len(got)-1], want) {
			t.Errorf("request %d of %d spans differs", i, n)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	bothPorts(t, func(t *testing.T, addr string, _ *Server, _ *recorder) {
		res, err := grpc_health_v1.NewHealthClient(dial(t, addr)).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || res.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health: %v, %v", res, err)
		}
	})
}

// TestHTTPVersions: OTLP/HTTP by HTTP/1.1 and by HTTP/2 with prior knowledge,
// and several requests on one connection.
func TestHTTPVersions(t *testing.T) {
	t.Parallel()
	body := marshal(t, request(3))
	bothPorts(t, func(t *testing.T, addr string, s *Server, sink *recorder) {
		for _, c := range []*http.Client{client(t), h2client(t)} {
			for range 3 {
				got := send(t, c, http.MethodPost, "http://"+addr+traces.path, bytes.NewReader(body), "Content-Type", typeProtobuf)
				if got.status != 200 || got.body != "\n\x00" || got.header.Get("Content-Type") != typeProtobuf {
					t.Fatalf("got %d %q %v", got.status, got.body, got.header)
				}
			}
		}
		if n := len(sink.requests()); n != 6 {
			t.Errorf("Sink got %d requests, want 6", n)
		}
		if n := s.Stats().Counts().Connections; n != 2 {
			t.Errorf("%d connections open, want 2", n)
		}
	})
}

// TestGRPCAfterHTTPOnOneConnection is what a proxy may do.
func TestGRPCAfterHTTPOnOneConnection(t *testing.T) {
	t.Parallel()
	sink := new(recorder)
	s := start(t, Config{}, sink)
	c := h2client(t)
	url := "http://" + s.Addrs().OTLPHTTP
	body := marshal(t, request(2))
	send(t, c, http.MethodPost, url+traces.path, bytes.NewReader(body), "Content-Type", typeProtobuf)
	framed := append([]byte{0, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	got := send(t, c, http.MethodPost, url+exportPath, bytes.NewReader(framed), "Content-Type", "application/grpc", "TE", "trailers")
	if got.status != 200 || len(sink.requests()) != 2 {
		t.Errorf("got %d %q, Sink has %d requests", got.status, got.body, len(sink.requests()))
	}
	if n := s.Stats().Counts().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestHTTPJSON(t *testing.T) {
	t.Parallel()
	const body = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
		"scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"0102030405060708090A0B0C0D0E0F10","spanId":"0102030405060708",
		"name":"op","kind":2,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":1700000000000001000,
		"attributes":[{"key":"n","value":{"intValue":"7"}}],"unknown":[1]}]}]}]}`
	bothPorts(t, func(t *testing.T, addr string, _ *Server, sink *recorder) {
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8"} {
			got := send(t, client(t), http.MethodPost, "http://"+addr+traces.path, strings.NewReader(body), "Content-Type", contentType)
			if got.status != 200 || got.body != `{"partialSuccess":{}}` || got.header.Get("Content-Type") != contentType {
				t.Fatalf("got %d %q %v", got.status, got.body, got.header)
			}
		}
		const want = "resource service.name=\"shop\"\nscope \"s\" \"\"\n" +
			"span \"op\" trace=0102030405060708090a0b0c0d0e0f10 id=0102030405060708 SERVER 1700000000000000000..1700000000000001000\n" +
			"  attrs n=7\n"
		if d := dump(sink.requests()[0]); d != want {
			t.Errorf("got\n%swant\n%s", d, want)
		}
	})
}

type newWriter func(io.Writer) io.WriteCloser

func compressed(t testing.TB, b []byte, f newWriter) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := f(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipWriter(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
func zlibWriter(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
func flateWriter(w io.Writer) io.WriteCloser {
	f, _ := flate.NewWriter(w, 6)
	return f
}
func zstdWriter(w io.Writer) io.WriteCloser {
	z, _ := zstd.NewWriter(w)
	return z
}
func snappyWriter(w io.Writer) io.WriteCloser { return s2.NewWriter(w, s2.WriterSnappyCompat()) }

var httpEncodings = []struct {
	header string
	encode func(t testing.TB, b []byte) []byte
}{
	{"gzip", func(t testing.TB, b []byte) []byte { return compressed(t, b, gzipWriter) }},
	{"zstd", func(t testing.TB, b []byte) []byte { return compressed(t, b, zstdWriter) }},
	{"zlib", func(t testing.TB, b []byte) []byte { return compressed(t, b, zlibWriter) }},
	{"deflate", func(t testing.TB, b []byte) []byte { return compressed(t, b, zlibWriter) }},
	{"deflate", func(t testing.TB, b []byte) []byte { return compressed(t, b, flateWriter) }}, // bare
	{"snappy", func(t testing.TB, b []byte) []byte { return compressed(t, b, snappyWriter) }},
	{"snappy", func(_ testing.TB, b []byte) []byte { return s2.EncodeSnappy(nil, b) }}, // one block
}

func TestHTTPEncodings(t *testing.T) {
	t.Parallel()
	want := request(50)
	plainBody := marshal(t, want)
	sink := new(recorder)
	s := start(t, Config{}, sink)
	for i, e := range httpEncodings {
		e.header = strings.ToUpper(e.header[:2]) + e.header[2:] // case does not matter
		body := e.encode(t, plainBody)
		url, c := "http://"+s.Addrs().OTLPHTTP+traces.path, client(t)
		for range 2 {
			if got := send(t, c, http.MethodPost, url, bytes.NewReader(body), "Content-Type", typeProtobuf, "Content-Encoding", e.header); got.status != 200 {
				t.Fatalf("%d %s: %d %q", i, e.header, got.status, got.body)
			}
		}
		if got := send(t, c, http.MethodPost, url, bytes.NewReader(body[:len(body)/2]), "Content-Type", typeProtobuf, "Content-Encoding", e.header); got.status != 400 || !strings.Contains(got.body, "Content-Encoding says so") {
			t.Errorf("%d %s cut in half: %d %q", i, e.header, got.status, got.body)
		}
		if got := send(t, c, http.MethodPost, url, bytes.NewReader(plainBody), "Content-Type", typeProtobuf, "Content-Encoding", e.header); got.status != 400 {
			t.Errorf("%d %s of plain bytes: %d %q", i, e.header, got.status, got.body)
		}
	}
	for i, r := range sink.requests() {
		if !proto.Equal(r, want) {
			t.Errorf("request %d differs from what was sent", i)
		}
	}
	if n := len(sink.requests()); n != 2*len(httpEncodings) {
		t.Errorf("Sink got %d requests", n)
	}
}

// TestBombs: small on the wire, huge after decompression.
func TestBombs(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	s := start(t, Config{Limits: Limits{Decompressed: limit}}, new(recorder))
	huge := make([]byte, 64<<20)
	for i, e := range httpEncodings {
		body := e.encode(t, huge)
		got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, bytes.NewReader(body), "Content-Type", typeJSON, "Content-Encoding", e.header)
		if got.status != 400 || !strings.Contains(got.body, "limit of 1048576 bytes after decompression") {
			t.Errorf("%d %s: %d %q", i, e.header, got.status, got.body)
		}
	}
	eventually(t, "nothing held", func() bool { return s.Stats().Counts().InFlightBytes == 0 })
}

func TestCORS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed []string
		origin  string
		ok      bool
	}{
		{nil, "http://localhost:3000", true},
		{nil, "http://localhost", true},
		{nil, "https://127.0.0.1:8443", true},
		{nil, "http://[::1]:3000", true},
		{nil, "http://shop.localhost:8000", true},
		{nil, "http://localhost.evil.example", false},
		{nil, "http://evillocalhost", false},
		{nil, "https://evil.example", false},
		{nil, "null", false},
		{[]string{}, "http://localhost:3000", false},
		{[]string{"*"}, "https://any.example", true},
		{[]string{"https://shop.example"}, "https://shop.example", true},
		{[]string{"https://shop.example"}, "https://shop.example:444", false},
		{[]string{"https://*.shop.example"}, "https://a.shop.example", true},
		{[]string{"https://*.shop.example"}, "http://a.shop.example", false},
	} {
		s := start(t, Config{AllowedOrigins: c.allowed}, new(recorder))
		for url, answer := range map[string]struct {
			body   string
			status int
		}{
			"http://" + s.Addrs().OTLPHTTP + traces.path:   {`{}`, 200},
			"http://" + s.Addrs().OTLPHTTP + logs.path:     {`{}`, 200},
			"http://" + s.Addrs().Zipkin + "/api/v2/spans": {`[]`, 202},
		} {
			pre := send(t, client(t), http.MethodOptions, url, nil, "Origin", c.origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-key")
			want := ""
			if c.ok {
				want = c.origin
			}
			if pre.status != 204 || pre.header.Get("Access-Control-Allow-Origin") != want || (pre.header.Get("Access-Control-Allow-Headers") == "content-type,x-key") != c.ok {
				t.Errorf("%v %s preflight: %d %v", c.allowed, c.origin, pre.status, pre.header)
			}
			got := send(t, client(t), http.MethodPost, url, strings.NewReader(answer.body), "Origin", c.origin, "Content-Type", typeJSON)
			if got.status != answer.status || got.header.Get("Access-Control-Allow-Origin") != want || got.header.Get("Vary") != "Origin" {
				t.Errorf("%v %s: %d %v", c.allowed, c.origin, got.status, got.header)
			}
			// Browsers' sendBeacon includes credentials.
			for _, r := range []reply{pre, got} {
				if (r.header.Get("Access-Control-Allow-Credentials") == "true") != c.ok {
					t.Errorf("%v %s: %v", c.allowed, c.origin, r.header)
				}
			}
		}
	}
}

// TestPayloadIsUntouchedUntilAppendReturns: buffers are pooled, so bytes that a
// slow Sink still reads must not be those of a later request.
func TestPayloadIsUntouchedUntilAppendReturns(t *testing.T) {
	t.Parallel()
	sink := checkingSink{errs: make(chan string, 1000)}
	s := start(t, Config{}, sink)
	conn := dial(t, s.Addrs().OTLPGRPC)
	done := make(chan error, 8)
	for w := range cap(done) {
		go func() {
			c := collector.NewTraceServiceClient(conn)
			for i := range 20 {
				if _, err := c.Export(context.Background(), request(1+(w*31+i*7)%200), grpc.UseCompressor([]string{"identity", "gzip"}[i%2])); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	close(sink.errs)
	for e := range sink.errs {
		t.Error(e)
	}
}

type checkingSink struct{ errs chan string }

func (s checkingSink) Append(_ context.Context, payload []byte) (Rejected, error) {
	before := bytes.Clone(payload)
	timer := time.NewTimer(100 * time.Microsecond) // let other requests come in
	<-timer.C
	if !bytes.Equal(before, payload) {
		s.errs <- "payload changed while Append ran"
	}
	if err := proto.Unmarshal(before, new(collector.ExportTraceServiceRequest)); err != nil {
		s.errs <- err.Error()
	}
	return Rejected{}, nil
}

// TestJSONIsWhatProtojsonWrites guards against our own idea of OTLP/JSON; ids
// are the one difference and are left out.
func TestJSONIsWhatProtojsonWrites(t *testing.T) {
	t.Parallel()
	want := request(1)
	span := want.ResourceSpans[0].ScopeSpans[0].Spans[0]
	span.TraceId, span.SpanId = nil, nil
	body, err := protojson.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	sink := new(recorder)
	s := start(t, Config{}, sink)
	if got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, bytes.NewReader(body), "Content-Type", typeJSON); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := sink.one(t); !proto.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
