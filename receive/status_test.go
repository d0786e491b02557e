package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"etude/internal/wire"
)

// The kinds of error a Sink may return.

type invalidSpans struct{}

func (invalidSpans) Error() string      { return "trace id is zero" }
func (invalidSpans) InvalidSpans() bool { return true }

type comeBack struct{}

func (comeBack) Error() string             { return "busy" }
func (comeBack) RetryAfter() time.Duration { return 1500 * time.Millisecond }

type diskFull struct{}

func (diskFull) Error() string             { return "disk is full" }
func (diskFull) RetryAfter() time.Duration { return 5 * time.Second }
func (diskFull) Unavailable() bool         { return true }

var sinkErrors = []struct {
	err        error
	code       codes.Code
	status     int
	text       string
	retry      time.Duration
	retryAfter string
}{
	{invalidSpans{}, codes.InvalidArgument, 400, "trace id is zero", 0, ""},
	{fmt.Errorf("append: %w", invalidSpans{}), codes.InvalidArgument, 400, "append: trace id is zero", 0, ""},
	{comeBack{}, codes.ResourceExhausted, 429, "busy", 1500 * time.Millisecond, "2"},
	{diskFull{}, codes.Unavailable, 503, "disk is full", 5 * time.Second, "5"},
	{errors.New("secret path"), codes.Internal, 500, "internal error", 0, ""},
}

func TestSinkErrorsOverGRPC(t *testing.T) {
	t.Parallel()
	for _, c := range sinkErrors {
		s := start(t, Config{}, &recorder{answer: func(context.Context) error { return c.err }})
		_, err := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC)).Export(t.Context(), request(1))
		st := status.Convert(err)
		if st.Code() != c.code || !strings.Contains(st.Message(), c.text) {
			t.Errorf("%v: got %v", c.err, err)
		}
		checkRetry(t, st, c.retry)
		if got := s.Stats().Counts().Protocols[0]; got.Requests != 0 || got.Spans != 0 {
			t.Errorf("%v: counted as accepted", c.err)
		}
	}
}

func checkRetry(t *testing.T, st *status.Status, want time.Duration) {
	t.Helper()
	var got time.Duration
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			got = info.RetryDelay.AsDuration()
		}
	}
	if got != want {
		t.Errorf("%v: retry delay %v, want %v", st, got, want)
	}
}

// decodeStatus reads an error body in either encoding with Google's types.
func decodeStatus(t *testing.T, media string, r reply) *status.Status {
	t.Helper()
	st := new(rpc.Status)
	var err error
	if media == typeJSON {
		err = protojson.Unmarshal([]byte(r.body), st)
	} else {
		err = proto.Unmarshal([]byte(r.body), st)
	}
	if err != nil || r.header.Get("Content-Type") != media {
		t.Fatalf("error body %q of type %s is not a google.rpc.Status: %v", r.body, r.header.Get("Content-Type"), err)
	}
	return status.FromProto(st)
}

func TestSinkErrorsOverHTTP(t *testing.T) {
	t.Parallel()
	bodies := map[string][]byte{
		typeProtobuf: marshal(t, request(1)),
		typeJSON:     []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]}`),
	}
	for _, c := range sinkErrors {
		for media, body := range bodies {
			s := start(t, Config{}, &recorder{answer: func(context.Context) error { return c.err }})
			got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, bytes.NewReader(body), "Content-Type", media)
			if got.status != c.status || got.header.Get("Retry-After") != c.retryAfter {
				t.Errorf("%v %s: answer %d %v", c.err, media, got.status, got.header)
			}
			st := decodeStatus(t, media, got)
			if st.Code() != c.code || !strings.Contains(st.Message(), c.text) {
				t.Errorf("%v %s: got %v", c.err, media, st)
			}
			checkRetry(t, st, c.retry)
		}
	}
}

func TestHTTPRefusals(t *testing.T) {
	t.Parallel()
	good := string(marshal(t, request(3)))
	for _, c := range []struct {
		name, method, path, contentType, encoding, body string
		limits                                          Limits
		status                                          int
		code                                            codes.Code // OK: a plain text answer
		text                                            string
		reason                                          string
	}{
		{name: "no content type", body: good, status: 415, text: "application/x-protobuf or application/json", reason: "unsupported"},
		{name: "application/protobuf", contentType: "application/protobuf", body: good, status: 415, text: `"application/protobuf" is not supported`, reason: "unsupported"},
		{name: "GET", method: "GET", contentType: typeJSON, status: 405, text: "POST", reason: "unsupported"},
		{name: "root path", path: "/", contentType: typeJSON, status: 404, text: "/v1/traces"},
		{name: "profiles", path: "/v1development/profiles", contentType: typeJSON, status: 404, text: "OTEL_PROFILES_EXPORTER=none"},
		{name: "bad protobuf", contentType: typeProtobuf, body: "\x0a\x05abc", status: 400, code: codes.InvalidArgument, text: "not an OTLP trace request", reason: "malformed"},
		{name: "bad nested protobuf", contentType: typeProtobuf, body: "\x0a\x02\x12\x05", status: 400, code: codes.InvalidArgument, text: "of resource_spans", reason: "malformed"},
		{name: "bad JSON", contentType: typeJSON, body: `{"resourceSpans":[`, status: 400, code: codes.InvalidArgument, reason: "malformed"},
		{name: "bad id", contentType: typeJSON, body: `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"AQI="}]}]}]}`, status: 400, code: codes.InvalidArgument, text: "trace", reason: "malformed"},
		{name: "unknown encoding", contentType: typeJSON, encoding: "br", body: "x", status: 400, code: codes.InvalidArgument, text: `Content-Encoding "br" is not supported`, reason: "unsupported"},
		{name: "lz4", contentType: typeProtobuf, encoding: "lz4", body: "x", status: 400, code: codes.InvalidArgument, text: `Content-Encoding "lz4" is not supported`, reason: "unsupported"},
		{name: "announced too large", contentType: typeProtobuf, body: good, limits: Limits{Body: 10}, status: 400, code: codes.InvalidArgument, text: "limit of 10 bytes", reason: "too_large"},
		{name: "too many spans", contentType: typeProtobuf, body: good, limits: Limits{Spans: 2}, status: 400, code: codes.InvalidArgument, text: "3 spans, the limit is 2", reason: "too_large"},
		{name: "too large for all in flight", contentType: typeProtobuf, body: good, limits: Limits{InFlight: 10}, status: 400, code: codes.InvalidArgument, text: "more than 10 bytes", reason: "too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink := new(recorder)
			s := start(t, Config{Limits: c.limits}, sink)
			method, path := http.MethodPost, traces.path
			if c.method != "" {
				method = c.method
			}
			if c.path != "" {
				path = c.path
			}
			got := send(t, client(t), method, "http://"+s.Addrs().OTLPHTTP+path, strings.NewReader(c.body), "Content-Type", c.contentType, "Content-Encoding", c.encoding)
			text := got.body
			if c.code != codes.OK {
				st := decodeStatus(t, c.contentType, got)
				if st.Code() != c.code {
					t.Errorf("code %v, want %v", st.Code(), c.code)
				}
				text = st.Message()
			}
			if got.status != c.status || !strings.Contains(text, c.text) {
				t.Errorf("answer %d %q, want %d with %q", got.status, text, c.status, c.text)
			}
			if c.reason != "" && s.Stats().Counts().Protocols[1].Refused[c.reason] != 1 {
				t.Errorf("counted %v, want one of %s", s.Stats().Counts().Protocols[1].Refused, c.reason)
			}
			if len(sink.requests()) != 0 {
				t.Error("the Sink got a refused request")
			}
		})
	}
}

// TestRefusedSpansAreCounted: those of requests that could be read so far.
func TestRefusedSpansAreCounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		limits     Limits
		answer     error
		reason     string
		spans      uint64
	}{
		{name: "too many", body: string(marshal(t, request(3))), limits: Limits{Spans: 2}, reason: "too_large", spans: 3},
		{name: "the Sink fails", body: string(marshal(t, request(4))), answer: errors.New("broken"), reason: "internal", spans: 4},
		{name: "malformed", body: "\x0a\x05abc", reason: "malformed"},
		{name: "none", body: ""},
	} {
		s := start(t, Config{Limits: c.limits}, &recorder{answer: func(context.Context) error { return c.answer }})
		send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, strings.NewReader(c.body), "Content-Type", typeProtobuf)
		for reason, n := range s.Stats().Counts().Protocols[1].RefusedSpans {
			want := uint64(0)
			if reason == c.reason {
				want = c.spans
			}
			if n != want {
				t.Errorf("%s: %d spans refused as %s, want %d", c.name, n, reason, want)
			}
		}
	}
}

// TestUnannouncedBodyIsBounded sends chunks without an end.
func TestUnannouncedBodyIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Limits: Limits{Body: 100_000}}, new(recorder))
	endless := struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 200_000))}
	got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, struct{ *onlyReader }{&onlyReader{endless.Reader}}, "Content-Type", typeJSON)
	if got.status != 400 || !strings.Contains(got.body, "limit of 100000 bytes") {
		t.Errorf("answer %d %q", got.status, got.body)
	}
}

// onlyReader hides the length of a body from net/http.
type onlyReader struct{ r *strings.Reader }

func (o *onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }

// rawClient sends bytes as a gRPC message.
type rawClient struct{ encoding.CodecV2 }

func (rawClient) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawClient) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawClient) Name() string                         { return "proto" }

func invoke(t testing.TB, s *Server, method string, payload []byte) error {
	t.Helper()
	return dial(t, s.Addrs().OTLPGRPC).Invoke(t.Context(), "/"+traces.service+"/"+method, payload, new([]byte), grpc.ForceCodecV2(rawClient{}))
}

func TestGRPCRefusals(t *testing.T) {
	t.Parallel()
	good := marshal(t, request(3))
	for _, c := range []struct {
		name, method string
		payload      []byte
		limits       Limits
		code         codes.Code
		text, reason string
		retry        time.Duration
	}{
		{"not protobuf", "Export", []byte("hello"), Limits{}, codes.InvalidArgument, "not an OTLP trace request", "malformed", 0},
		{"too large", "Export", good, Limits{Decompressed: 100}, codes.ResourceExhausted, "larger than max", "too_large", 0},
		{"too many spans", "Export", good, Limits{Spans: 2}, codes.InvalidArgument, "3 spans, the limit is 2", "too_large", 0},
		{"too large for all in flight", "Export", good, Limits{InFlight: 10, RetryDelay: 3 * time.Second}, codes.InvalidArgument, "more than 10 bytes", "too_large", 0},
		{"unknown method", "Import", good, Limits{}, codes.Unimplemented, "Import", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink := new(recorder)
			s := start(t, Config{Limits: c.limits}, sink)
			err := invoke(t, s, c.method, c.payload)
			st := status.Convert(err)
			if st.Code() != c.code || !strings.Contains(st.Message(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.code, c.text)
			}
			checkRetry(t, st, c.retry)
			if c.reason != "" {
				eventually(t, "counted as "+c.reason, func() bool { return s.Stats().Counts().Protocols[0].Refused[c.reason] == 1 })
			}
			if len(sink.requests()) != 0 {
				t.Error("the Sink got a refused request")
			}
		})
	}
}

// TestTooManyRequests fills the gate with one slow request per protocol.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	sink := &recorder{answer: func(context.Context) error { entered <- struct{}{}; <-release; return nil }}
	s := start(t, Config{Limits: Limits{Requests: 1, RetryDelay: 2 * time.Second}}, sink)
	first := make(chan error, 1)
	go func() {
		_, err := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC)).Export(context.Background(), request(1))
		first <- err
	}()
	<-entered

	_, err := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPHTTP)).Export(t.Context(), request(1))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gRPC: %v", err)
	}
	checkRetry(t, status.Convert(err), 2*time.Second)
	for _, url := range []string{s.Addrs().OTLPHTTP + traces.path, s.Addrs().Zipkin + "/api/v2/spans", s.Addrs().Jaeger + "/api/traces"} {
		media := typeJSON
		if strings.HasSuffix(url, "/api/traces") {
			media = "application/x-thrift"
		}
		got := send(t, client(t), http.MethodPost, "http://"+url, strings.NewReader("[]"), "Content-Type", media)
		if got.status != 429 || got.header.Get("Retry-After") != "2" {
			t.Errorf("%s: answer %d %v %s", url, got.status, got.header, got.body)
		}
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	eventually(t, "nothing in flight", func() bool {
		c := s.Stats().Counts()
		return c.InFlight == 0 && c.InFlightBytes == 0
	})
}

func TestStatusJSONForm(t *testing.T) {
	t.Parallel()
	r := refuse(overloaded, "a \"quoted\" <text>")
	r.retry = 1500 * time.Millisecond
	var got map[string]any
	if err := json.Unmarshal(statusJSON(r), &got); err != nil {
		t.Fatal(err)
	}
	if got["code"] != 8.0 || got["message"] != `a "quoted" <text>` || !strings.Contains(string(statusJSON(r)), `"retryDelay":"1.5s"`) {
		t.Errorf("got %s", statusJSON(r))
	}
}

// TestTranslationsAreBounded: what another protocol becomes is held as OTLP is,
// refused past the limits, and given back.
func TestTranslationsAreBounded(t *testing.T) {
	t.Parallel()
	// A reference of 4 bytes becomes a link of more than ten times that.
	var links wire.Builder
	batch := links.Open(1)
	links.Bytes(1, bytes.Repeat([]byte("\x22\x02\x18\x01"), 2500))
	links.Close(batch)
	for _, c := range []struct {
		limits Limits
		code   codes.Code
		text   string
	}{
		{Limits{}, codes.OK, ""},
		{Limits{Decompressed: 50_000}, codes.InvalidArgument, "limit of 50000 bytes as OTLP"},
		{Limits{InFlight: 50_000}, codes.InvalidArgument, "more than 50000 bytes"},
	} {
		s := start(t, Config{Limits: c.limits}, new(recorder))
		err := postBytes(t, s.Addrs().JaegerGRPC, links.B)
		if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.text) {
			t.Errorf("%+v: got %v", c.limits, err)
		}
		eventually(t, "nothing held", func() bool { return s.Stats().Counts().InFlightBytes == 0 })
	}
}
