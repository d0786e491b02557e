package prometheus

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/model"
)

func TestClientFindsEveryEndpoint(t *testing.T) {
	t.Parallel()
	in := run(t, Options{Retention: time.Hour})
	now := time.Now()
	in.put(`calls_total{service="a"}`, now.Add(-time.Minute), 1, "")
	in.put(`calls_total{service="a"}`, now, 7, "0af7651916cd43dd")
	c, ctx := in.client(), context.Background()
	check := func(what string, err error, ok bool) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v, as expected %v", what, err, ok)
		}
	}
	value, _, _, err := c.Query(ctx, `calls_total`, now)
	check("query", err, len(value.(model.Vector)) == 1 && value.(model.Vector)[0].Value == 7)
	value, _, _, err = c.QueryRange(ctx, `calls_total`, v1.Range{Start: now.Add(-time.Minute), End: now, Step: 30 * time.Second})
	check("query_range", err, len(value.(model.Matrix)) == 1 && len(value.(model.Matrix)[0].Values) == 3)
	names, _, _, err := c.LabelNames(ctx, nil, now.Add(-time.Hour), now)
	check("labels", err, slices.Contains(names, "service"))
	values, _, _, err := c.LabelValues(ctx, "service", nil, now.Add(-time.Hour), now)
	check("label values", err, len(values) == 1 && values[0] == "a")
	series, _, _, err := c.Series(ctx, []string{`{service="a"}`}, now.Add(-time.Hour), now)
	check("series", err, len(series) == 1)
	exemplars, err := c.QueryExemplars(ctx, `rate(calls_total[1m])`, now.Add(-time.Hour), now.Add(time.Second))
	check("query_exemplars", err, len(exemplars) == 1 && exemplars[0].Exemplars[0].Labels["traceID"] == "0af7651916cd43dd")
	configuration, err := c.Config(ctx)
	check("status/config", err, strings.Contains(configuration.YAML, "scrape_interval"))
	flags, err := c.Flags(ctx)
	check("status/flags", err, flags["enable-feature"] == "exemplar-storage")
	info, err := c.Runtimeinfo(ctx)
	check("status/runtimeinfo", err, info.ReloadConfigSuccess && info.StorageRetention == "1h" && !info.StartTime.IsZero())
	build, err := c.Buildinfo(ctx)
	check("status/buildinfo", err, strings.HasPrefix(build.GoVersion, "go"))
	tsdb, err := c.TSDB(ctx)
	check("status/tsdb", err, tsdb.HeadStats.NumSeries == 1)
	_, err = c.WalReplay(ctx)
	check("status/walreplay", err, true)
	_, err = c.Targets(ctx)
	check("targets", err, true)
	_, err = c.TargetsMetadata(ctx, "", "", "")
	check("targets/metadata", err, true)
	_, err = c.Metadata(ctx, "", "")
	check("metadata", err, true)
	rules, err := c.Rules(ctx, nil)
	check("rules", err, len(rules.Groups) == 0)
	alerts, err := c.Alerts(ctx)
	check("alerts", err, len(alerts.Alerts) == 0)
	managers, err := c.AlertManagers(ctx)
	check("alertmanagers", err, len(managers.Active) == 0)
	formatted, err := c.FormatQuery(ctx, `sum(rate(calls_total[1m]))by(service)`)
	check("format_query", err, strings.Contains(formatted, "sum by (service) (rate(calls_total[1m]))"))
}

func TestPaths(t *testing.T) {
	t.Parallel()
	ui := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nothing" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "page of "+r.URL.Path)
	})
	in := run(t, Options{UI: ui})
	in.put(`calls_total{service="a"}`, time.UnixMilli(time.Now().UnixMilli()), 7, "")
	tests := []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/", 200, "page of /"},
		{"GET", "/graph", 200, "page of /graph"},
		{"GET", "/query?g0.expr=up", 200, "page of /query"},
		{"GET", "/nothing", 404, ""},
		{"GET", "/-/ready", 200, "Ready"},
		{"HEAD", "/-/ready", 200, ""},
		{"GET", "/-/healthy", 200, "Healthy"},
		{"POST", "/-/reload", 403, "not enabled"},
		{"GET", "/-/reload", 405, ""},
		{"GET", "/version", 200, `"goVersion"`},
		{"GET", "/metrics", 200, "prometheus_tsdb_head_series 1\n"},
		{"GET", "/metrics", 200, "prometheus_ready 1\n"},
		{"GET", "/federate?match[]={service=%22a%22}", 200, `calls_total{service="a"} 7 1`},
		{"GET", "/federate?match[]={", 400, ""},
		{"GET", "/debug/pprof/cmdline", 200, "page of"},
		{"GET", "/api/v1/parse_query?query=up", 200, `"vectorSelector"`},
		{"GET", "/api/v1/openapi.yaml", 200, "/query_range:"},
		{"GET", "/api/v1/scrape_pools", 200, `"scrapePools":[]`},
		{"GET", "/api/v1/features", 200, `"success"`},
		{"GET", "/api/v1/notifications", 200, `"success"`},
		{"GET", "/api/v1/query?query=up(", 400, `"bad_data"`},
		{"POST", "/api/v1/admin/tsdb/delete_series?match[]=up", 500, "admin APIs disabled"},
		{"POST", "/api/v1/otlp/v1/metrics", 404, "--metrics.remote-write-receiver"},
		{"POST", "/api/v1/write", 404, "--metrics.remote-write-receiver"},
	}
	for _, test := range tests {
		req, _ := http.NewRequest(test.method, in.url+test.path, nil)
		resp, err := visitor.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != test.status || !strings.Contains(string(body), test.want) {
			t.Errorf("%s %s: %d %.300s, want %d with %q", test.method, test.path, resp.StatusCode, body, test.status, test.want)
		}
	}
}

// TestForeignPagesReadNothing asks as a page of another origin does, while
// Prometheus starts and while it runs.
func TestForeignPagesReadNothing(t *testing.T) {
	t.Parallel()
	starting, err := Open(Options{Dir: fileNamed(t, "x")})
	if err != nil {
		t.Fatal(err)
	}
	defer starting.Close()
	in := run(t, Options{})
	for _, method := range []string{"GET", "POST", "OPTIONS"} {
		for _, path := range []string{"/api/v1/query?query=up", "/api/v1/status/config", "/api/v1/status/walreplay", "/api/v1/write", "/federate", "/metrics", "/-/ready"} {
			for _, h := range []http.Handler{starting.Handler(), in.Handler()} {
				r, w := httptest.NewRequest(method, path, nil), httptest.NewRecorder()
				r.Header.Set("Origin", "http://evil.example")
				h.ServeHTTP(w, r)
				if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
					t.Errorf("%s %s lets in %q", method, path, got)
				}
			}
		}
	}
}

// fileNamed makes a file in a new directory.
func fileNamed(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	write(t, path, "x")
	return path
}

// TestOwnMetricsAreClean holds them to the rules of promtool check metrics.
// Findings in Prometheus' own packages are not ours.
func TestOwnMetricsAreClean(t *testing.T) {
	t.Parallel()
	in := run(t, Options{})
	resp, err := visitor.Get(in.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	problems, err := promlint.New(resp.Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.Contains(upstreamProblems, p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

var upstreamProblems = []string{
	"prometheus_engine_query_duration_histogram_seconds",
	"prometheus_rule_evaluation_duration_histogram_seconds",
	"prometheus_rule_group_duration_histogram_seconds",
}

// TestWhatGrafanaAsks is the list of a data source for traces: service graph and
// span metrics, on series with known rates.
func TestWhatGrafanaAsks(t *testing.T) {
	t.Parallel()
	in := run(t, Options{})
	now := time.Now().Truncate(time.Second)
	const edge = `{client="edge",server="uservice3"}`
	graph, spans := "traces_service_graph_request_", "traces_spanmetrics_"
	for at, n := now.Add(-5*time.Minute), 0.0; !at.After(now); at, n = at.Add(15*time.Second), n+15 { // one a second
		in.put(graph+"total"+edge, at, n, "")
		in.put(graph+"failed_total"+edge, at, n/5, "")
		in.put(graph+"server_seconds_sum"+edge, at, n*2, "")
		for _, le := range []string{"1.6", "3.2", "+Inf"} {
			count := map[string]float64{"1.6": 0, "3.2": n, "+Inf": n}[le]
			in.put(graph+`server_seconds_bucket{client="edge",server="uservice3",le="`+le+`"}`, at, count, "")
			in.put(spans+`latency_bucket{service="uservice3",span_name="a",le="`+le+`"}`, at, count, "")
		}
		in.put(spans+`calls_total{service="uservice3",span_name="a",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR"}`, at, n, "")
	}
	tests := []struct{ ask, want string }{
		{`sum by (client, server) (rate(` + graph + `server_seconds_sum{client="edge"}[4m]))`, `{client="edge", server="uservice3"} => 2 @`},
		{`sum by (client, server) (rate(` + graph + `total[4m]))`, `{client="edge", server="uservice3"} => 1 @`},
		{`sum by (client, server) (rate(` + graph + `failed_total[4m]))`, `{client="edge", server="uservice3"} => 0.2 @`},
		{`sum by (client, server) (rate(` + graph + `server_seconds_bucket[4m]))`, `{client="edge", server="uservice3"} => 2 @`},
		{`group by (client, connection_type, server) (` + graph + `total)`, `{client="edge", server="uservice3"} => 1 @`},
		{`topk(5, sum(rate(` + spans + `calls_total{span_kind="SPAN_KIND_SERVER"}[4m])) by (span_name))`, `{span_name="a"} => 1 @`},
		{`topk(5, sum(rate(` + spans + `calls_total{span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR",span_name=~"a|b"}[4m])) by (span_name))`, `{span_name="a"} => 1 @`},
		{`histogram_quantile(.9, sum(rate(` + spans + `latency_bucket{span_name=~"a"}[4m])) by (le))`, `{} => 3.04 @`},
		{`histogram_quantile(.9, sum(rate(` + spans + `latency{span_name=~"a"}[4m])) by (le))`, ``},
		{`sum by (client, server)(rate(` + graph + `total{client="edge",server="uservice3"}[1m]))`, `{client="edge", server="uservice3"} => 1 @`},
		{`sum by (client, server)(rate(` + graph + `failed_total{client="edge",server="uservice3"}[1m]))`, `{client="edge", server="uservice3"} => 0.2 @`},
		{`histogram_quantile(0.9, sum(rate(` + graph + `server_seconds_bucket{client="edge",server="uservice3"}[1m])) by (le, client, server))`, `{client="edge", server="uservice3"} => 3.04 @`},
	}
	for _, test := range tests {
		v, _, _, err := in.client().Query(context.Background(), test.ask, now)
		if err != nil {
			t.Errorf("%s: %v", test.ask, err)
			continue
		}
		vector := v.(model.Vector)
		for _, sample := range vector { // of 0.19999999999999998
			sample.Value = model.SampleValue(float64(int(float64(sample.Value)*1e6+.5)) / 1e6)
		}
		if got := vector.String(); !strings.HasPrefix(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s\n got %q\nwant %q", test.ask, got, test.want)
		}
	}
	native, _, _, err := in.client().Series(context.Background(), []string{graph + "server_seconds"}, now.Add(-time.Hour), now, v1.WithLimit(1))
	if err != nil || len(native) != 0 {
		t.Errorf("native histograms: %v %v, want none", native, err)
	}
}

func TestScrapeThroughHosts(t *testing.T) {
	t.Parallel()
	target := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total 5\n")
	})
	in := run(t, Options{
		Config: []byte("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n- job_name: tempo\n  static_configs: [{targets: ['tempo:3200']}]\n" +
			"- job_name: gone\n  static_configs: [{targets: ['gone:1']}]\n"),
		Hosts: map[string]http.Handler{"tempo:3200": target, "gone:1": http.NotFoundHandler()},
	})
	eventually(t, "both jobs are scraped", func() string {
		if got := in.ask(`sort_desc(up)`); !strings.HasPrefix(got, `up{instance="tempo:3200", job="tempo"} => 1 @`) || !strings.Contains(got, `up{instance="gone:1", job="gone"} => 0 @`) {
			return got
		}
		return ""
	})
	eventually(t, "the sample and what it means", func() string {
		metadata, err := in.client().Metadata(context.Background(), "requests_total", "")
		if err != nil || len(metadata["requests_total"]) != 1 || metadata["requests_total"][0].Help != "Requests." {
			return fmt.Sprintf("metadata: %v %v", metadata, err)
		}
		if got := in.ask(`requests_total`); !strings.HasPrefix(got, `requests_total{instance="tempo:3200", job="tempo"} => 5 @`) {
			return got
		}
		return ""
	})
	targets, err := in.client().TargetsMetadata(context.Background(), `{job="tempo"}`, "requests_total", "")
	if err != nil || len(targets) != 1 {
		t.Errorf("targets/metadata: %v %v", targets, err)
	}
}

func TestNotReadyYet(t *testing.T) {
	t.Parallel()
	// A file where the directory should be is no damage to repair.
	dir := t.TempDir() + "/file"
	write(t, dir, "x")
	p, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p.Handler())
	defer s.Close()
	eventually(t, "it tells what is wrong", func() string {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), dir) {
			return "it does not"
		}
		return ""
	})
	for path, want := range map[string]int{"/-/ready": 503, "/-/healthy": 200, "/metrics": 200, "/api/v1/query?query=up": 503, "/api/v1/status/walreplay": 200, "/federate?match[]=up": 503} {
		resp, err := visitor.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || want == 503 && !strings.Contains(string(body), dir) {
			t.Errorf("%s: %d %s, want %d", path, resp.StatusCode, body, want)
		}
	}
	app := p.Appendable().Appender(context.Background())
	if _, err := app.Append(0, parseLabels(t, "up"), 1, 1); err == nil {
		t.Error("it takes samples without a storage")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error("the second close:", err)
	}
}
