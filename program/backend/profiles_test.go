package backend

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"etude/telemetry"
)

func TestProfilesAreOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		on     bool
		path   string
		status int
		want   string
	}{
		{false, "/debug/pprof/", 404, "--pprof"},
		{false, "/debug/pprof/goroutine?debug=1", 404, "--pprof"},
		{false, "/debug/pprof/cmdline", 404, "--pprof"},
		{true, "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{true, "/debug/pprof/cmdline", 404, ""},
	} {
		b := &backendRun{cmd: &Command{Metrics: MetricsFlags{Pprof: test.on}}, telemetry: telemetry.New(func(func(telemetry.Sample)) {})}
		w := httptest.NewRecorder()
		b.metricsHandler().ServeHTTP(w, httptest.NewRequest("GET", test.path, nil))
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || strings.Contains(w.Body.String(), os.Args[0]) && strings.Contains(test.path, "cmdline") {
			t.Errorf("--pprof=%v %s: %d %.200s, want %d %q", test.on, test.path, w.Code, w.Body, test.status, test.want)
		}
	}
}
