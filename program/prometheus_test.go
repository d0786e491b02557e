package program

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"

	"etude/program/listen"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"etude/conf"
)

// fastScrapes is the shared configuration, but for its pace and with the edge.
func fastScrapes(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metrics.yaml")
	text := strings.ReplaceAll(string(conf.Prometheus), "_interval: 15s", "_interval: 1s\n  scrape_timeout: 1s")
	text = strings.Replace(text, "evaluation_interval: 1s\n  scrape_timeout: 1s", "evaluation_interval: 1s", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ask evaluates PromQL in the program's Prometheus.
func ask(t *testing.T, url, expression string) model.Vector {
	t.Helper()
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	v, _, _, err := v1.NewAPI(client).Query(context.Background(), expression, time.Now())
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v.(model.Vector)
}

// TestUpScrapesItsParts starts the demo with the targets as they are named for
// the compose network, and sends one request, which the service graph counts.
func TestUpScrapesItsParts(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--metrics.config", fastScrapes(t), "--metrics.interval", "1s")
	jobs := strings.Count(string(conf.Prometheus), "job_name:")
	eventually(t, "every job is up", func() error {
		status, body := get(t, d.url(listen.PortPrometheus, "/api/v1/query?query=up"))
		if n := strings.Count(body, `"1"]`); status != http.StatusOK || n != jobs {
			return fmt.Errorf("%d %s, want %d jobs", status, body, jobs)
		}
		return nil
	})
	d.through("uservice3.localhost")
	d.findTrace(t, "uservice3", 7)
	eventually(t, "the spans are counted", func() error {
		if got := ask(t, d.url(listen.PortPrometheus, ""), `sum(etude_store_spans_total{instance="tempo:3200"})`); len(got) != 1 || got[0].Value != 7 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	for _, query := range []string{`histogram_count(sum(etude_store_append_duration_seconds))`, `sum(etude_store_append_duration_seconds_count)`} {
		if got := ask(t, d.url(listen.PortPrometheus, ""), query); len(got) != 1 || got[0].Value < 1 {
			t.Errorf("%s: %v", query, got)
		}
	}
	for _, call := range []string{`client="user",server="edge",connection_type="virtual_node"`, `client="edge",server="uservice3",connection_type=""`, `client="uservice3",server="uservice4",connection_type=""`} {
		eventually(t, "the request is counted: "+call, func() error {
			got := ask(t, d.url(listen.PortPrometheus, ""), "traces_service_graph_request_total{"+call+"}")
			if len(got) != 1 || got[0].Value != 1 {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
	}
	if status, body := get(t, d.url(listen.PortPrometheus, "/query")); status != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("the page of Prometheus: %d %.200s", status, body)
	}
	if status, body := get(t, d.url(listen.PortPage, "/prometheus/api/v1/query?query=up")); status != http.StatusOK || !strings.Contains(body, "tempo:3200") {
		t.Errorf("PromQL on the page's port: %d %.200s", status, body)
	}
	d.interrupt()
}

func TestMetricsOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startBackend(t, dir, "--metrics.off")
	if status, body := get(t, b.prometheus+"/api/v1/query?query=up"); status != http.StatusNotFound {
		t.Errorf("Prometheus is off, and answers %d %s", status, body)
	}
	if _, err := os.Stat(filepath.Join(dir, "prometheus")); err == nil {
		t.Error("Prometheus is off, and keeps data")
	}
}

func TestDamagedMetricsDoNotStopTheBackend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wal := filepath.Join(dir, "prometheus", "wal")
	if err := os.MkdirAll(wal, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, segment := range []string{"00000001", "00000007"} {
		if err := os.WriteFile(filepath.Join(wal, segment), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := startBackend(t, dir)
	b.says("metrics on disk are damaged; moved the files aside")
	eventually(t, "Prometheus is ready", func() error {
		if status, body := get(t, b.prometheus+"/-/ready"); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

func TestMetricsConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "metrics.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("global: {}\nnonsense: 1\n")
	p := start(t, nil, "backend", "--data-dir", filepath.Join(dir, "data"), "--port-offset", fmt.Sprint(freeOffset(t)), "--metrics.config", file)
	if status := p.ended(); status != 1 || !strings.Contains(p.out.String(), file) || !strings.Contains(p.out.String(), "line 2") {
		t.Errorf("a wrong configuration: exit status %d, %s", status, p.out)
	}
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGHUP to reload by")
	}
	write("global: {external_labels: {place: one}}\n")
	b := startBackend(t, filepath.Join(dir, "data"), "--metrics.config", file)
	for text, want := range map[string]string{"global: {external_labels: {place: two}}\n": "place: two", "rule_files: [a, b]\n": "rule_files"} {
		write(text)
		eventually(t, "the new configuration is in force", func() error {
			if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				return err
			}
			if _, body := get(t, b.prometheus+"/api/v1/status/config"); !strings.Contains(body, want) {
				return fmt.Errorf("it is %s", body)
			}
			return nil
		})
	}
}

func TestWrongMetricsFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--metrics.retention=-1h":                          "--metrics.retention -1h",
		"--metrics.host tempo=127.0.0.1:1":                 "want NAME:PORT=HOST:PORT",
		"--metrics.host tempo:1=x":                         "want NAME:PORT=HOST:PORT",
		"--metrics.off --metrics.config x":                 "--metrics.off",
		"--metrics.remote-write x:9":                       "want http:// or https://",
		"--metrics.remote-write http://x/,http://me:pw@x/": "http://x/ is set twice",
		"--metrics.config /nonexistent/metrics.yaml":       "/nonexistent/metrics.yaml",
	} {
		p := start(t, nil, append([]string{"backend", "--data-dir", t.TempDir(), "--port-offset", fmt.Sprint(freeOffset(t))}, strings.Fields(args)...)...)
		if status := p.ended(); status != 1 || !strings.Contains(p.out.String(), want) || strings.Contains(p.out.String(), "me:pw") {
			t.Errorf("%s: exit status %d, %s", args, status, p.out)
		}
	}
}

// TestProfilesAreOffUnlessAskedFor asks the handler of Prometheus' port.
