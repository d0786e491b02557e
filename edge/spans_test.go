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
	if status, body := get(t, e.web, "a", "/"); status != http.StatusGatewayTimeout || !strings.Contains(body, "within 20ms (--response-header-timeout)") {
		t.Fatalf("status %d, body %s", status, body)
	}
	if d := (Options{}).withDefaults().ResponseHeaderTimeout; d != time.Minute {
		t.Errorf("the default is %v", d)
	}
	if d := (Options{ResponseHeaderTimeout: -1}).withDefaults().ResponseHeaderTimeout; d != 0 {
		t.Errorf("a negative one becomes %v", d)
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
// the caller sends. S means the new span's id, N a new trace's.
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

// TestPropagationOfBoth: the headers that the service gets for those that come in. T and
// U are the traces of the two headers, N a new one; S is the CLIENT span, P the
// SERVER span; "-" is no header.
func TestPropagationOfBoth(t *testing.T) {
	t.Parallel()
	const (
		T, U   = "0af7651916cd43dd8448eb211c80319c", "0000000000000000771a728620b4bd35"
		parent = "00-" + T + "-b7ad6b7169203331-01"
		uber   = "771a728620b4bd35:1b2c3d4e5f607182:0:1"
	)
	type pair struct{ key, value string }
	for _, tt := range []struct {
		name, propagators     string
		in                    []pair
		trace, from, link     string // from is the id of the SERVER span's parent
		wantParent, wantState string
	}{
		{"nothing", "", nil, "N", "0000000000000000", "", "00-N-S-01", "-"},
		{"traceparent alone", "", []pair{{"traceparent", parent}, {"tracestate", "a=1"}}, T, "b7ad6b7169203331", "", "00-T-S-01", "a=1"},
		{"uber-trace-id alone", "", []pair{{"uber-trace-id", uber}}, U, "1b2c3d4e5f607182", "", "00-U-S-01", "-"},
		{"uber-trace-id and a stray tracestate", "", []pair{{"uber-trace-id", uber}, {"tracestate", "a=1"}}, U, "1b2c3d4e5f607182", "", "00-U-S-01", "-"},
		{"both, one trace", "", []pair{{"traceparent", parent}, {"uber-trace-id", T + ":1b2c3d4e5f607182:0:1"}, {"tracestate", "a=1"}}, T, "b7ad6b7169203331", "", "00-T-S-01", "a=1"},
		{"both, two traces", "", []pair{{"traceparent", parent}, {"uber-trace-id", uber}, {"tracestate", "a=1"}}, T, "b7ad6b7169203331", U, "00-T-S-01", "a=1"},
		{"both, the other order of the list", "jaeger,tracecontext", []pair{{"traceparent", parent}, {"uber-trace-id", uber}, {"tracestate", "a=1"}}, U, "1b2c3d4e5f607182", T, "00-U-S-01", "-"},
		{"traceparent that is none", "", []pair{{"traceparent", "00-" + T + "-0000000000000000-01"}, {"uber-trace-id", uber}, {"tracestate", "a=1"}}, U, "1b2c3d4e5f607182", "", "00-U-S-01", "-"},
		{"uber-trace-id that is none", "", []pair{{"traceparent", parent}, {"uber-trace-id", "x:y:z"}}, T, "b7ad6b7169203331", "", "00-T-S-01", "-"},
		{"neither can be read", "", []pair{{"traceparent", "garbage"}, {"uber-trace-id", "garbage"}, {"tracestate", "a=1"}}, "N", "0000000000000000", "", "00-N-S-01", "-"},
		{"two traceparents", "", []pair{{"traceparent", parent}, {"traceparent", parent}}, "N", "0000000000000000", "", "00-N-S-01", "-"},
		{"two uber-trace-ids", "", []pair{{"uber-trace-id", uber}, {"uber-trace-id", uber}}, "N", "0000000000000000", "", "00-N-S-01", "-"},
		{"a version to come", "", []pair{{"traceparent", "cc-" + T + "-b7ad6b7169203331-01-what"}}, T, "b7ad6b7169203331", "", "00-T-S-01", "-"},
		{"capitals", "", []pair{{"traceparent", strings.ToUpper(parent)}}, "N", "0000000000000000", "", "00-N-S-01", "-"},
		{"only jaeger", "jaeger", []pair{{"traceparent", parent}, {"tracestate", "a=1"}}, "N", "0000000000000000", "", parent, "a=1"},
		{"only tracecontext", "tracecontext", []pair{{"uber-trace-id", uber}}, "N", "0000000000000000", "", "00-N-S-01", "-"},
		{"baggage passes", "tracecontext,baggage,jaeger", []pair{{"baggage", "a=b"}}, "N", "0000000000000000", "", "00-N-S-01", "-"},
		{"three of them", "b3,jaeger,tracecontext", []pair{{"b3", T + "-b7ad6b7169203331-1"}, {"uber-trace-id", uber}}, T, "b7ad6b7169203331", U, "00-T-S-01", "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got http.Header
			service := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
			c := newCollector(t)
			e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor(everything, service.URL), Getenv: func(key string) string {
				return map[string]string{"OTEL_PROPAGATORS": tt.propagators}[key]
			}})
			req, err := http.NewRequest(http.MethodGet, "http://"+e.web, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tt.in {
				req.Header.Add(p.key, p.value)
			}
			resp, err := visitor.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			spans := c.await(t, 2)
			forward, entry := spans[0], spans[1]
			id := fmt.Sprintf("%016x%016x", uint64(entry.TraceIdHigh), uint64(entry.TraceIdLow))
			if tt.trace != "N" && id != tt.trace || fmt.Sprintf("%016x", uint64(entry.ParentSpanId)) != tt.from {
				t.Errorf("the SERVER span is in trace %s below %x, want %s below %s", id, uint64(entry.ParentSpanId), tt.trace, tt.from)
			}
			link := ""
			for _, ref := range entry.References {
				link += fmt.Sprintf("%016x%016x", uint64(ref.TraceIdHigh), uint64(ref.TraceIdLow))
			}
			if link != tt.link || len(forward.References) > 0 {
				t.Errorf("link to %q, want %q", link, tt.link)
			}
			for key, want := range map[string]string{"Traceparent": tt.wantParent, "Tracestate": tt.wantState} {
				value := got.Get(key)
				if value == "" {
					value = "-"
				}
				want = strings.NewReplacer("T", T, "U", U, "N", id, "S", fmt.Sprintf("%016x", uint64(forward.SpanId))).Replace(want)
				if value != want {
					t.Errorf("%s: %s, want %s", key, value, want)
				}
			}
			// All headers that the edge writes say the same.
			if uber, err := parseUberTraceID(got.Get("Uber-Trace-Id")); tt.propagators != "tracecontext" && (err != nil || uber.trace.String() != id || uber.span.String() != fmt.Sprintf("%016x", uint64(forward.SpanId))) {
				t.Errorf("uber-trace-id is %s, %v", got.Get("Uber-Trace-Id"), err)
			}
		})
	}
}

// TestDefaultSDKJoinsTheTrace: a service with an OpenTelemetry SDK as it comes reads
// traceparent only. Its span is a child of the edge's.
func TestDefaultSDKJoinsTheTrace(t *testing.T) {
	t.Parallel()
	library := libraryPropagator{propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})}
	var seen spanContext
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen, _ = library.extract(r.Header) })
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor(everything, service.URL)})
	get(t, e.web, "a", "/")
	forward := c.await(t, 2)[0]
	want := fmt.Sprintf("%016x%016x %016x", uint64(forward.TraceIdHigh), uint64(forward.TraceIdLow), uint64(forward.SpanId))
	if got := seen.trace.String() + " " + seen.span.String(); got != want || !seen.sampled {
		t.Errorf("the service sees %s, the edge's span is %s", got, want)
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
		"00000000000000000000000000000000a:1:0:1", "1771a728620b4bd35771a728620b4bd3:AbC:0:3", "1:2:3:4:5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := parseUberTraceID(value)
		if err != nil {
			if c != (spanContext{}) {
				t.Error("an error and a span context")
			}
			return
		}
		if !c.trace.IsValid() || !c.span.IsValid() || c.debug && !c.sampled {
			t.Fatalf("%q: got %+v", value, c)
		}
		checkRoundTrip(t, value, jaegerPropagator{}, c)
	})
}

func FuzzTraceparent(f *testing.F) {
	for _, seed := range []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "--", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, ok := parseTraceparent(value)
		if !ok {
			if c != (spanContext{}) {
				t.Error("a refusal and a span context")
			}
			return
		}
		if !c.trace.IsValid() || !c.span.IsValid() {
			t.Fatalf("%q: got %+v", value, c)
		}
		// OpenTelemetry's own reader agrees.
		library := libraryPropagator{propagation.TraceContext{}}
		value = strings.Trim(value, " \t")
		if value[:2] == "00" && value[53:] > "02" {
			return // flags to come, which OpenTelemetry refuses and the specification ignores
		}
		if theirs, ok := library.extract(http.Header{headerTraceparent: {value}}); !ok || theirs != c {
			t.Fatalf("%q: got %+v, OpenTelemetry reads %+v, %v", value, c, theirs, ok)
		}
		checkRoundTrip(t, value, traceContextPropagator{}, c)
	})
}

// FuzzPropagation: whatever headers come in, the edge knows one trace, and all
// headers that go out say the same.
func FuzzPropagation(f *testing.F) {
	const parent, uber = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "771a728620b4bd35:1b2c3d4e5f607182:0:1"
	f.Add(parent, uber, "a=1", "", false)
	f.Add("garbage", uber, "", parent, true)
	f.Add(parent, "0af7651916cd43dd8448eb211c80319c:1:0:3", "a=1", "", true)
	f.Fuzz(func(t *testing.T, traceparent, uberTraceID, tracestate, second string, jaegerFirst bool) {
		h := http.Header{headerTraceparent: {traceparent}, headerUberTraceID: {uberTraceID}, headerTracestate: {tracestate}}
		if second != "" {
			h.Add(headerTraceparent, second)
		}
		list := "tracecontext,jaeger"
		if jaegerFirst {
			list = "jaeger,tracecontext"
		}
		propagators, err := newPropagators(list)
		if err != nil {
			t.Fatal(err)
		}
		r := extractAll(propagators, h)
		if r.continues != r.trace.IsValid() || r.continues != r.span.IsValid() || r.other.trace == r.trace && r.continues || r.debug && !r.sampled {
			t.Fatalf("%v: %+v", h, r)
		}
		o := outgoing{spanContext: r.spanContext, state: r.state}
		if !r.continues {
			o.trace, o.span = newTraceID(false)
		}
		for _, p := range propagators {
			p.inject(h, &o)
		}
		for _, p := range propagators {
			c, ok := p.extract(h)
			if c.debug = o.debug; !ok || c != o.spanContext {
				t.Fatalf("out go %v, of which %T reads %+v, want %+v", h, p, c, o.spanContext)
			}
		}
		if _, kept := h[headerTracestate]; kept != r.state {
			t.Fatalf("tracestate is kept: %v, belongs to the trace: %v", kept, r.state)
		}
	})
}

// checkRoundTrip: a written value must be read as the same.
func checkRoundTrip(t *testing.T, value string, p propagator, c spanContext) {
	t.Helper()
	h := http.Header{}
	p.inject(h, &outgoing{spanContext: c})
	if again, ok := p.extract(h); !ok || again != c {
		t.Errorf("%q became %v: %+v, want %+v", value, h, again, c)
	}
}
