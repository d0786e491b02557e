package bench

import (
	"strings"
	"testing"
	"time"
)

// Requests that are larger than the windows of the server's connection and
// streams go out piece by piece, many at once.
func TestGRPCKeepsWithinWindows(t *testing.T) {
	t.Parallel()
	f := &fake{t: t}
	o, begin := options(f.grpc()), time.Now()
	o.Spans, o.Batch, o.Concurrency, o.Connections = 8_000, 500, 16, 1 // 195 kB each, in windows of 64 kB
	r := ingest(t, o)
	checkSpans(t, f, 8_000, begin)
	if r.Accepted != 8_000 || r.Failed != 0 {
		t.Errorf("report %+v", r)
	}
}

// A call that gets no answer is given up, and the others go on.
func TestGRPCCallsTimeOut(t *testing.T) {
	t.Parallel()
	f := &fake{t: t, answer: func(n int) (int64, error) {
		if n == 2 {
			stall := time.NewTimer(400 * time.Millisecond)
			<-stall.C
		}
		return 0, nil
	}}
	o := options(f.grpc())
	o.Concurrency, o.Spans, o.Timeout = 1, 500, 100*time.Millisecond
	r := ingest(t, o)
	if r.Failed == 0 || r.Accepted == 0 || r.Accepted+r.Failed != 500 || len(r.Reasons) == 0 {
		t.Errorf("report %+v", r)
	}
	for _, reason := range r.Reasons {
		if reason.Reason != "timed out" && reason.Reason != "stream reset: CANCEL" && !strings.HasPrefix(reason.Reason, "gRPC DeadlineExceeded") {
			t.Errorf("reason %+v", reason)
		}
	}
}

// A server that stops in good order ends the connection, not the run.
func TestGRPCGoesOnAfterGoAway(t *testing.T) {
	t.Parallel()
	f := &fake{t: t}
	target, err := parseTarget(f.grpc(), Access{})
	if err != nil {
		t.Fatal(err)
	}
	o := options("")
	pool := new(payloadPool)
	s := newGRPCSender(&o, target, pool)
	defer s.close()
	for i := range 3 {
		if out := s.send(t.Context(), pool.Get(0)); out != (outcome{}) {
			t.Fatalf("call %d: %+v", i, out)
		}
		before := s.conn
		before.mu.Lock()
		before.next = lastStream + 1 // as if it had had its calls
		before.mu.Unlock()
		if out := s.send(t.Context(), pool.Get(0)); out != (outcome{}) {
			t.Fatalf("last call of connection %d: %+v", i, out)
		}
		if before.usable() {
			t.Error("a connection without streams takes calls")
		}
	}
}
