package edge

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// replaceFile writes as editors do: a new file is renamed over the old one.
func replaceFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestReloadUnderLoad changes the configuration again and again while requests
// run: none may fail, and each change must show.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	var urls [2]string
	for i := range urls {
		urls[i] = serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "server ", i) }).URL
	}
	file := filepath.Join(t.TempDir(), "dynamic.yaml")
	replaceFile(t, file, configFor(everything, urls[0]))
	e := start(t, Options{ConfigFile: file})
	var stopped atomic.Bool
	var failed, done atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !stopped.Load() {
				resp, err := visitor.Get("http://" + e.web)
				if err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				if err == nil {
					resp.Body.Close()
				}
				done.Add(1)
			}
		})
	}
	for i := 1; i <= 6; i++ {
		replaceFile(t, file, configFor(everything, urls[i%2]))
		eventually(t, func() bool {
			_, body := get(t, e.web, "a", "/")
			return body == fmt.Sprint("server ", i%2)
		})
	}
	stopped.Store(true)
	clients.Wait()
	if failed.Load() > 0 || done.Load() == 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), done.Load())
	}
	if n := strings.Count(e.log.String(), "configuration reloaded"); n < 6 {
		t.Errorf("%d reloads logged:\n%s", n, e.log)
	}
}

func TestBrokenFileKeepsTheOldConfiguration(t *testing.T) {
	t.Parallel()
	service := serve(t, func(w http.ResponseWriter, _ *http.Request) {})
	file := filepath.Join(t.TempDir(), "dynamic.yaml")
	replaceFile(t, file, configFor(everything, service.URL))
	e := start(t, Options{ConfigFile: file})
	replaceFile(t, file, []byte("http:\n  routers:\n    a:\n      rule: Hoost(`a`)\n"))
	eventually(t, func() bool { return strings.Contains(e.log.String(), "dynamic.yaml:4: router a: rule") })
	if status, _ := get(t, e.web, "a", "/"); status != http.StatusOK {
		t.Errorf("status %d with the old configuration", status)
	}
	if _, body := get(t, e.dashboard, "", "/api/stats"); !strings.Contains(body, "dynamic.yaml:4: router a") {
		t.Errorf("stats do not tell the error: %s", body)
	}
	replaceFile(t, file, configFor("Host(`new`)", service.URL)) // and written in place
	eventually(t, func() bool { status, _ := get(t, e.web, "a", "/"); return status == http.StatusNotFound })
	if err := os.WriteFile(file, configFor("Host(`newer`)", service.URL), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { status, _ := get(t, e.web, "newer", "/"); return status == http.StatusOK })
	if _, body := get(t, e.dashboard, "", "/api/stats"); strings.Contains(body, "lastError") {
		t.Errorf("stats still tell the error: %s", body)
	}
	if n := strings.Count(e.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors logged:\n%s", n, e.log)
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), Options{ConfigFile: filepath.Join(t.TempDir(), "none.yaml"), Getenv: noEnv})
	if err == nil || !strings.Contains(err.Error(), "read configuration: open ") {
		t.Fatalf("got %v", err)
	}
}
