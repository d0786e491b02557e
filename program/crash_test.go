package program

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestKilledBackendLosesNothing sends spans from several clients, kills the
// backend without warning behind an acknowledgement, starts it again on the same
// directory, and asks for every span that was acknowledged.
func TestKilledBackendLosesNothing(t *testing.T) {
	t.Parallel()
	const clients, perTrace, atLeast = 8, 25, 10_000
	dir := t.TempDir()
	first := startBackend(t, dir)

	var acked sync.Map
	var count atomic.Int64
	var wait sync.WaitGroup
	for client := range clients {
		wait.Go(func() {
			for n := uint64(1); ; n++ {
				id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(client+1)), n)
				if !post(first.otlpHTTP, traceOf(id, perTrace)) {
					return
				}
				acked.Store(fmt.Sprintf("%x", id), true)
				count.Add(perTrace)
			}
		})
	}
	eventually(t, "acknowledge enough spans", func() error {
		if n := count.Load(); n < atLeast {
			return fmt.Errorf("%d spans", n)
		}
		return nil
	})
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	<-first.done

	second := startBackend(t, dir)
	missing, asked := 0, 0
	acked.Range(func(id, _ any) bool {
		asked += perTrace
		missing += perTrace - spansOf(traceByID(t, second.api, id.(string)))
		return true
	})
	if missing != 0 || asked < atLeast {
		t.Errorf("%d of %d acknowledged spans are missing after kill -9", missing, asked)
	}
}

// backend is `etude backend` on free ports.
type backend struct {
	*process
	api, otlpHTTP string
}

func startBackend(t *testing.T, dir string, args ...string) *backend {
	t.Helper()
	offset := freeOffset(t)
	args = append([]string{"backend", "--data-dir", dir, "--port-offset", fmt.Sprint(offset)}, args...)
	b := &backend{process: start(t, nil, args...)}
	b.api = fmt.Sprintf("http://127.0.0.1:%d", portAPI+offset)
	b.otlpHTTP = fmt.Sprintf("http://127.0.0.1:%d", portOTLPHTTP+offset)
	b.says("backend is ready")
	return b
}

// traceOf is a request with one trace.
func traceOf(id []byte, spans int) []byte {
	ss := &tracepb.ScopeSpans{}
	for i := range spans {
		ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: id, SpanId: binary.BigEndian.AppendUint64(nil, uint64(i+1)), Name: "work",
			StartTimeUnixNano: uint64(time.Now().UnixNano()), EndTimeUnixNano: uint64(time.Now().UnixNano())})
	}
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{ss}}}})
	if err != nil {
		panic(err) // a fixed message
	}
	return b
}

// post sends a request by OTLP/HTTP and reports whether it was acknowledged.
func post(url string, payload []byte) bool {
	resp, err := http.Post(url+"/v1/traces", "application/x-protobuf", bytes.NewReader(payload))
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
