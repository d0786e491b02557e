package receive

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etude/receive/jaeger/jaegertest"
)

// TestGRPCServicesShareListeners: OTLP and Jaeger at every port that takes gRPC.
func TestGRPCServicesShareListeners(t *testing.T) {
	t.Parallel()
	sink := new(recorder)
	s := start(t, Config{}, sink)
	jaegerRequest := jaegertest.Request(jaegertest.Parse(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2"))
	for i, addr := range []string{s.Addrs().OTLPGRPC, s.Addrs().OTLPHTTP, s.Addrs().JaegerGRPC} {
		if err := postSpans(t, addr, jaegerRequest); err != nil {
			t.Errorf("Jaeger to port %d: %v", i, err)
		}
		err := dial(t, addr).Invoke(t.Context(), exportPath, marshal(t, request(2)), new([]byte), grpc.ForceCodecV2(rawClient{}))
		if err != nil {
			t.Errorf("OTLP to port %d: %v", i, err)
		}
	}
	spans := map[Protocol]uint64{}
	for _, p := range s.Stats().Counts().Protocols {
		spans[p.Protocol] = p.Spans
	}
	if spans[JaegerGRPC] != 3 || spans[OTLPGRPC] != 6 || len(sink.requests()) != 6 {
		t.Errorf("counted %v", spans)
	}
}

func TestJaegerGRPCRefusals(t *testing.T) {
	t.Parallel()
	good := jaegertest.Proto(t, jaegertest.Request(jaegertest.Parse(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2\nspan op trace=0:1 id=3 parent=2 start=1 duration=2")))
	for _, c := range []struct {
		name    string
		payload []byte
		sink    error
		limits  Limits
		code    codes.Code
		text    string
		retry   time.Duration
	}{
		{name: "garbage", payload: []byte("hello"), code: codes.InvalidArgument, text: "not a Jaeger PostSpansRequest"},
		{name: "cut off", payload: []byte("\x0a\x04\x0a\x02\x0a\x09"), code: codes.InvalidArgument, text: "span 0: "},
		{name: "short trace id", payload: []byte("\x0a\x05\x0a\x03\x0a\x01a"), code: codes.InvalidArgument, text: "span 0: field 1: trace id of 1 bytes"},
		{name: "bad ids", payload: good, sink: invalidSpans{}, code: codes.InvalidArgument, text: "trace id is zero"},
		{name: "overload", payload: good, sink: comeBack{}, code: codes.ResourceExhausted, text: "busy", retry: 1500 * time.Millisecond},
		{name: "full disk", payload: good, sink: diskFull{}, code: codes.Unavailable, text: "disk is full", retry: 5 * time.Second},
		{name: "broken store", payload: good, sink: fmt.Errorf("secret path"), code: codes.Internal, text: "internal error"},
		{name: "too many spans", payload: good, limits: Limits{Spans: 1}, code: codes.InvalidArgument, text: "limit of 1 spans"},
		{name: "too large", payload: good, limits: Limits{Decompressed: 100}, code: codes.ResourceExhausted, text: "larger than max"},
		{name: "too large for all in flight", payload: good, limits: Limits{InFlight: 10}, code: codes.InvalidArgument, text: "more than 10 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Limits: c.limits}, &recorder{answer: func(context.Context) error { return c.sink }})
			err := postBytes(t, s.Addrs().JaegerGRPC, c.payload)
			st := status.Convert(err)
			if st.Code() != c.code || !strings.Contains(st.Message(), c.text) || strings.Contains(st.Message(), "secret") {
				t.Errorf("got %v, want %v with %q", err, c.code, c.text)
			}
			checkRetry(t, st, c.retry)
			eventually(t, "counted", func() bool {
				var refused uint64
				for _, n := range s.Stats().Counts().Protocols[3].Refused {
					refused += n
				}
				return refused == 1
			})
		})
	}
}

func postSpans(t *testing.T, addr string, req *api_v2.PostSpansRequest) error {
	t.Helper()
	return postBytes(t, addr, jaegertest.Proto(t, req))
}

func postBytes(t *testing.T, addr string, payload []byte) error {
	t.Helper()
	return dial(t, addr).Invoke(t.Context(), "/"+jaegerCollection+"/PostSpans", payload, new([]byte), grpc.ForceCodecV2(rawClient{}))
}
