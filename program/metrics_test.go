package program

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"etude/internal/testkit"
	"etude/program/listen"
)

// metric reads one series of a backend.
func metric(t *testing.T, base, series string) float64 {
	t.Helper()
	_, body := get(t, base+"/metrics")
	for line := range strings.Lines(body) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	t.Fatalf("%s/metrics has no %s", base, series)
	return 0
}

// TestOwnMetricsAreClean lints what a running backend exposes of its own, on both
// of its ports when Prometheus is not on one.
func TestOwnMetricsAreClean(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), "--metrics.off")
	search(t, b.api, "q=%7B%7D")
	for _, base := range []string{b.api, fmt.Sprintf("http://127.0.0.1:%d", listen.PortPrometheus+b.offset)} {
		_, body := get(t, base+"/metrics")
		problems, err := promlint.New(strings.NewReader(body)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "etude_") { // the runtime's are their authors'
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
		}
		if n := testkit.CheckPromised(t, "..", body, "backend"); n < 10 {
			t.Errorf("only %d metrics are promised", n)
		}
		testkit.CheckPromised(t, "..", body, "detail")
		if n := metric(t, base, `etude_queries_total{kind="search",outcome="ok",protocol="http"}`); n != 1 {
			t.Errorf("%v searches, want 1", n)
		}
	}
}
