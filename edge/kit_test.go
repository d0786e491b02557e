package edge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"

	"etude/internal/testkit"
)

// collector is a Jaeger collector that keeps what it gets.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	batches []*jaeger.Batch
	types   []string
}

func newCollector(t testing.TB) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	batch := jaeger.NewBatch()
	if err == nil {
		err = batch.Read(r.Context(), thrift.NewTBinaryProtocolConf(&thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(body)}, nil))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, batch)
	c.types = append(c.types, r.Header.Get("Content-Type"))
	w.WriteHeader(http.StatusAccepted)
}

func (c *collector) spans() []*jaeger.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var spans []*jaeger.Span
	for _, b := range c.batches {
		spans = append(spans, b.Spans...)
	}
	return spans
}

// await returns the spans once there are n, oldest first by arrival.
func (c *collector) await(t testing.TB, n int) []*jaeger.Span {
	t.Helper()
	eventually(t, func() bool { return len(c.spans()) >= n })
	spans := c.spans()
	if len(spans) != n {
		t.Fatalf("%d spans, want %d", len(spans), n)
	}
	return spans
}

// eventually polls until the condition holds.
func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	testkit.Until(t, "the condition comes true", condition)
}

// running is an edge under test.
type running struct {
	web, dashboard string // addresses
	log            *logBuffer
	stop           func() error // stops it and returns what Run returned
}

// logBuffer is a log that tests may read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs an edge on free ports until the test ends.
func start(t testing.TB, o Options) *running {
	t.Helper()
	r := &running{log: &logBuffer{}}
	ready, ended := make(chan struct{}), make(chan error, 1)
	o.EdgeAddr, o.DashboardAddr = "127.0.0.1:0", "127.0.0.1:0"
	o.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	if o.TraceExporter == "" && o.JaegerEndpoint == "" {
		o.TraceExporter = "none"
	}
	if o.Getenv == nil {
		o.Getenv = noEnv
	}
	o.Ready = func(web, dashboard string) {
		r.web, r.dashboard = web, dashboard
		close(ready)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("edge did not start: %v", err)
	}
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// configFor is a configuration with one router for everything and these servers.
func configFor(rule string, servers ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "http:\n  routers:\n    all: {rule: %q, service: s}\n  services:\n    s:\n      loadBalancer:\n        servers:\n", rule)
	for _, url := range servers {
		fmt.Fprintf(&b, "          - url: %q\n", url)
	}
	return []byte(b.String())
}

const everything = "PathPrefix(`/`)"

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// visitor is a client of these tests alone: the default one has its idle
// connections closed whenever a test server closes, also that of another test.
var visitor = &http.Client{Transport: &http.Transport{}}

// get asks the edge for a path under a host name.
func get(t testing.TB, address, host, path string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := visitor.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// deadAddress is an address at which nothing listens.
func deadAddress() string {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	return s.URL
}

// tags shows the tags of a span as text.
func tags(list []*jaeger.Tag) map[string]string {
	m := map[string]string{}
	for _, tag := range list {
		switch tag.VType {
		case jaeger.TagType_STRING:
			m[tag.Key] = *tag.VStr
		case jaeger.TagType_LONG:
			m[tag.Key] = fmt.Sprint("long ", *tag.VLong)
		case jaeger.TagType_BOOL:
			m[tag.Key] = fmt.Sprint("bool ", *tag.VBool)
		default:
			m[tag.Key] = tag.String()
		}
	}
	return m
}
