package telemetry

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// TestProfilesHideTheCommandLine asks for everything that net/http/pprof would
// serve below /debug/pprof/.
func TestProfilesHideTheCommandLine(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=1": 200,
		"/debug/pprof/cmdline": 404, "/debug/pprof/symbol": 404, "/debug/pprof/nonsense": 404,
	} {
		w := httptest.NewRecorder()
		Profiles().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if strings.Contains(w.Body.String(), "cmdline") || strings.Contains(w.Body.String(), strings.Join(os.Args, "\x00")) {
			t.Errorf("%s shows the command line: %.200s", path, w.Body)
		}
	}
}

func TestProfilesThatAreOffNameTheFlag(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	NoProfiles().ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/heap", nil))
	if w.Code != 404 || !strings.Contains(w.Body.String(), "--pprof") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
