package edge

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// BenchmarkProxy measures one request over real connections: through the edge
// with both spans, without tracing, and through a bare ReverseProxy, the
// measure of what the edge costs.
func BenchmarkProxy(b *testing.B) {
	service := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	b.Run("bare", func(b *testing.B) {
		target, _ := url.Parse(service.URL)
		proxy := serve(b, (&httputil.ReverseProxy{
			Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
			Transport: &http.Transport{MaxIdleConnsPerHost: idleConnectionsServer},
		}).ServeHTTP)
		benchmarkRequests(b, proxy.URL)
	})
	b.Run("none", func(b *testing.B) {
		e := start(b, Options{ConfigText: configFor("Host(`x`) || PathPrefix(`/`)", service.URL)})
		benchmarkRequests(b, "http://"+e.web)
	})
	b.Run("jaeger", func(b *testing.B) {
		c := serve(b, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusAccepted)
		})
		e := start(b, Options{JaegerEndpoint: c.URL, ConfigText: configFor("Host(`x`) || PathPrefix(`/`)", service.URL)})
		benchmarkRequests(b, "http://"+e.web)
	})
}

func benchmarkRequests(b *testing.B, url string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := client.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// BenchmarkSpans measures what tracing alone adds to a request: both spans, the
// headers, and the queue, with an exporter that takes everything.
func BenchmarkSpans(b *testing.B) {
	t := tracingTo(b, &fakeExporter{})
	r := httptest.NewRequest(http.MethodGet, "http://a/", nil)
	x := tracedExchange(r)
	out := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		t.begin(x, r)
		t.inject(out, x)
		t.end(x, r)
	}
}

// tracingTo makes spans for an exporter of the test's.
func tracingTo(t testing.TB, e exporter) *tracing {
	tracing, err := newTracing(t.Context(), &Options{TraceExporter: "jaeger", JaegerEndpoint: "http://127.0.0.1:1", ServiceName: "edge",
		Logger: slog.New(slog.DiscardHandler), Getenv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	_ = tracing.shutdown(t.Context())
	tracing.queue = newSpanQueue(tracing.queue.form, e, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = tracing.shutdown(context.Background()) })
	return tracing
}

// tracedExchange is a request that has been forwarded and answered.
func tracedExchange(r *http.Request) *exchange {
	now := time.Now()
	return &exchange{Context: r.Context(), target: *r.URL, entryName: "EntryPoint web a", status: 200,
		start: now, forwardStart: now, forwardEnd: now, end: now, route: &route{name: "r@file", written: "s", spanName: "forward s/r@file"}}
}

// TestTracingAllocatesLittle: two spans and two headers cost the headers' strings
// and the lists that hold them.
func TestTracingAllocatesLittle(t *testing.T) {
	tracing := tracingTo(t, &fakeExporter{})
	r := httptest.NewRequest(http.MethodGet, "http://a/", nil)
	x, out := tracedExchange(r), http.Header{}
	for range 3 * batchSize { // the buffers grow
		tracing.begin(x, r)
		tracing.end(x, r)
	}
	n := testing.AllocsPerRun(100, func() {
		tracing.begin(x, r)
		tracing.inject(out, x)
		tracing.end(x, r)
	})
	if n > 5 {
		t.Errorf("tracing a request allocates %v times, want at most 5", n)
	}
}
