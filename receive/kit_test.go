package receive

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

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

func unmarshal(t testing.TB, payload []byte) *collector.ExportTraceServiceRequest {
	t.Helper()
	req := new(collector.ExportTraceServiceRequest)
	if err := proto.Unmarshal(payload, req); err != nil {
		t.Fatal(err)
	}
	return req
}

// testLimits allows a translation so many spans.
func testLimits(spans int) *budget {
	return newIntake(Config{Limits: Limits{Spans: spans}}, nil).newBudget()
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
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// dump writes a request as text, one line a thing.
func dump(req *collector.ExportTraceServiceRequest) string {
	var b strings.Builder
	for _, rs := range req.ResourceSpans {
		fmt.Fprintf(&b, "resource%s\n", attrs(rs.Resource.GetAttributes()))
		for _, ss := range rs.ScopeSpans {
			if ss.Scope != nil {
				fmt.Fprintf(&b, "scope %q %q\n", ss.Scope.Name, ss.Scope.Version)
			}
			for _, s := range ss.Spans {
				dumpSpan(&b, s)
			}
		}
	}
	return b.String()
}

func dumpSpan(b *strings.Builder, s *trace.Span) {
	fmt.Fprintf(b, "span %q trace=%x id=%x", s.Name, s.TraceId, s.SpanId)
	if s.TraceState != "" {
		fmt.Fprintf(b, " state=%q", s.TraceState)
	}
	if len(s.ParentSpanId) > 0 {
		fmt.Fprintf(b, " parent=%x", s.ParentSpanId)
	}
	fmt.Fprintf(b, " %s %d..%d\n", strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"), s.StartTimeUnixNano, s.EndTimeUnixNano)
	if len(s.Attributes) > 0 {
		fmt.Fprintf(b, "  attrs%s\n", attrs(s.Attributes))
	}
	for _, e := range s.Events {
		fmt.Fprintf(b, "  event %d %q%s\n", e.TimeUnixNano, e.Name, attrs(e.Attributes))
	}
	for _, l := range s.Links {
		fmt.Fprintf(b, "  link %x %x%s\n", l.TraceId, l.SpanId, attrs(l.Attributes))
	}
	if s.Status != nil {
		fmt.Fprintf(b, "  status %s %q\n", strings.TrimPrefix(s.Status.Code.String(), "STATUS_CODE_"), s.Status.Message)
	}
}

func attrs(kvs []*common.KeyValue) string {
	var b strings.Builder
	for _, kv := range kvs {
		fmt.Fprintf(&b, " %s=", kv.Key)
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			fmt.Fprintf(&b, "%q", v.StringValue)
		case *common.AnyValue_DoubleValue:
			fmt.Fprintf(&b, "double(%g)", v.DoubleValue)
		case *common.AnyValue_BytesValue:
			fmt.Fprintf(&b, "0x%s", hex.EncodeToString(v.BytesValue))
		case *common.AnyValue_IntValue:
			fmt.Fprintf(&b, "%d", v.IntValue)
		case *common.AnyValue_BoolValue:
			fmt.Fprintf(&b, "%t", v.BoolValue)
		default:
			fmt.Fprintf(&b, "%T", v)
		}
	}
	return b.String()
}

// scenario is a case of a file: "=== name", the input, "---", and the output.
type scenario struct{ name, input, want string }

// readScenarios returns the cases of a file, and what stands before them.
func readScenarios(t testing.TB, file string) (head string, all []scenario) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "=== ")
	for chunk := range strings.SplitSeq(rest, "\n=== ") {
		name, chunk, _ := strings.Cut(chunk, "\n")
		input, want, ok := strings.Cut(chunk, "\n---\n")
		if !ok {
			t.Fatalf("%s: case %q has no ---", file, name)
		}
		all = append(all, scenario{name, input, strings.TrimSpace(want)})
	}
	return head, all
}

// scenarios compares what f makes of each input of a file with the output there.
func scenarios(t *testing.T, file string, f func(t *testing.T, input string) string) {
	t.Helper()
	head, all := readScenarios(t, file)
	var out strings.Builder
	out.WriteString(head)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			got := f(t, c.input)
			if !*update && strings.TrimSpace(got) != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
			fmt.Fprintf(&out, "=== %s\n%s\n---\n%s\n", c.name, c.input, strings.TrimSpace(got)+"\n")
		})
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimSpace(out.String())+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// allocatedBy measures the bytes that f allocates. Not for parallel tests.
func allocatedBy(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
