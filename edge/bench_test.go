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
// header, and the queue, with an exporter that takes everything.
func BenchmarkSpans(b *testing.B) {
	t, err := newTracing(context.Background(), &Options{TraceExporter: "jaeger", JaegerEndpoint: "http://127.0.0.1:1",
		Logger: slog.New(slog.DiscardHandler), Getenv: noEnv})
	if err != nil {
		b.Fatal(err)
	}
	t.queue.exporter = &fakeExporter{export: func(context.Context, int) error { return nil }}
	r := httptest.NewRequest(http.MethodGet, "http://a/", nil)
	rt := &route{spanName: "forward s/r@file"}
	b.ReportAllocs()
	for b.Loop() {
		ctx, entry := t.startEntry(r, "EntryPoint web a")
		r := r.WithContext(ctx)
		ctx, forward := t.startForward(r, rt)
		t.propagator.Inject(ctx, headerCarrier{})
		endSpan(forward, 200)
		endSpan(entry, 200)
	}
}

type headerCarrier struct{}

func (headerCarrier) Get(string) string  { return "" }
func (headerCarrier) Set(string, string) {}
func (headerCarrier) Keys() []string     { return nil }
