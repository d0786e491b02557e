package receive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/internal/spantest"
	"etude/internal/testkit"
)

// recorder is a Sink that remembers.
type recorder struct {
	mu     sync.Mutex
	got    []*collector.ExportTraceServiceRequest
	answer func(context.Context) error // nil: success
	reject Rejected                    // of each request
}

func (r *recorder) Append(ctx context.Context, payload []byte) (Rejected, error) {
	if r.answer != nil {
		if err := r.answer(ctx); err != nil {
			return Rejected{}, err
		}
	}
	req := new(collector.ExportTraceServiceRequest)
	if err := proto.Unmarshal(payload, req); err != nil {
		return Rejected{}, fmt.Errorf("payload handed on is not OTLP: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, req)
	return r.reject, nil
}

func (r *recorder) requests() []*collector.ExportTraceServiceRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*collector.ExportTraceServiceRequest(nil), r.got...)
}

// one returns the only request received.
func (r *recorder) one(t *testing.T) *collector.ExportTraceServiceRequest {
	t.Helper()
	got := r.requests()
	if len(got) != 1 {
		t.Fatalf("Sink got %d requests, want 1", len(got))
	}
	return got[0]
}

// start runs a server with all listeners on free ports.
func start(t testing.TB, c Config, sink Sink) *Server {
	t.Helper()
	const free = "127.0.0.1:0"
	c.OTLPGRPCAddr, c.OTLPHTTPAddr, c.JaegerAddr, c.JaegerGRPCAddr, c.ZipkinAddr = free, free, free, free, free
	s, err := Listen(c, sink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// request makes n spans in one scope.
func request(n int) *collector.ExportTraceServiceRequest {
	ss := &trace.ScopeSpans{Scope: &common.InstrumentationScope{Name: "test"}}
	for i := range n {
		ss.Spans = append(ss.Spans, &trace.Span{
			TraceId: bytes.Repeat([]byte{byte(i + 1)}, 16), SpanId: bytes.Repeat([]byte{byte(i + 1)}, 8),
			Name: "operation", Kind: trace.Span_SPAN_KIND_SERVER,
			StartTimeUnixNano: 1_700_000_000_000_000_000, EndTimeUnixNano: 1_700_000_000_100_000_000,
			Attributes: []*common.KeyValue{
				str("http.request.method", "GET"), str("url.path", "/api/orders/12345"), str("server.address", "orders.internal"),
				{Key: "http.response.status_code", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 200}}},
				str("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
				str("network.protocol.version", "1.1"), str("thread.name", "worker-17"), str("deployment", "blue"),
			},
		})
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: []*common.KeyValue{str("service.name", "shop")}},
		ScopeSpans: []*trace.ScopeSpans{ss},
	}}}
}

func str(k, v string) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reply is an HTTP answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes one HTTP request; headers come in pairs.
func send(t testing.TB, c *http.Client, method, url string, body io.Reader, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

// client is an HTTP client of this test alone.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// h2client speaks HTTP/2 without TLS from the first byte.
func h2client(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Until(t, what, ok)
}

// dump writes a request as text, one line a thing.
func dump(req *collector.ExportTraceServiceRequest) string { return spantest.Dump(req) }
