package receive

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// TestPartialSuccess sends a request of which the Sink leaves out a part, or all.
func TestPartialSuccess(t *testing.T) {
	t.Parallel()
	for _, rejected := range []int{1, 3} {
		stats := new(Stats)
		s := start(t, Config{Stats: stats}, &recorder{reject: Rejected{Spans: rejected, Reason: `spans[1].trace_id: "short"`}})
		want := &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{
			RejectedSpans: int64(rejected), ErrorMessage: `spans[1].trace_id: "short"`}}
		check := func(way string, got *collector.ExportTraceServiceResponse) {
			if !proto.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", way, got, want)
			}
		}
		got, err := collector.NewTraceServiceClient(dial(t, s.Addrs().OTLPGRPC)).Export(t.Context(), request(3))
		if err != nil {
			t.Fatal(err)
		}
		check("gRPC", got)
		for _, media := range []string{typeProtobuf, typeJSON} {
			body, decode := marshal(t, request(3)), proto.Unmarshal
			if media == typeJSON {
				body, decode = []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{},{},{}]}]}]}`), protojson.Unmarshal
			}
			r := send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+traces.path, bytes.NewReader(body), "Content-Type", media)
			got := new(collector.ExportTraceServiceResponse)
			if err := decode([]byte(r.body), got); err != nil || r.status != http.StatusOK {
				t.Fatalf("%s: %d %q, %v", media, r.status, r.body, err)
			}
			check(media, got)
		}
		var spans, left uint64
		for _, p := range stats.Counts().Protocols {
			spans, left = spans+p.Spans, left+p.Rejected
		}
		if left != uint64(3*rejected) || spans != 9-left {
			t.Errorf("counted %d spans, %d rejected", spans, left)
		}
	}
}

// TestProtocolsWithoutPartialSuccess: a request whose spans are all left out is
// refused, since its answer could not say so otherwise.
func TestProtocolsWithoutPartialSuccess(t *testing.T) {
	t.Parallel()
	body := `[{"traceId":"0000000000000001","id":"0000000000000001","timestamp":1,"duration":1},{"traceId":"0000000000000002","id":"0000000000000002","timestamp":1,"duration":1}]`
	for rejected, status := range map[int]int{1: http.StatusAccepted, 2: http.StatusBadRequest} {
		s := start(t, Config{}, &recorder{reject: Rejected{Spans: rejected, Reason: "the reason"}})
		r := send(t, client(t), http.MethodPost, "http://"+s.Addrs().Zipkin+"/api/v2/spans", strings.NewReader(body), "Content-Type", typeJSON)
		if r.status != status || status != http.StatusAccepted && r.body != "the reason\n" {
			t.Errorf("%d of 2 rejected: %d %q, want %d", rejected, r.status, r.body, status)
		}
	}
}
