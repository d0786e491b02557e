package edge

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

func checkTags(t *testing.T, span *jaeger.Span, want map[string]string) {
	t.Helper()
	if got := tags(span.Tags); !maps.Equal(got, want) {
		t.Errorf("tags of %s:\n got %v\nwant %v", span.OperationName, got, want)
	}
}

func TestSpansOfOneRequest(t *testing.T) {
	t.Parallel()
	var header string
	service := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("Uber-Trace-Id")
		w.WriteHeader(http.StatusTeapot)
	})
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL + "/api/traces?format=jaeger.thrift", ConfigText: configFor("Host(`all.localhost`)", service.URL)})
	if status, _ := get(t, e.web, "all.localhost", "/a%20b?c=d"); status != http.StatusTeapot {
		t.Fatalf("status %d", status)
	}
	spans := c.await(t, 2)
	forward, entry := spans[0], spans[1]
	if entry.OperationName != "EntryPoint web all.localhost" || forward.OperationName != "forward s/all@file" {
		t.Errorf("names %q, %q", entry.OperationName, forward.OperationName)
	}
	if entry.TraceIdHigh != 0 || entry.TraceIdLow == 0 || entry.SpanId != entry.TraceIdLow || entry.ParentSpanId != 0 {
		t.Errorf("ids of the root: %v", entry)
	}
	if forward.TraceIdLow != entry.TraceIdLow || forward.ParentSpanId != entry.SpanId || forward.SpanId == entry.SpanId {
		t.Errorf("ids of the forward span: %v", forward)
	}
	if want := fmt.Sprintf("%016x:%016x:%016x:1", uint64(entry.TraceIdLow), uint64(forward.SpanId), uint64(entry.SpanId)); header != want {
		t.Errorf("header %q, want %q", header, want)
	}
	common := map[string]string{"http.method": "GET", "http.url": "/a%20b?c=d", "http.host": "all.localhost", "http.status_code": "long 418"}
	wantEntry, wantForward := maps.Clone(common), maps.Clone(common)
	maps.Copy(wantEntry, map[string]string{"component": "edge", "span.kind": "server", "sampler.type": "const", "sampler.param": "bool true"})
	maps.Copy(wantForward, map[string]string{"span.kind": "client", "traefik.service.name": "s", "traefik.router.name": "all@file"})
	checkTags(t, entry, wantEntry)
	checkTags(t, forward, wantForward)
	if now := time.Now().UnixMicro(); entry.StartTime > now || entry.StartTime < now-60e6 || entry.Duration < forward.Duration {
		t.Errorf("times: start %d, durations %d and %d", entry.StartTime, entry.Duration, forward.Duration)
	}
	batch := c.batches[0]
	if batch.Process.ServiceName != "edge" || c.types[0] != "application/x-thrift" {
		t.Errorf("service %q, content type %q", batch.Process.ServiceName, c.types[0])
	}
	process := tags(batch.Process.Tags)
	for _, key := range []string{"hostname", "ip", "client-uuid", "jaeger.version"} {
		if process[key] == "" {
			t.Errorf("process tag %s is missing in %v", key, process)
		}
	}
}

func TestUnmatchedRequest(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, ServiceName: "front", ConfigText: configFor("Host(`all.localhost`) || PathPrefix(`/all`)", deadAddress())})
	status, body := get(t, e.web, "other.localhost", "/x")
	_, port, _ := strings.Cut(e.web, ":")
	if status != http.StatusNotFound {
		t.Fatalf("status %d", status)
	}
	for _, want := range []string{"no router matches GET other.localhost/x\n", "\n  http://all.localhost:" + port + "/\n",
		"\n  http://127.0.0.1:" + port + "/all\n", "curl -H 'Host: all.localhost' http://127.0.0.1:" + port + "/\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("answer lacks %q:\n%s", want, body)
		}
	}
	span := c.await(t, 1)[0]
	checkTags(t, span, map[string]string{"component": "front", "http.method": "GET", "http.url": "/x", "http.host": "other.localhost",
		"http.status_code": "long 404", "span.kind": "server", "sampler.type": "const", "sampler.param": "bool true"})
}

func TestDeadServiceIsAnErrorSpan(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor(everything, deadAddress())})
	for range 5 { // also after the only server's ejection
		if status, body := get(t, e.web, "a", "/"); status != http.StatusBadGateway || !strings.Contains(body, "502 Bad Gateway: s@file: dial tcp") {
			t.Fatalf("status %d, body %s", status, body)
		}
	}
	for _, span := range c.await(t, 10) {
		got := tags(span.Tags)
		if got["error"] != "bool true" || got["http.status_code"] != "long 502" {
			t.Errorf("tags of %s: %v", span.OperationName, got)
		}
		if strings.HasPrefix(span.OperationName, "forward") {
			if len(span.Logs) != 1 || tags(span.Logs[0].Fields)["event"] != "exception" ||
				!strings.Contains(tags(span.Logs[0].Fields)["exception.message"], "dial tcp") {
				t.Errorf("logs of %s: %v", span.OperationName, span.Logs)
			}
		}
	}
}

func TestSlowServiceTimesOut(t *testing.T) {
	t.Parallel()
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, ResponseHeaderTimeout: 20 * time.Millisecond, ConfigText: configFor(everything, service.URL)})
	if status, _ := get(t, e.web, "a", "/"); status != http.StatusGatewayTimeout {
		t.Fatalf("status %d", status)
	}
	if got := tags(c.await(t, 2)[0].Tags); got["error"] != "bool true" || got["http.status_code"] != "long 504" {
		t.Errorf("tags %v", got)
	}
}

func TestServiceWithoutServers(t *testing.T) {
	t.Parallel()
	e := start(t, Options{ConfigText: configFor(everything)})
	if status, body := get(t, e.web, "a", "/"); status != http.StatusServiceUnavailable || !strings.Contains(body, "the service has no servers") {
		t.Fatalf("status %d, body %s", status, body)
	}
}

// TestPropagation reads the header that the service gets for the header that
// the caller sends. S stands for the new span's id, N for a new trace's.
func TestPropagation(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, propagators, header, value, forwarded, pattern string }{
		{"64 bits", "", "uber-trace-id", "771a728620b4bd35:1111111111111111:0:1", "uber-trace-id", "771a728620b4bd35:S:P:1"},
		{"64 bits, padded", "", "uber-trace-id", "0000000000000000771a728620b4bd35:1111111111111111:0:1", "uber-trace-id", "771a728620b4bd35:S:P:1"},
		{"short ids", "", "uber-trace-id", "abc:1:0:1", "uber-trace-id", "0000000000000abc:S:P:1"},
		{"128 bits", "", "uber-trace-id", "1771a728620b4bd35771a728620b4bd3:1:0:1", "uber-trace-id", "1771a728620b4bd35771a728620b4bd3:S:P:1"},
		{"URL-encoded", "", "uber-trace-id", "771a728620b4bd35%3A1111111111111111%3A0%3A1", "uber-trace-id", "771a728620b4bd35:S:P:1"},
		{"debug", "", "uber-trace-id", "771a728620b4bd35:1:0:3", "uber-trace-id", "771a728620b4bd35:S:P:3"},
		{"not sampled", "", "uber-trace-id", "771a728620b4bd35:1111111111111111:0:0", "uber-trace-id", "771a728620b4bd35:S:0000000000000000:0"},
		{"malformed", "", "uber-trace-id", "garbage", "uber-trace-id", "N:S:N:1"},
		{"w3c", "tracecontext", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-S-01"},
		{"b3", "b3", "b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", "b3", "0af7651916cd43dd8448eb211c80319c-S-1"},
		{"both", "tracecontext,jaeger", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "uber-trace-id", "0af7651916cd43dd8448eb211c80319c:S:P:1"},
		{"none leaves headers alone", "none", "uber-trace-id", "a:b:c:1", "uber-trace-id", "a:b:c:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got string
			service := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get(tt.forwarded) })
			c := newCollector(t)
			e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor(everything, service.URL), Getenv: func(key string) string {
				if key == "OTEL_PROPAGATORS" {
					return tt.propagators
				}
				return ""
			}})
			get(t, e.web, "a", "/", tt.header, tt.value)
			if err := e.stop(); err != nil {
				t.Fatal(err)
			}
			want := tt.pattern
			spans := c.spans()
			if tt.name == "not sampled" {
				if len(spans) != 0 {
					t.Errorf("%d spans of a trace that is not sampled", len(spans))
				}
				if parts := strings.Split(got, ":"); len(parts) == 4 {
					want = strings.Replace(want, "S", parts[1], 1)
				}
			} else {
				forward, entry := spans[0], spans[1]
				want = strings.NewReplacer("S", fmt.Sprintf("%016x", uint64(forward.SpanId)), "P", fmt.Sprintf("%016x", uint64(entry.SpanId)),
					"N", fmt.Sprintf("%016x", uint64(entry.TraceIdLow))).Replace(want)
				if _, isNew := tags(entry.Tags)["sampler.type"]; isNew != (entry.ParentSpanId == 0) {
					t.Errorf("sampler tags: %v, parent %x", isNew, entry.ParentSpanId)
				}
			}
			if got != want {
				t.Errorf("forwarded %q, want %q", got, want)
			}
		})
	}
}

func TestWideTraceIDs(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	var header string
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header.Get("Uber-Trace-Id") })
	e := start(t, Options{JaegerEndpoint: c.URL, TraceID128: true, ConfigText: configFor(everything, service.URL)})
	get(t, e.web, "a", "/")
	entry := c.await(t, 2)[1]
	if entry.TraceIdHigh == 0 || entry.SpanId != entry.TraceIdLow {
		t.Errorf("ids of the root: %v", entry)
	}
	if want := fmt.Sprintf("%016x%016x:", uint64(entry.TraceIdHigh), uint64(entry.TraceIdLow)); !strings.HasPrefix(header, want) {
		t.Errorf("header %q, want %q first", header, want)
	}
}

func TestUnknownPropagatorAndExporter(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{Getenv: func(string) string { return "jager" }, ServiceName: "x"},
		{TraceExporter: "zipkin", Getenv: noEnv},
		{JaegerEndpoint: "localhost:14268", Getenv: noEnv},
	} {
		o.ConfigText = configFor(everything)
		err := Run(context.Background(), o)
		if err == nil || !strings.Contains(err.Error(), "use ") && !strings.Contains(err.Error(), "write ") {
			t.Errorf("got %v, want an error that says what to do", err)
		}
	}
}

func FuzzUberTraceID(f *testing.F) {
	for _, seed := range []string{"771a728620b4bd35:1:0:1", "0:0:0:0", "a%3Ab%3Ac%3A1", ":::", "1:2:3:ff", "1:2:3:100", "%", "g:1:0:1",
		"00000000000000000000000000000000a:1:0:1", "1771a728620b4bd35771a728620b4bd3:AbC:0:3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		sc, debug, err := parseUberTraceID(value)
		if err != nil {
			if sc.IsValid() {
				t.Error("an error and a span context")
			}
			return
		}
		if !sc.IsValid() || debug && !sc.IsSampled() {
			t.Fatalf("%q: got %v, debug %v", value, sc, debug)
		}
		// What is written must be read as the same.
		carrier := propagation.MapCarrier{}
		ctx := trace.ContextWithRemoteSpanContext(context.Background(), sc)
		jaegerPropagator{}.Inject(ctx, carrier)
		again, _, err := parseUberTraceID(carrier[uberTraceID])
		if err != nil || !again.Equal(sc) {
			t.Errorf("%q became %q: %v, %v", value, carrier[uberTraceID], again, err)
		}
	})
}
