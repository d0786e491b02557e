package program

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"etude/program/listen"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	crashClients     = 8
	tracesAtATime    = 20 // of a client
	requestsPerTrace = 5
	spansPerRequest  = 5
	crashSpans       = 10_000 // at least so many are acknowledged before a kill
)

// crashRounds is how often the backend is killed: few by default, as many as
// ETUDE_CRASH_ROUNDS says for a long run.
func crashRounds(t *testing.T) int {
	text := os.Getenv("ETUDE_CRASH_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("ETUDE_CRASH_ROUNDS: %v", err)
	}
	return n
}

// TestKilledBackendLosesNothing sends spans from several clients, kills the
// backend without warning at a random moment, starts it again on the same
// directory, and asks for every span that was acknowledged. Every other directory has
// blocks all the time, so that cuts are killed, too, and traces go on after theirs.
func TestKilledBackendLosesNothing(t *testing.T) {
	t.Parallel()
	const roundsPerDir = 10 // then a new directory, so that replay stays short
	for round, rounds := 0, crashRounds(t); round < rounds; {
		dir, after := t.TempDir(), "--blocks.after=20ms"
		if round/roundsPerDir%2 == 1 {
			after = "--blocks.after=5m"
		}
		b := startBackend(t, dir, after)
		for range min(roundsPerDir, rounds-round) {
			acked := loadAndKill(t, b, round)
			b = startBackend(t, dir, after)
			spans, missing, twice := 0, 0, 0
			for id, parts := range acked {
				found := timesEach(traceByID(t, b.api, id))
				for _, first := range parts {
					for i := range spansPerRequest {
						n := found[first+i]
						spans, missing, twice = spans+1, missing+max(0, 1-n), twice+max(0, n-1)
					}
				}
			}
			if missing != 0 || twice != 0 {
				t.Errorf("round %d: of %d acknowledged spans %d are missing and %d are there twice after kill -9", round, spans, missing, twice)
			}
			round++
		}
		_ = b.cmd.Process.Kill()
	}
}

// timesEach says how often each span of a trace is there, by its number.
func timesEach(data *tracepb.TracesData) map[int]int {
	times := map[int]int{}
	for _, rs := range data.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				times[int(binary.BigEndian.Uint64(span.SpanId))]++
			}
		}
	}
	return times
}

// loadAndKill returns the traces that were acknowledged, each with the first spans of
// its requests. A client has many traces at a time, so that each goes on for a while.
func loadAndKill(t *testing.T, b *backendProcess, round int) (acked map[string][]int) {
	acked = map[string][]int{}
	var mu sync.Mutex
	var count atomic.Int64
	var wait sync.WaitGroup
	for client := range crashClients {
		wait.Go(func() {
			for n := 0; ; n++ {
				lot, n := n/(tracesAtATime*requestsPerTrace), n%(tracesAtATime*requestsPerTrace)
				number, first := lot*tracesAtATime+n%tracesAtATime, 1+n/tracesAtATime*spansPerRequest
				id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(round<<8|client+1)), uint64(number+1))
				if !post(b.otlpHTTP, spansOfTrace(id, first, spansPerRequest)) {
					return
				}
				mu.Lock()
				acked[fmt.Sprintf("%x", id)] = append(acked[fmt.Sprintf("%x", id)], first)
				mu.Unlock()
				count.Add(spansPerRequest)
			}
		})
	}
	enough := crashSpans + rand.Int64N(crashSpans)
	eventually(t, "acknowledge enough spans", func() error {
		if n := count.Load(); n < enough {
			return fmt.Errorf("%d spans", n)
		}
		return nil
	})
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	<-b.done
	return acked
}

// backendProcess is `etude backend` on free ports.
type backendProcess struct {
	*process
	api, otlpHTTP, prometheus string
	offset                    int
}

func startBackend(t *testing.T, dir string, args ...string) *backendProcess {
	t.Helper()
	return startBackendIn(t, nil, dir, args...)
}

// startBackendIn adds variables to the environment.
func startBackendIn(t *testing.T, env []string, dir string, args ...string) *backendProcess {
	t.Helper()
	offset := freeOffset(t)
	args = append([]string{"backend", "--data-dir", dir, "--port-offset", fmt.Sprint(offset)}, args...)
	b := &backendProcess{process: start(t, env, args...), offset: offset}
	b.api = fmt.Sprintf("http://127.0.0.1:%d", listen.PortAPI+offset)
	b.prometheus = fmt.Sprintf("http://127.0.0.1:%d", listen.PortPrometheus+offset)
	b.otlpHTTP = fmt.Sprintf("http://127.0.0.1:%d", listen.PortOTLPHTTP+offset)
	b.says("backend is ready")
	return b
}

// traceOf is a request with one trace.
func traceOf(id []byte, spans int) []byte { return spansOfTrace(id, 1, spans) }

// spansOfTrace is a request with some spans of a trace, from the one of a number on.
func spansOfTrace(id []byte, first, spans int) []byte {
	ss := &tracepb.ScopeSpans{}
	for i := range spans {
		ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: id, SpanId: binary.BigEndian.AppendUint64(nil, uint64(first+i)), Name: "work",
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
	resp, err := visitor.Post(url+"/v1/traces", "application/x-protobuf", bytes.NewReader(payload))
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
