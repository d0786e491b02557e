package receive

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

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
		{name: "not protobuf", contentType: "application/x-protobuf", body: "x", status: 400, text: "not a list of Zipkin spans"},
		{name: "short id in protobuf", contentType: "application/x-protobuf", body: "\x0a\x03\x0a\x01x", status: 400, text: "span 0: trace_id of 1 bytes, want 8 or 16"},
		{name: "too many spans in protobuf", contentType: "application/x-protobuf", body: strings.Repeat("\x0a\x14\x0a\x0812345678\x1a\x0812345678", 2), limits: Limits{Spans: 1}, status: 400, text: "limit of 1 spans"},
		{name: "full disk, protobuf", contentType: "application/x-protobuf", body: "\x0a\x14\x0a\x0812345678\x1a\x0812345678", sink: diskFull{}, status: 503, text: "disk is full"},
		{name: "thrift", contentType: "application/x-thrift", body: "x", status: 415, text: "application/json"},
		{name: "no content type", contentType: "-", body: good, status: 415, text: `Content-Type "" is not supported`},
		{name: "text", contentType: "text/plain", body: good, status: 415, text: "application/json"},
		{name: "form", contentType: "application/x-www-form-urlencoded", body: good, status: 415, text: "application/json"},
		{name: "time past all", body: `[{"traceId":"00000000000000aa","id":"00000000000000bb","timestamp":9000000000000000000}]`, status: 400, text: "out of range"},
		{name: "time past 64 bits", body: `[{"traceId":"00000000000000aa","id":"00000000000000bb","timestamp":99999999999999999999}]`, status: 400, text: "not a whole number of 64 bits"},
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
			contentType := c.contentType
			switch contentType {
			case "":
				contentType = typeJSON
			case "-":
				contentType = ""
			}
			method := http.MethodPost
			if c.method != "" {
				method = c.method
			}
			got := send(t, client(t), method, "http://"+s.Addrs().Zipkin+"/any/path", strings.NewReader(c.body), "Content-Type", contentType)
			if got.status != c.status || !strings.Contains(got.body, c.text) {
				t.Errorf("answer %d %q, want %d with %q", got.status, got.body, c.status, c.text)
			}
			if retry := got.header.Get("Retry-After"); (retry != "") != (c.status == 429 || c.status == 503) {
				t.Errorf("status %d with Retry-After %q", got.status, retry)
			}
		})
	}
}

// TestZipkinForms: every form, and a span without time has that of its arrival.
func TestZipkinForms(t *testing.T) {
	t.Parallel()
	const v1 = `[{"traceId":"00000000000000aa","id":"00000000000000bb","name":"get","annotations":[{"timestamp":1700000000000001,"value":"sr","endpoint":{"serviceName":"web"}},{"timestamp":1700000000000251,"value":"ss"}]}]`
	const v2 = `[{"traceId":"00000000000000aa","id":"00000000000000bb","name":"get"}]`
	sink := new(recorder)
	s := start(t, Config{}, sink)
	clients := []*http.Client{client(t), h2client(t)}
	for _, c := range []struct{ path, media, body string }{
		{"/api/v1/spans", typeJSON, v1},
		{"/api/v2/spans", typeJSON, v2},
		{"/api/v2/spans", typeJSON + "; charset=utf-8", v2},
		{"/api/v2/spans", typeProtobuf, "\x0a\x14\x0a\x0812345678\x1a\x0812345678"},
	} {
		for _, h := range clients {
			before := uint64(time.Now().UnixMicro()) * 1000
			got := send(t, h, http.MethodPost, "http://"+s.Addrs().Zipkin+c.path, strings.NewReader(c.body), "Content-Type", c.media)
			if got.status != http.StatusAccepted || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Fatalf("%s %s: %d %s %v", c.path, c.media, got.status, got.body, got.header)
			}
			all := sink.requests()
			span := all[len(all)-1].ResourceSpans[0].ScopeSpans[0].Spans[0]
			if c.body == v1 {
				if span.StartTimeUnixNano != 1700000000000001000 || span.EndTimeUnixNano != 1700000000000251000 {
					t.Errorf("v1 became %v", span)
				}
			} else if span.StartTimeUnixNano < before || span.StartTimeUnixNano > uint64(time.Now().UnixNano()) {
				t.Errorf("%s: a span without time begins at %d", c.media, span.StartTimeUnixNano)
			}
			if proto.Size(span) == 0 {
				t.Error("empty span")
			}
		}
	}
}
