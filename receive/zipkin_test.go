package receive

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestZipkinMapping(t *testing.T) {
	scenarios(t, "testdata/zipkin.txt", func(t *testing.T, input string) string {
		sink := new(recorder)
		s := start(t, Config{}, sink)
		got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().Zipkin+"/api/v2/spans", strings.NewReader(input), "Content-Type", "application/json")
		if got.status != http.StatusAccepted {
			return strings.TrimSpace(got.body)
		}
		if len(sink.requests()) == 0 {
			return "accepted, nothing to store"
		}
		return dump(sink.one(t))
	})
}

func TestZipkinRefusals(t *testing.T) {
	t.Parallel()
	const good = `[{"traceId":"00000000000000aa","id":"00000000000000bb"},{"traceId":"00000000000000aa","id":"00000000000000cc"}]`
	for _, c := range []struct {
		name, method, contentType, body string
		sink                            error
		limits                          Limits
		status                          int
		text                            string
	}{
		{name: "protobuf", contentType: "application/x-protobuf", body: "x", status: 415, text: "application/json"},
		{name: "thrift", contentType: "application/x-thrift", body: "x", status: 415, text: "application/json"},
		{name: "GET", method: http.MethodGet, status: 405, text: "POST"},
		{name: "not JSON", body: "hello", status: 400, text: "not a JSON list"},
		{name: "bad ids", body: good, sink: invalidSpans{}, status: 400, text: "trace id is zero"},
		{name: "overload", body: good, sink: comeBack{}, status: 429, text: "busy"},
		{name: "full disk", body: good, sink: diskFull{}, status: 503, text: "disk is full"},
		{name: "broken", body: good, sink: errors.New("secret path"), status: 500, text: "internal error"},
		{name: "too many spans", body: good, limits: Limits{Spans: 1}, status: 400, text: "limit of 1 spans"},
		{name: "too large", body: good, limits: Limits{Body: 10}, status: 400, text: "limit of 10 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Limits: c.limits}, &recorder{answer: func(context.Context) error { return c.sink }})
			method := http.MethodPost
			if c.method != "" {
				method = c.method
			}
			got := send(t, client(t), method, "http://"+s.Addrs().Zipkin+"/any/path", strings.NewReader(c.body), "Content-Type", c.contentType)
			if got.status != c.status || !strings.Contains(got.body, c.text) {
				t.Errorf("answer %d %q, want %d with %q", got.status, got.body, c.status, c.text)
			}
			if retry := got.header.Get("Retry-After"); (retry != "") != (c.status == 429 || c.status == 503) {
				t.Errorf("status %d with Retry-After %q", got.status, retry)
			}
		})
	}
}

func TestZipkinManyEmptySpansCostLittle(t *testing.T) {
	body := []byte("[" + strings.Repeat("{},", 1_000_000) + "{}]")
	allocated := allocatedBy(func() {
		if _, err := zipkinToOTLP(body, 1000); err == nil {
			t.Error("accepted")
		}
	})
	if allocated > 1<<20 {
		t.Errorf("allocated %d bytes", allocated)
	}
}

func FuzzZipkin(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"traceId":"00000000000000aa00000000000000aa","id":"00000000000000bb","parentId":"00000000000000cc","kind":"CLIENT","timestamp":1,"duration":-2,"tags":{"error":"x","a":""},"annotations":[{"timestamp":3,"value":"v"}],"localEndpoint":{"serviceName":"s","ipv4":"1.2.3.4"},"remoteEndpoint":{"port":80}}]`))
	f.Add([]byte(`[{"traceId":"xx"}]`))
	f.Add([]byte(`[[[[[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := zipkinToOTLP(bytes.Clone(b), 100)
		if err == nil {
			checkPayload(t, payload, -1)
		}
	})
}

// checkPayload wants OTLP that the real decoder accepts, and the same count.
func checkPayload(t *testing.T, payload []byte, spans int) {
	t.Helper()
	var req collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(payload, &req); err != nil {
		t.Fatalf("made broken OTLP: %v", err)
	}
	real := 0
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			real += len(ss.Spans)
		}
	}
	n, err := countSpans(payload)
	if err != nil || n != real || spans >= 0 && n != spans {
		t.Fatalf("counted %d spans (%v), there are %d, input had %d", n, err, real, spans)
	}
}
