package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func ingest(t *testing.T, o IngestOptions) *IngestReport {
	t.Helper()
	r, err := Ingest(t.Context(), o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkSpans holds what the server has to what a tracing SDK would send.
func checkSpans(t *testing.T, f *fake, want int, begin time.Time) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.spans) != want {
		t.Fatalf("server has %d spans, want %d", len(f.spans), want)
	}
	ids, traces := map[string]bool{}, map[string]bool{}
	for _, s := range f.spans {
		ids[string(s.SpanId)] = true
		traces[string(s.TraceId)] = true
	}
	if len(ids) != want {
		t.Errorf("%d different span ids in %d spans", len(ids), want)
	}
	if len(traces) < want/spansPerTrace {
		t.Errorf("%d traces in %d spans", len(traces), want)
	}
	for _, s := range f.spans {
		start, end := time.Unix(0, int64(s.StartTimeUnixNano)), time.Unix(0, int64(s.EndTimeUnixNano))
		if end.Before(start) || end.After(time.Now()) || start.Before(begin.Add(-3*time.Second)) {
			t.Fatalf("span %s runs from %s to %s", s.Name, start, end)
		}
		if s.ParentSpanId != nil && !ids[string(s.ParentSpanId)] {
			t.Fatalf("span %s has a parent that was not sent", s.Name)
		}
	}
}

func TestIngestCountsAndSpans(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, protocol, compression string
	}{{"grpc", "grpc", "none"}, {"grpc gzip", "grpc", "gzip"}, {"http", "http", "none"}, {"http gzip", "http", "gzip"}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := &fake{t: t}
			target := f.grpc
			if test.protocol == "http" {
				target = func() string { return f.http("") }
			}
			o, begin := options(target()), time.Now()
			o.Compression, o.Warmup = test.compression, 70
			r := ingest(t, o)
			checkSpans(t, f, 1234+70, begin)
			if r.Accepted != 1234 || r.Requests != 25 || r.Refused+r.Failed+r.Rejected != 0 || r.Latency.Max <= 0 || len(r.Reasons) != 0 {
				t.Errorf("report %+v", r)
			}
		})
	}
}

func TestIngestRefusals(t *testing.T) {
	t.Parallel()
	answer := func(n int) (int64, error) {
		switch {
		case n <= 3:
			return 0, status.Error(codes.ResourceExhausted, "queue is full")
		case n <= 5:
			return 7, nil
		}
		return 0, nil
	}
	for _, protocol := range []string{"gRPC ResourceExhausted: queue is full", "HTTP 429 Too Many Requests: slow down"} {
		f := &fake{t: t, answer: answer}
		o := options("")
		if o.Target = f.http("/v1/traces"); strings.HasPrefix(protocol, "gRPC") {
			o.Target = f.grpc()
		}
		o.Spans, o.Concurrency = 1000, 1
		r := ingest(t, o)
		if r.Accepted != 1000-3*50-2*7 || r.Refused != 150 || r.Rejected != 14 || r.Failed != 0 {
			t.Errorf("accepted %d, refused %d, rejected %d, failed %d", r.Accepted, r.Refused, r.Rejected, r.Failed)
		}
		var got []string
		for _, reason := range r.Reasons {
			got = append(got, fmt.Sprintf("%d/%d %s: %s", reason.Requests, reason.Spans, reason.Reason, reason.Example))
		}
		want := []string{"3/150 " + protocol, "2/14 partial success: too old"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("reasons %q, want %q", got, want)
		}
	}
}

// A server that accepts connections and hangs up leaves no request answered.
func TestIngestStopsWithoutAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for _, scheme := range []string{"http://", "grpc://"} {
		o := options(scheme + l.Addr().String())
		o.Spans = 1e9
		r, err := Ingest(t.Context(), o, io.Discard)
		if !errors.Is(err, errNoAnswers) || r == nil || r.Accepted != 0 || r.Failed == 0 || len(r.Reasons) == 0 {
			t.Errorf("%s: error %v, report %+v", scheme, err, r)
		}
	}
}

// With a rate, a stall of the server shows in the latency of all requests that
// were due meanwhile, not only in those that were under way.
func TestRateMeasuresFromWhenDue(t *testing.T) {
	t.Parallel()
	f := &fake{t: t, answer: func(n int) (int64, error) {
		if n == 1 {
			stall := time.NewTimer(300 * time.Millisecond)
			<-stall.C
		}
		return 0, nil
	}}
	o := options(f.grpc())
	o.Spans, o.Batch, o.Concurrency, o.Rate = 2000, 10, 1, 5000 // 200 requests in 400 ms
	r := ingest(t, o)
	if r.Seconds < .35 || r.Latency.P50 < 20 || r.Service == nil || r.Service.P50 > r.Latency.P50/2 {
		t.Errorf("took %.2f s, latency %s, once sent %s", r.Seconds, r.Latency, r.Service)
	}
}

func TestDurationEndsTheRun(t *testing.T) {
	t.Parallel()
	f := &fake{t: t}
	o := options(f.http(""))
	o.Duration, o.Rate, o.Batch, o.Cardinality = 200*time.Millisecond, 1000, 10, 0
	r := ingest(t, o)
	checkSpans(t, f, int(r.Accepted), time.Now().Add(-5*time.Second))
	if r.Accepted == 0 || r.Accepted > 1000 {
		t.Errorf("accepted %d spans in 200 ms at 1000 a second", r.Accepted)
	}
}

func TestCanceledRunReportsWhatWasDone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{t: t, answer: func(n int) (int64, error) {
		if n == 5 {
			cancel()
		}
		return 0, nil
	}}
	o := options(f.grpc())
	o.Concurrency = 1
	r, err := Ingest(ctx, o, io.Discard)
	if !errors.Is(err, context.Canceled) || r == nil || r.Accepted < 200 || r.Failed != 0 {
		t.Errorf("error %v, report %+v", err, r)
	}
}

func TestUsageOfServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := &fake{t: t}
	o := options(f.grpc())
	o.PID, o.Dir = os.Getpid(), dir
	f.answer = func(n int) (int64, error) {
		return 0, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), make([]byte, 8192), 0o600)
	}
	r := ingest(t, o)
	if *r.Disk != 25*8192 || *r.DiskPerSpan != 25*8192./1234 {
		t.Errorf("disk %d, %f a span", *r.Disk, *r.DiskPerSpan)
	}
	var table bytes.Buffer
	if err := r.Write(&table); err != nil {
		t.Fatal(err)
	}
	measurable := runtime.GOOS == "linux"
	if strings.Contains(table.String(), "not measurable here") == measurable || (r.RSS != nil) != measurable {
		t.Errorf("on %s:\n%s", runtime.GOOS, &table)
	}
	if measurable && (*r.RSS < 1<<20 || *r.PeakRSS < *r.RSS) {
		t.Errorf("resident %d, peak %d", *r.RSS, *r.PeakRSS)
	}
	if b, err := json.Marshal(r); err != nil || !bytes.Contains(b, []byte(`"accepted_spans":1234`)) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	closed := "http://127.0.0.1:1"
	for _, test := range []struct {
		change func(*IngestOptions)
		want   string
	}{
		{func(o *IngestOptions) { o.Target = "grpc://192.0.2.1:4317" }, "192.0.2.1 is not a loopback address"},
		{func(o *IngestOptions) { o.Target = "http://tempo.example:4318" }, "tempo.example is not a loopback address"},
		{func(o *IngestOptions) { o.Target = "grpc://0.0.0.0:4317" }, "0.0.0.0 is not a loopback address"},
		{func(o *IngestOptions) { o.Target = "127.0.0.1:4317" }, "read --target"},
		{func(o *IngestOptions) { o.Target = "ftp://127.0.0.1:4317" }, "want grpc://127.0.0.1:PORT or http://"},
		{func(o *IngestOptions) { o.Target = "grpc://127.0.0.1:4317/x" }, "gRPC has no path"},
		{func(o *IngestOptions) { o.Target = "http://localhost" }, "want a URL with a port"},
		{func(o *IngestOptions) {}, "nothing listens on 127.0.0.1:1"},
		{func(o *IngestOptions) { o.Batch = 0 }, "--batch 0"},
		{func(o *IngestOptions) { o.Spans = 0 }, "--spans must be at least 1"},
		{func(o *IngestOptions) { o.Connections = 99 }, "--connections 99"},
		{func(o *IngestOptions) { o.Compression = "zip" }, `--compression "zip"`},
	} {
		o := options(closed)
		test.change(&o)
		if _, err := Ingest(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", o, err, test.want)
		}
	}
}
