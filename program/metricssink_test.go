package program

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// otlpMetrics is a request in JSON with a gauge and, beside it, a counter of the
// given temporality (2: cumulative, 1: delta).
func otlpMetrics(service string, temporality int) string {
	now := time.Now().UnixNano()
	return fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}},{"key":"host.name","value":{"stringValue":"h"}}]},
		"scopeMetrics":[{"metrics":[{"name":"queue.size","gauge":{"dataPoints":[{"asInt":"3","timeUnixNano":"%d"}]}},
		{"name":"jobs","sum":{"isMonotonic":true,"aggregationTemporality":%d,"dataPoints":[{"asInt":"7","timeUnixNano":"%d"}]}}]}]}]}`, service, now, temporality, now)
}

func postMetrics(t *testing.T, url, tenant, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/v1/metrics", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if tenant != "" {
		req.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := visitor.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestOTLPMetricsReachPrometheus: what an SDK sends to the OTLP port is found by
// PromQL; a delta counter is refused by the setting's name, and costs no others.
func TestOTLPMetricsReachPrometheus(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir())
	eventually(t, "the metrics are taken", func() error {
		if status, answer := postMetrics(t, b.otlpHTTP, "", otlpMetrics("shop", 2)); status != http.StatusOK || strings.Contains(answer, "rejected") {
			return fmt.Errorf("%d %s", status, answer) // 503 before the storage is open
		}
		return nil
	})
	for query, want := range map[string]string{`queue_size{job="shop"}`: "3", `jobs_total{job="shop"}`: "7", `target_info{job="shop",host_name="h"}`: "1"} {
		if got := ask(t, b.prometheus, query); len(got) != 1 || got[0].Value.String() != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	status, answer := postMetrics(t, b.otlpHTTP, "", otlpMetrics("cart", 1))
	if status != http.StatusOK || !strings.Contains(answer, `"rejectedDataPoints":"1"`) || !strings.Contains(answer, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative") {
		t.Errorf("delta: %d %s", status, answer)
	}
	if got := ask(t, b.prometheus, `queue_size{job="cart"}`); len(got) != 1 {
		t.Errorf("the metric beside it: %v", got)
	}
}

// TestOTLPMetricsHaveTheirTenant: as a label that the sender cannot choose.
func TestOTLPMetricsHaveTheirTenant(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), "--multitenancy")
	body := strings.Replace(otlpMetrics("shop", 2), `{"asInt":"3"`, `{"attributes":[{"key":"tenant","value":{"stringValue":"t2"}}],"asInt":"3"`, 1)
	eventually(t, "the metrics are taken", func() error {
		if status, answer := postMetrics(t, b.otlpHTTP, "t1", body); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	if got := ask(t, b.prometheus, `queue_size`); len(got) != 1 || got[0].Metric["tenant"] != "t1" {
		t.Errorf("%v, want tenant t1", got)
	}
}

// TestOTLPMetricsWithoutPrometheus: the answer names the setting that stops them.
func TestOTLPMetricsWithoutPrometheus(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), "--metrics.off")
	status, answer := postMetrics(t, b.otlpHTTP, "", otlpMetrics("shop", 2))
	if status != http.StatusOK || !strings.Contains(answer, "OTEL_METRICS_EXPORTER=none") {
		t.Errorf("%d %s", status, answer)
	}
}
