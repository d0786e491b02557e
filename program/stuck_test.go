package program

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"etude/internal/testkit"
	"etude/store"
)

// stuckObserver stops the applier of a store when it has applied its first batch.
type stuckObserver struct {
	store.Observer
	release chan struct{}
}

func (o stuckObserver) Applied(time.Duration)      { <-o.release }
func (o stuckObserver) Acknowledged(time.Duration) {}
func (o stuckObserver) Synced(time.Duration)       {}
func (o stuckObserver) Sealed(time.Duration)       {}
func (o stuckObserver) Cut(time.Duration)          {}

// TestHostileStuckApplier has a backend whose applier is stuck: metrics, readiness and
// searches answer, the end of the process is bounded, and the next start has every
// span of the log. It waits for the time-outs of the real program.
func TestHostileStuckApplier(t *testing.T) {
	testkit.Hostile(t)
	t.Parallel()
	dir, offset := t.TempDir(), freeOffset(t)
	c, err := parseBackend(t, "--data-dir", dir, "--port-offset", fmt.Sprint(offset))
	if err != nil {
		t.Fatal(err)
	}
	c.backendAddrs.fill(offset)
	c.derive(memory{bytes: gibibyte})
	log := slog.New(slog.DiscardHandler)
	doors, err := c.doorFlags.open(log)
	if err != nil {
		t.Fatal(err)
	}
	o := stuckObserver{release: make(chan struct{})}
	b := &backendRun{cmd: c, log: log, doors: doors, observer: o}
	if err := b.open(dir); err != nil {
		t.Fatal(errors.Join(err, b.close()))
	}
	b.ready.Store(true)
	api, otlp := fmt.Sprintf("http://127.0.0.1:%d", portAPI+offset), fmt.Sprintf("http://127.0.0.1:%d", portOTLPHTTP+offset)
	if !post(otlp, traceOf(traceID(1), 3)) {
		t.Fatal("the first spans were not taken")
	}
	var waiting sync.WaitGroup
	for n := range uint64(20) {
		waiting.Go(func() { post(otlp, traceOf(traceID(2+n), 3)) })
	}
	eventually(t, "readiness says that nothing moves", func() error {
		for path, want := range map[string]string{"/live": "live", "/metrics": "etude_store_spans 3", "/api/traces/00000000000000070000000000000001": "work"} {
			if status, body := get(t, api+path); status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s: %d, without %q", path, status, want)
			}
		}
		if status, body := get(t, api+"/ready"); status != http.StatusServiceUnavailable || !strings.Contains(body, "spans are not being stored") {
			return errors.New(body)
		}
		return nil
	})
	began := time.Now()
	var stuck *store.StuckError
	if err := b.close(); !errors.As(err, &stuck) || stuck.Disk {
		t.Errorf("the end: %v, want a word about the applier", err)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("the end took %s", d)
	}
	waiting.Wait()
	close(o.release)
	next := startBackend(t, dir)
	if n := storeMetric(t, next, "etude_store_spans "); n != 3*21 {
		t.Errorf("%.0f spans at the next start, want %d", n, 3*21)
	}
}
