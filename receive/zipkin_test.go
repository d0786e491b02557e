package receive

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
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
		{name: "not protobuf", contentType: "application/x-protobuf", body: "x", status: 400, text: "not a list of Zipkin spans"},
		{name: "short id in protobuf", contentType: "application/x-protobuf", body: "\x0a\x03\x0a\x01x", status: 400, text: "span 0: trace_id of 1 bytes, want 8 or 16"},
		{name: "too many spans in protobuf", contentType: "application/x-protobuf", body: strings.Repeat("\x0a\x14\x0a\x0812345678\x1a\x0812345678", 2), limits: Limits{Spans: 1}, status: 400, text: "limit of 1 spans"},
		{name: "full disk, protobuf", contentType: "application/x-protobuf", body: "\x0a\x14\x0a\x0812345678\x1a\x0812345678", sink: diskFull{}, status: 503, text: "disk is full"},
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
		if _, err := new(protoBuilder).zipkinJSON(body, testLimits(1000)); err == nil {
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
	f.Add([]byte(`[{"x":[{"y":"\"]}"},-1.5e3,null,true],"traceId":"00000000000000aa","id":"00000000000000bb","name":"\u00e9\ud83d\ude00"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p protoBuilder
		n, err := p.zipkinJSON(b, testLimits(100))
		if err == nil {
			checkPayload(t, p.b, n)
		}
		if !json.Valid(b) && err == nil {
			t.Fatal("accepted what is not JSON")
		}
	})
}

func FuzzZipkinProto(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x14\x0a\x0812345678\x1a\x0812345678"))
	_, cases := readScenarios(f, "testdata/zipkin.txt")
	for _, c := range cases {
		if b, ok := zipkinAsProto(c.input); ok {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p protoBuilder
		n, err := p.zipkinProto(b, testLimits(100))
		if err == nil {
			checkPayload(t, p.b, n)
		}
	})
}

// TestZipkinProtoAgreesWithJSON sends the cases of JSON, as far as protobuf can
// say them, as protobuf.
func TestZipkinProtoAgreesWithJSON(t *testing.T) {
	_, cases := readScenarios(t, "testdata/zipkin.txt")
	sent := 0
	for _, c := range cases {
		body, ok := zipkinAsProto(c.input)
		if !ok {
			continue
		}
		sent++
		t.Run(c.name, func(t *testing.T) {
			sink := new(recorder)
			s := start(t, Config{}, sink)
			got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().Zipkin+"/api/v2/spans", bytes.NewReader(body), "Content-Type", "application/x-protobuf")
			if got.status != http.StatusAccepted {
				t.Fatalf("answer %d %s", got.status, got.body)
			}
			text := "accepted, nothing to store"
			if len(sink.requests()) > 0 {
				text = strings.TrimSpace(dump(sink.one(t)))
			}
			if text != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", text, c.want)
			}
		})
	}
	if sent < 5 {
		t.Errorf("only %d cases can be said in protobuf", sent)
	}
}

// zipkinAsProto reads a list of spans with encoding/json and writes it with the
// numbers of zipkin.proto. What JSON cannot say rightly is not ok.
func zipkinAsProto(text string) (_ []byte, ok bool) {
	type endpoint struct {
		ServiceName, IPv4, IPv6 string
		Port                    uint64
	}
	var spans []struct {
		TraceID, ID, ParentID, Name, Kind string
		Timestamp, Duration               uint64
		LocalEndpoint, RemoteEndpoint     *endpoint
		Annotations                       []struct {
			Timestamp uint64
			Value     string
			Endpoint  any
		}
		Tags              map[string]string
		BinaryAnnotations any
		Debug, Shared     bool
	}
	if json.Unmarshal([]byte(text), &spans) != nil || text == "null" {
		return nil, false
	}
	var p protoBuilder
	ok = true
	id := func(field protowire.Number, v string, digits ...int) {
		b, err := hex.DecodeString(v)
		ok = ok && err == nil && slices.Contains(digits, len(v))
		p.bytes(field, b)
	}
	address := func(field protowire.Number, v string) {
		if v != "" {
			p.bytes(field, netip.MustParseAddr(v).AsSlice())
		}
	}
	to := func(field protowire.Number, e *endpoint) {
		if e != nil {
			m := p.open(field)
			p.string(1, e.ServiceName)
			address(2, e.IPv4)
			address(3, e.IPv6)
			p.varint(4, e.Port)
			p.close(m)
		}
	}
	kinds := []string{"", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"}
	for _, s := range spans {
		span := p.open(1)
		id(1, s.TraceID, 16, 32)
		id(2, s.ParentID, 0, 16)
		id(3, s.ID, 16)
		kind := slices.Index(kinds, s.Kind)
		ok = ok && kind >= 0 && s.BinaryAnnotations == nil
		p.varint(4, uint64(max(kind, 0)))
		p.string(5, s.Name)
		p.fixed64(6, s.Timestamp)
		p.varint(7, s.Duration)
		to(8, s.LocalEndpoint)
		to(9, s.RemoteEndpoint)
		for _, a := range s.Annotations {
			m := p.open(10)
			p.fixed64(1, a.Timestamp)
			p.string(2, a.Value)
			p.close(m)
			ok = ok && a.Endpoint == nil
		}
		for k, v := range s.Tags {
			m := p.open(11)
			p.string(1, k)
			p.string(2, v)
			p.close(m)
		}
		p.varint(12, protowire.EncodeBool(s.Debug))
		p.varint(13, protowire.EncodeBool(s.Shared))
		p.close(span)
	}
	return p.b, ok
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
