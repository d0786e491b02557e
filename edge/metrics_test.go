package edge

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.yaml.in/yaml/v3"

	"etude/internal/testkit"
)

// series returns the lines of the edge's metrics that begin with a prefix.
func series(t *testing.T, e *running, prefix string) (lines []string) {
	t.Helper()
	status, body := get(t, e.dashboard, e.dashboard, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, body)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestMetricsAreThoseOfTraefik(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, "hello")
	})
	e := start(t, Options{ConfigText: configFor("Host(`a`)", s.URL)})
	get(t, e.web, "a", "/")
	get(t, e.web, "a", "/", "Accept", "text/event-stream")
	get(t, e.web, "a", "/bad")
	get(t, e.web, "unknown", "/")
	req, _ := http.NewRequest("BREW", "http://"+e.web+"/", nil)
	req.Host = "a"
	resp, err := visitor.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	want := []string{
		`traefik_entrypoint_requests_total{code="200",entrypoint="web",method="EXTENSION_METHOD",protocol="http"} 1`,
		`traefik_entrypoint_requests_total{code="200",entrypoint="web",method="GET",protocol="http"} 1`,
		`traefik_entrypoint_requests_total{code="200",entrypoint="web",method="GET",protocol="sse"} 1`,
		`traefik_entrypoint_requests_total{code="404",entrypoint="web",method="GET",protocol="http"} 1`,
		`traefik_entrypoint_requests_total{code="418",entrypoint="web",method="GET",protocol="http"} 1`,
	}
	// A request ends a moment after its answer.
	eventually(t, func() bool { return slices.Equal(series(t, e, "traefik_entrypoint_requests_total"), want) })
	want = []string{
		`traefik_service_requests_total{code="200",method="EXTENSION_METHOD",protocol="http",service="s@file"} 1`,
		`traefik_service_requests_total{code="200",method="GET",protocol="http",service="s@file"} 1`,
		`traefik_service_requests_total{code="200",method="GET",protocol="sse",service="s@file"} 1`,
		`traefik_service_requests_total{code="418",method="GET",protocol="http",service="s@file"} 1`,
	}
	if got := series(t, e, "traefik_service_requests_total"); !slices.Equal(got, want) {
		t.Errorf("services have\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for prefix, want := range map[string]string{
		"traefik_service_request_duration_seconds_count{code=\"418\"":                                           " 1",
		"traefik_entrypoint_request_duration_seconds_bucket{code=\"404\",entrypoint=\"web\",method=\"GET\",pro": " 1",
		"traefik_service_responses_bytes_total{code=\"418\"":                                                    " 5",
		"traefik_config_reloads_total":                                                                          " 1",
		"traefik_service_server_up{service=\"s@file\",url=\"" + s.URL + "\"}":                                   " 1",
	} {
		if got := series(t, e, prefix); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], want) {
			t.Errorf("%s...: %q, want%s at the end", prefix, got, want)
		}
	}
	if got := series(t, e, "traefik_config_last_reload_success"); len(got) != 1 || strings.HasSuffix(got[0], " 0") {
		t.Errorf("last reload: %q", got)
	}
}

func TestMetricsAreClean(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	e := start(t, Options{ConfigText: configFor(everything, deadAddress()), JaegerEndpoint: c.URL})
	get(t, e.web, "a", "/")
	c.await(t, 2)
	eventually(t, func() bool {
		return slices.Contains(series(t, e, "etude_edge_spans_total"), `etude_edge_spans_total{outcome="sent"} 2`)
	})
	_, body := get(t, e.dashboard, "", "/metrics")
	if n := testkit.CheckPromised(t, "..", body, "edge"); n < 10 {
		t.Errorf("only %d metrics are promised", n)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "traefik_") || strings.HasPrefix(p.Metric, "etude_") { // the runtime's are their authors'
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestOpenConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	e := start(t, Options{ConfigText: configFor(everything, deadAddress())})
	open := func(n int) func() bool {
		want := fmt.Sprintf(`traefik_open_connections{entrypoint="web",protocol="TCP"} %d`, n)
		return func() bool { return slices.Contains(series(t, e, "traefik_open_connections"), want) }
	}
	eventually(t, open(0))
	conns := make([]net.Conn, 3)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", e.web); err != nil {
			t.Fatal(err)
		}
		eventually(t, open(i+1))
	}
	for i, c := range conns {
		_ = c.Close()
		eventually(t, open(len(conns)-1-i))
	}
}

// TestReloadsAreCounted: a configuration that does not load counts for nothing.
func TestReloadsAreCounted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text []byte) {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(configFor("Host(`a`)", "http://127.0.0.1:1"))
	e := start(t, Options{ConfigFile: file})
	write([]byte("nonsense"))
	eventually(t, func() bool { return strings.Contains(e.log.String(), "not reloaded") })
	write(configFor("Host(`b`)", "http://127.0.0.1:1"))
	eventually(t, func() bool {
		return slices.Equal(series(t, e, "traefik_config_reloads_total"), []string{"traefik_config_reloads_total 2"})
	})
}

// TestTraefikHasTheSameBuckets: a dashboard can compare the two.
func TestTraefikHasTheSameBuckets(t *testing.T) {
	t.Parallel()
	if len(latencyBuckets) != bucketCount {
		t.Fatalf("%d buckets, room for %d", len(latencyBuckets), bucketCount)
	}
	for _, name := range []string{"traefik.yaml", "traefik-v2.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "conf", "traefik", name))
		if err != nil {
			t.Fatal(err)
		}
		var static struct {
			Metrics struct {
				Prometheus struct{ Buckets []float64 }
			}
		}
		if err := yaml.Unmarshal(text, &static); err != nil {
			t.Fatal(err)
		}
		if got := static.Metrics.Prometheus.Buckets; !slices.Equal(got, latencyBuckets) {
			t.Errorf("%s has buckets %v, want %v", name, got, latencyBuckets)
		}
	}
}

// BenchmarkRequestMetrics is what a request pays, once for the entry point and
// once for the service.
func BenchmarkRequestMetrics(b *testing.B) {
	t := newTraffic()
	r, _ := http.NewRequest(http.MethodGet, "http://a/", nil)
	b.ReportAllocs()
	for b.Loop() {
		t.begin()
		t.end(time.Unix(1, 0), labelsOf(r, 200), 100, 1e6)
	}
}
