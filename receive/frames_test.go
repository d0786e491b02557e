package receive

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
)

// script is what a gRPC client sends.
type script struct {
	bytes.Buffer
	fr  *http2.Framer
	enc *hpack.Encoder
	blk bytes.Buffer
}

func newScript(settings ...http2.Setting) *script {
	s := new(script)
	s.fr = http2.NewFramer(&s.Buffer, nil)
	s.fr.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.blk)
	s.WriteString(http2.ClientPreface)
	s.do(s.fr.WriteSettings(settings...))
	return s
}

func (s *script) do(err error) *script {
	if err != nil {
		panic(err)
	}
	return s
}

// block encodes the head of a call. Fields come in pairs and replace those of
// their name; an empty value leaves a field out; a name with a + is added.
func (s *script) block(path string, fields ...string) []byte {
	s.blk.Reset()
	all := []string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost:4317", "content-type", "application/grpc", "te", "trailers", "user-agent", "grpc-go/1.80"}
	for i := 0; i < len(fields); i += 2 {
		at := slices.Index(all, fields[i])
		if name, add := strings.CutPrefix(fields[i], "+"); add || at < 0 {
			all = append(all, name, fields[i+1])
			continue
		}
		all[at+1] = fields[i+1]
	}
	for i := 0; i < len(all); i += 2 {
		if all[i+1] != "" {
			s.do(s.enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}))
		}
	}
	return s.blk.Bytes()
}

func (s *script) head(id uint32, ends bool, path string, fields ...string) *script {
	b := s.block(path, fields...)
	n := min(len(b), maxFrame)
	s.do(s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:n], EndHeaders: n == len(b), EndStream: ends}))
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = min(len(b), maxFrame)
		s.do(s.fr.WriteContinuation(id, n == len(b), b[:n]))
	}
	return s
}

func (s *script) data(id uint32, ends bool, b []byte) *script {
	for len(b) > maxFrame {
		s.do(s.fr.WriteData(id, false, b[:maxFrame]))
		b = b[maxFrame:]
	}
	return s.do(s.fr.WriteData(id, ends, b))
}

var exportPath = "/" + traces.service + "/Export"

// call is a whole call.
func (s *script) call(id uint32, message []byte, fields ...string) *script {
	return s.head(id, false, exportPath, fields...).data(id, true, message)
}

// prefixed is a message as gRPC sends it.
func prefixed(flag byte, b []byte) []byte {
	n := len(b)
	return append([]byte{flag, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, b...)
}

func (s *script) settings(all ...http2.Setting) *script { return s.do(s.fr.WriteSettings(all...)) }

func (s *script) pings(n int) *script {
	for range n {
		s.do(s.fr.WritePing(false, [8]byte{1}))
	}
	return s
}

// talk is a connection whose client writes frames itself.
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

// hanging is a Sink whose calls wait: for their context, or for release.
type hanging struct {
	entered, release chan struct{}
	ended            chan error
}

func newHanging() *hanging {
	return &hanging{entered: make(chan struct{}, 100), release: make(chan struct{}), ended: make(chan error, 100)}
}

func (h *hanging) Append(ctx context.Context, _ []byte) (Rejected, error) {
	h.entered <- struct{}{}
	select {
	case <-ctx.Done():
		h.ended <- ctx.Err()
		return Rejected{}, ctx.Err()
	case <-h.release:
		return Rejected{}, nil
	}
}

func (s *script) do2(f func(*http2.Framer) error) *script { return s.do(f(s.fr)) }

// endless is a header block that does not end.
func (s *script) endless() *script {
	s.do(s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: s.block(exportPath)}))
	for range 20 {
		s.do(s.fr.WriteContinuation(1, false, make([]byte, 10<<10)))
	}
	return s
}

func metadataContext(t *testing.T, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), pairs...)
}

// packed is gzip, of messages that are compressed already.
type packed struct{}

func init() { encoding.RegisterCompressor(packed{}) }

func (packed) Name() string                                 { return "packed" }
func (packed) Compress(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }
func (packed) Decompress(r io.Reader) (io.Reader, error) {
	return encoding.GetCompressor("gzip").Decompress(r)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// bigRequest has one span with an attribute of about n bytes that compress well.
func bigRequest(n int) *collector.ExportTraceServiceRequest {
	r := request(1)
	span := r.ResourceSpans[0].ScopeSpans[0].Spans[0]
	span.Attributes = append(span.Attributes, str("big", strings.Repeat("a", n)))
	return r
}
