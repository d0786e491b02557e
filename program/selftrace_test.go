package program

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"etude/program/listen"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// quickBatches has spans sent soon, so that a test need not wait.
var quickBatches = []string{"OTEL_BSP_SCHEDULE_DELAY=10"}

// TestSelfTrace: a query has the spans that it should have, below the caller's,
// in the very backend that answered it; and these spans make no more.
func TestSelfTrace(t *testing.T) {
	t.Parallel()
	api := startBackendIn(t, quickBatches, t.TempDir(), "--self-trace").api
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	const question = `{ name = "nothing has this name" }`
	req, err := http.NewRequest(http.MethodGet, api+"/api/search?q="+strings.ReplaceAll(question, " ", "%20"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	if status, body := do(t, req); status != http.StatusOK {
		t.Fatalf("search: %d %s", status, body)
	}
	// The start has one span, a search four. Only /metrics is asked, which is not traced.
	const want = 1 + 4
	eventually(t, "the spans come in", func() error {
		if got := metric(t, api, "etude_store_spans"); got != want {
			return fmt.Errorf("%v spans, want %d", got, want)
		}
		return nil
	})
	staysAt(t, api, want)

	if !strings.Contains(openMetrics(t, api), `etude_query_duration_seconds_bucket{kind="search",protocol="http",le=`) ||
		!strings.Contains(openMetrics(t, api), ` # {traceID="`+id+`"} `) {
		t.Error("the duration of the query has no exemplar that leads to its trace")
	}
	data := traceByID(t, api, id)
	checkQuerySpans(t, data, question)
	if ids := search(t, api, "tags=service.name%3Detude-backend%20etude.query.kind%3Dsearch"); !slices.Contains(ids, id) {
		t.Errorf("a search for the backend's own spans finds %q, want %s among them", ids, id)
	}
}

// staysAt watches the number of spans for many times the interval at which spans
// are sent. A loop would add some each time.
func staysAt(t *testing.T, api string, want float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if got := metric(t, api, "etude_store_spans"); got != want {
			t.Fatalf("%v spans, want that they stay %v: does the backend trace what its own spans set off?", got, want)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func checkQuerySpans(t *testing.T, data *tracepb.TracesData, question string) {
	t.Helper()
	var root *tracepb.Span
	children := map[string]string{} // name to parent
	for _, rs := range data.ResourceSpans {
		if service := attr(rs.Resource.Attributes, "service.name"); service != "etude-backend" {
			t.Errorf("service.name is %s", service)
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				if s.Name == "GET /api/search" {
					root = s
				} else {
					children[s.Name] = string(s.ParentSpanId)
				}
			}
		}
	}
	if root == nil {
		t.Fatalf("no span of the request among %v", data)
	}
	if got := slices.Sorted(maps.Keys(children)); !slices.Equal(got, []string{"evaluate", "parse", "plan"}) {
		t.Errorf("stages %q", got)
	}
	for name, parent := range children {
		if parent != string(root.SpanId) {
			t.Errorf("%s is not below the request", name)
		}
	}
	if parent := fmt.Sprintf("%x", root.ParentSpanId); parent != "00f067aa0ba902b7" || root.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the request's span has parent %s, kind %v", parent, root.Kind)
	}
	for key, want := range map[string]string{
		"etude.query.kind": "search", "etude.query.text": strconv.Quote(question), "etude.query.results": "0",
		"http.route": "/api/search", "http.response.status_code": "200",
	} {
		if got := attr(root.Attributes, key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if attr(root.Attributes, "etude.query.tables") == "" {
		t.Error("the number of tables is missing")
	}
}

// TestSelfTraceElsewhere: a backend sends its spans to another one, by either
// protocol, and what waits at the end is sent before it stops.
func TestSelfTraceElsewhere(t *testing.T) {
	t.Parallel()
	collector := startBackend(t, t.TempDir())
	spans := 0.0
	for _, endpoint := range []string{
		fmt.Sprintf("http://127.0.0.1:%d", listen.PortOTLPGRPC+collector.offset),
		fmt.Sprintf("http://127.0.0.1:%d/v1/traces", listen.PortOTLPHTTP+collector.offset),
	} {
		b := startBackendIn(t, []string{"OTEL_BSP_SCHEDULE_DELAY=3600000", "ETUDE_SELF_TRACE=" + endpoint}, t.TempDir())
		search(t, b.api, "q=%7B%7D")
		b.stops()
		spans += 5
		if got := metric(t, collector.api, "etude_store_spans"); got != spans {
			t.Errorf("%s: %v spans, want %v", endpoint, got, spans)
		}
	}
}

// TestSelfTraceAtTheEnd: spans that wait when the backend stops still come in,
// through its own port, before that closes.
func TestSelfTraceAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startBackendIn(t, []string{"OTEL_BSP_SCHEDULE_DELAY=3600000"}, dir, "--self-trace")
	search(t, b.api, "q=%7B%7D")
	b.stops()
	again := startBackend(t, dir)
	if got := metric(t, again.api, "etude_store_spans"); got != 5 {
		t.Errorf("%v spans, want that of the start and four of the search", got)
	}
}

func TestSelfTraceRatio(t *testing.T) {
	t.Parallel()
	b := startBackendIn(t, quickBatches, t.TempDir(), "--self-trace", "--self-trace-ratio", "0")
	search(t, b.api, "q=%7B%7D")
	staysAt(t, b.api, 0)
	b.stops()
}

// stops asks a backend to stop and expects that it does so in good order.
func (b *backendProcess) stops() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		b.t.Fatal(err)
	}
	if status := b.ended(); status != 0 {
		b.t.Errorf("exit status %d", status)
	}
}

func TestSelfTraceMistakes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"tempo:4317", "ftp://x", "http://", "maybe"} {
		var out, errs bytes.Buffer
		if status := Main([]string{"backend", "--self-trace=" + text}, &out, &errs); status != 2 || !strings.Contains(errs.String(), "not an OTLP endpoint") {
			t.Errorf("--self-trace=%s: exit status %d, %s", text, status, &errs)
		}
	}
	var out, errs bytes.Buffer
	if status := Main([]string{"backend", "--self-trace-ratio", "1.5"}, &out, &errs); status != 1 || !strings.Contains(errs.String(), "--self-trace-ratio 1.5: want a share") {
		t.Errorf("exit status %d, %s", status, &errs)
	}
}

// openMetrics is /metrics in the format that has exemplars.
func openMetrics(t *testing.T, api string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, api+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	_, body := do(t, req)
	return body
}
