package receive

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"etude/receive/jaeger/jaegertest"
	"etude/tenant"
)

// tenantCases are what a header says and what becomes of the request. An empty
// text means that the request is accepted for the tenant.
var tenantCases = []struct {
	header, tenant string
	text, reason   string
	code           codes.Code
	status         int // of OTLP and Zipkin; Jaeger's is 500
}{
	{header: "t1", tenant: "t1"},
	{header: "t1|t1", tenant: "t1"},
	{header: "", text: "no org id", reason: "no_tenant", code: codes.Unavailable, status: 503},
	{header: "t1|t2", text: "multiple org IDs present", reason: "bad_tenant", code: codes.InvalidArgument, status: 400},
	{header: "t/1", text: "tenant ID 't/1' contains unsupported character '/'", reason: "bad_tenant", code: codes.InvalidArgument, status: 400},
	{header: strings.Repeat("x", 151), text: "tenant ID is too long", reason: "bad_tenant", code: codes.InvalidArgument, status: 400},
}

// tenantSink remembers whose spans it has got.
type tenantSink struct {
	mu  sync.Mutex
	got []string
}

func (s *tenantSink) Append(ctx context.Context, _ []byte) (Rejected, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, strings.Join(tenant.Of(ctx), "|"))
	return Rejected{}, nil
}

// take returns what it has got since the last call.
func (s *tenantSink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := strings.Join(s.got, " ")
	s.got = nil
	return got
}

// tenantHTTP are the ways over HTTP.
func tenantHTTP(t *testing.T, s *Server) map[Protocol]func(headers ...string) reply {
	post := func(url, media string, body []byte) func(...string) reply {
		return func(headers ...string) reply {
			return send(t, client(t), http.MethodPost, url, bytes.NewReader(body), append(headers, "Content-Type", media)...)
		}
	}
	a := s.Addrs()
	name := "x"
	batch := &jaeger.Batch{Process: &jaeger.Process{ServiceName: name}, Spans: []*jaeger.Span{{TraceIdLow: 1, SpanId: 1, OperationName: name}}}
	return map[Protocol]func(...string) reply{
		OTLPHTTP:     post("http://"+a.OTLPHTTP+traces.path, typeProtobuf, marshal(t, request(1))),
		JaegerThrift: post("http://"+a.Jaeger+"/api/traces", "application/vnd.apache.thrift.compact", jaegertest.Thrift(t, jaegertest.Compact, batch)),
		Zipkin:       post("http://"+a.Zipkin+"/api/v2/spans", typeJSON, []byte(`[{"traceId":"00000000000000a1","id":"00000000000000b1","name":"x"}]`)),
	}
}

// tenantGRPC are the ways over gRPC.
var tenantGRPC = map[Protocol]string{OTLPGRPC: exportPath, JaegerGRPC: "/" + jaegerCollection + "/PostSpans"}

func TestTenants(t *testing.T) {
	t.Parallel()
	sink := new(tenantSink)
	s := start(t, Config{Multitenancy: true}, sink)
	for protocol, ask := range tenantHTTP(t, s) {
		for _, c := range tenantCases {
			got := ask(tenant.Header, c.header)
			status := c.status
			if protocol == JaegerThrift && c.text != "" {
				status = http.StatusInternalServerError
			}
			if c.text == "" && (got.status/100 != 2 || sink.take() != c.tenant) ||
				c.text != "" && (got.status != status || !strings.Contains(got.body, c.text) || got.header.Get("Retry-After") != "" || sink.take() != "") {
				t.Errorf("%s, %q: %d %s", protocol, c.header, got.status, got.body)
			}
		}
	}
	payloads := map[Protocol][]byte{OTLPGRPC: marshal(t, request(1)), JaegerGRPC: nil}
	for protocol, method := range tenantGRPC {
		for _, c := range tenantCases {
			ctx := metadata.AppendToOutgoingContext(t.Context(), tenant.Header, c.header)
			err := dial(t, s.Addrs().OTLPGRPC).Invoke(ctx, method, payloads[protocol], new([]byte), grpc.ForceCodecV2(rawClient{}))
			want := c.tenant
			if payloads[protocol] == nil { // without spans the Sink is not asked
				want = ""
			}
			if st := status.Convert(err); st.Code() != c.code || !strings.Contains(st.Message(), c.text) || sink.take() != want {
				t.Errorf("%s, %q: %v", protocol, c.header, err)
			}
		}
	}
	for _, p := range s.Stats().Counts().Protocols {
		if p.Requests != 2 || p.Refused["no_tenant"] != 1 || p.Refused["bad_tenant"] != 3 {
			t.Errorf("%s: %d taken, refused %v", p.Protocol, p.Requests, p.Refused)
		}
	}
}

// TestTenantRefusalForm looks at the bytes that clients of Tempo know.
func TestTenantRefusalForm(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Multitenancy: true}, new(tenantSink))
	for header, want := range map[string]string{
		"":      `{"code":14,"message":"no org id"}`,
		"t1|t2": `{"code":3,"message":"multiple org IDs present"}`,
		"t/1":   `{"code":3,"message":"tenant ID 't/1' contains unsupported character '/'"}`,
	} {
		got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, strings.NewReader("{}"), "Content-Type", typeJSON, tenant.Header, header)
		if got.body != want || got.header.Get("Content-Type") != typeJSON {
			t.Errorf("%q: %s %v", header, got.body, got.header)
		}
	}
}

// TestTenantsAreOff sends what would be refused if they were on.
func TestTenantsAreOff(t *testing.T) {
	t.Parallel()
	sink := new(tenantSink)
	s := start(t, Config{}, sink)
	for protocol, ask := range tenantHTTP(t, s) {
		for _, header := range []string{"", "t1", "t/1|"} {
			if got := ask(tenant.Header, header); got.status/100 != 2 {
				t.Errorf("%s, %q: %d %s", protocol, header, got.status, got.body)
			}
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), tenant.Header, "t/1")
	err := dial(t, s.Addrs().OTLPGRPC).Invoke(ctx, tenantGRPC[OTLPGRPC], marshal(t, request(1)), new([]byte), grpc.ForceCodecV2(rawClient{}))
	if err != nil || strings.TrimSpace(sink.take()) != "" {
		t.Errorf("over gRPC: %v; tenants %q", err, sink.got)
	}
}

// TestTenantsAllocateNothingWhenOff takes a request in without a socket.
func TestTenantsAllocateNothingWhenOff(t *testing.T) {
	payload := marshal(t, request(1))
	allocs := func(c Config) float64 {
		in := newIntake(c, discard{})
		w := &discardWriter{http.Header{}}
		r, err := http.NewRequest(http.MethodPost, "http://x"+traces.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", typeProtobuf)
		r.Header.Set(tenant.Header, "t1")
		return testing.AllocsPerRun(100, func() {
			r.Body = io.NopCloser(bytes.NewReader(payload))
			in.serveOTLP(w, r, traces)
		})
	}
	if off, on := allocs(Config{}), allocs(Config{Multitenancy: true}); off >= on {
		t.Errorf("%v allocations without tenants, %v with", off, on)
	}
}

type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *discardWriter) WriteHeader(int)             {}
