package program

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestDataDirectoryRemoved removes the directory of a running backend: spans are
// refused with 503, readiness says why, queries are answered, and the process ends
// when asked to.
func TestDataDirectoryRemoved(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not let go of open files")
	}
	dir := filepath.Join(t.TempDir(), "data")
	b := startBackend(t, dir, "--metrics.off")
	if !post(b.otlpHTTP, traceOf(traceID(1), 3)) {
		t.Fatal("spans were not taken")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		status, body := as(t, "", b.otlpHTTP+"/v1/traces", traceOf(traceID(2), 3), "Content-Type", "application/x-protobuf")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "is gone") {
			t.Errorf("spans: %d %q, want 503 and the reason", status, body)
		}
	}
	eventually(t, "readiness says why", func() error {
		if status, body := get(t, b.api+"/ready"); status != http.StatusServiceUnavailable || !strings.Contains(body, "is gone") {
			return errors.New(body)
		}
		return nil
	})
	for path, want := range map[string]string{"/live": "live", "/status": "not ready: ", "/metrics": "etude_store_spans 3"} {
		if status, body := get(t, b.api+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, it does not say %q", path, status, want)
		}
	}
	if n := spansOf(traceByID(t, b.api, "00000000000000070000000000000001")); n != 3 {
		t.Errorf("%d spans of the trace in memory are found", n)
	}
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := b.ended(); status != 1 || !strings.Contains(b.out.String(), "is gone") {
		t.Errorf("exit status %d, want 1 and the reason", status)
	}
}

// TestMissingSegmentIsTold removes a file of the log between two starts.
func TestMissingSegmentIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startBackend(t, dir, "--metrics.off")
	if !post(b.otlpHTTP, traceOf(traceID(1), 3)) {
		t.Fatal("spans were not taken")
	}
	stopCleanly(t, b)
	if err := os.Remove(filepath.Join(dir, "wal", "00000000000000000001.wal")); err != nil {
		t.Fatal(err)
	}
	b = startBackend(t, dir, "--metrics.off")
	b.says("the log is not as it was written")
	if status, body := get(t, b.api+"/status"); status != http.StatusOK || !strings.Contains(body, "there is no such file: 3 spans are lost") {
		t.Errorf("/status: %d %q", status, body)
	}
	if _, body := get(t, b.api+"/metrics"); !strings.Contains(body, "etude_store_missing_spans_total 3") {
		t.Error("/metrics does not count the spans")
	}
}
