package receive

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"etude/receive/jaeger/jaegertest"
)

func TestJaegerProtocols(t *testing.T) {
	t.Parallel()
	batch := jaegertest.Parse(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2")
	for contentType, p := range map[string]jaegertest.NewThrift{
		"application/x-thrift":                  jaegertest.Binary,
		"application/x-thrift; charset=utf-8":   jaegertest.Binary,
		"application/vnd.apache.thrift.binary":  jaegertest.Binary,
		"application/vnd.apache.thrift.compact": jaegertest.Compact,
	} {
		sink := new(recorder)
		s := start(t, Config{}, sink)
		got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().Jaeger+"/api/traces", bytes.NewReader(jaegertest.Thrift(t, p, batch)), "Content-Type", contentType)
		if got.status != http.StatusAccepted {
			t.Errorf("%s: answer %d %s", contentType, got.status, got.body)
			continue
		}
		want := "resource service.name=\"a\"\nspan \"op\" trace=00000000000000000000000000000001 id=0000000000000002 UNSPECIFIED 1000..3000\n"
		if d := dump(sink.one(t)); d != want {
			t.Errorf("%s: got %s", contentType, d)
		}
	}
}

func TestJaegerRefusals(t *testing.T) {
	t.Parallel()
	good := jaegertest.Thrift(t, jaegertest.Binary, jaegertest.Parse(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2\nspan op trace=0:1 id=3 parent=2 start=1 duration=2"))
	const thriftType = "application/x-thrift"
	for _, c := range []struct {
		name, method, path, contentType string
		body                            []byte
		sink                            error
		limits                          Limits
		status                          int
		text                            string
	}{
		{name: "no content type", body: good, status: 400, text: "no usable Content-Type"},
		{name: "other content type", contentType: "text/plain", body: good, status: 400, text: `"text/plain" is not supported`},
		{name: "garbage", contentType: thriftType, body: []byte("hello"), status: 400, text: "not a Jaeger thrift batch"},
		{name: "empty", contentType: thriftType, status: 400, text: "not a Jaeger thrift batch"},
		{name: "cut off", contentType: thriftType, body: good[:len(good)-9], status: 400, text: "not a Jaeger thrift batch"},
		{name: "trailing bytes", contentType: thriftType, body: append(bytes.Clone(good), 1, 2), status: 400, text: "2 bytes follow"},
		{name: "GET", method: http.MethodGet, contentType: thriftType, status: 405, text: "POST"},
		{name: "other path", path: "/v1/traces", contentType: thriftType, body: good, status: 404, text: "/api/traces"},
		{name: "bad ids", contentType: thriftType, body: good, sink: invalidSpans{}, status: 400, text: "trace id is zero"},
		{name: "overload", contentType: thriftType, body: good, sink: comeBack{}, status: 429, text: "busy"},
		{name: "full disk", contentType: thriftType, body: good, sink: diskFull{}, status: 503, text: "disk is full"},
		{name: "broken store", contentType: thriftType, body: good, sink: fmt.Errorf("secret path"), status: 500, text: "internal error"},
		{name: "too many spans", contentType: thriftType, body: good, limits: Limits{Spans: 1}, status: 400, text: "limit of 1 spans"},
		{name: "too large", contentType: thriftType, body: good, limits: Limits{Body: 10}, status: 400, text: "limit of 10 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink := &recorder{answer: func(context.Context) error { return c.sink }}
			s := start(t, Config{Limits: c.limits}, sink)
			method, path := http.MethodPost, "/api/traces"
			if c.method != "" {
				method = c.method
			}
			if c.path != "" {
				path = c.path
			}
			got := send(t, client(t), method, "http://"+s.Addrs().Jaeger+path, bytes.NewReader(c.body), "Content-Type", c.contentType)
			if got.status != c.status || !strings.Contains(got.body, c.text) {
				t.Errorf("answer %d %q, want %d with %q", got.status, got.body, c.status, c.text)
			}
			if strings.Contains(got.body, "secret") {
				t.Errorf("internal error leaked: %s", got.body)
			}
			if retry := got.header.Get("Retry-After"); (retry != "") != (c.status == 429 || c.status == 503) {
				t.Errorf("status %d with Retry-After %q", got.status, retry)
			}
			if len(sink.requests()) != 0 {
				t.Error("Sink kept a refused batch")
			}
		})
	}
}
