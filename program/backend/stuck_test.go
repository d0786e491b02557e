package backend

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/internal/testkit"
	"etude/program/memory"
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
	dir, release := t.TempDir(), make(chan struct{})
	b := openBackend(t, dir, stuckObserver{release: release})
	api, otlp := b.urls[0], "http://"+b.receive.Addrs().OTLPHTTP+"/v1/traces"
	if !sendTrace(otlp, 1) {
		t.Fatal("the first spans were not taken")
	}
	var waiting sync.WaitGroup
	for n := range uint64(20) {
		waiting.Go(func() { sendTrace(otlp, 2+n) })
	}
	testkit.Eventually(t, "readiness says that nothing moves", func() error {
		for path, want := range map[string]string{"/live": "live", "/metrics": "etude_store_spans 3", "/api/traces/00000000000000070000000000000001": "work"} {
			if status, body := ask(t, api+path); status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s: %d, without %q", path, status, want)
			}
		}
		if status, body := ask(t, api+"/ready"); status != http.StatusServiceUnavailable || !strings.Contains(body, "spans are not being stored") {
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
	close(release)
	next := openBackend(t, dir, nil)
	defer func() { _ = next.close() }()
	if n := next.totals().Spans; n != 3*21 {
		t.Errorf("%d spans at the next start, want %d", n, 3*21)
	}
}

// openBackend opens a backend on free ports.
func openBackend(t *testing.T, dir string, o store.Observer) *backendRun {
	t.Helper()
	c, err := defaultBackend("--data-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Backend.Each(func(_ string, _ int, addr *string) { *addr = "127.0.0.1:0" })
	c.derive(memory.Limit{Bytes: 1 << 30})
	log := slog.New(slog.DiscardHandler)
	doors, err := c.Flags.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	b := &backendRun{cmd: c, log: log, doors: doors, observer: o}
	if err := b.open(dir); err != nil {
		t.Fatal(errors.Join(err, b.close()))
	}
	b.ready.Store(true)
	return b
}

// sendTrace sends a trace of three spans and reports whether it was acknowledged.
func sendTrace(url string, n uint64) bool {
	id, ss := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 7), n), &tracepb.ScopeSpans{}
	for i := range uint64(3) {
		ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: id, SpanId: binary.BigEndian.AppendUint64(nil, i+1), Name: "work",
			StartTimeUnixNano: uint64(time.Now().UnixNano()), EndTimeUnixNano: uint64(time.Now().UnixNano())})
	}
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{ss}}}})
	if err != nil {
		panic(err) // a fixed message
	}
	resp, err := http.Post(url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// ask reads an answer.
func ask(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
