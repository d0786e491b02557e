package receive

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	model "github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestJaegerGRPCMapping(t *testing.T) {
	scenarios(t, "testdata/jaegergrpc.txt", func(t *testing.T, input string) string {
		sink := new(recorder)
		s := start(t, Config{}, sink)
		if err := postSpans(t, s.Addrs().JaegerGRPC, modelRequest(parseBatch(t, input))); err != nil {
			t.Fatal(err)
		}
		return dump(sink.one(t))
	})
}

// TestJaegerGRPCAgreesWithThrift sends the cases of thrift over gRPC.
func TestJaegerGRPCAgreesWithThrift(t *testing.T) {
	_, cases := readScenarios(t, "testdata/jaeger.txt")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			switch {
			case strings.Contains(c.name, "only in Jaeger's protobuf"):
				t.Skip("in protobuf they do mean something")
			case strings.Contains(c.name, "times out of range"):
				t.Skip("a Timestamp cannot say them")
			}
			sink := new(recorder)
			s := start(t, Config{}, sink)
			if err := postSpans(t, s.Addrs().JaegerGRPC, modelRequest(parseBatch(t, c.input))); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(dump(sink.one(t))); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// TestJaegerFormsAgree translates random batches from both wire forms.
func TestJaegerFormsAgree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		batch := randomBatch(rand.New(rand.NewPCG(seed, 1)))
		var thrift, proto protoBuilder
		if _, err := thrift.jaegerThrift(encodeThrift(t, compactThrift, batch), true, testLimits(1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := proto.jaegerProto(encodeModel(t, modelRequest(batch)), testLimits(1000)); err != nil {
			t.Fatal(err)
		}
		compareThrift(t, encodeThrift(t, compactThrift, batch), true, thrift.b, nil)
		a, b := dump(unmarshal(t, thrift.b)), dump(unmarshal(t, proto.b))
		if len(batch.Spans) == 0 {
			a = "" // protobuf has no resource without spans
		}
		if a != b {
			t.Fatalf("seed %d: thrift became\n%sprotobuf became\n%s", seed, a, b)
		}
	}
}

// randomBatch is made of what the rules speak of.
func randomBatch(r *rand.Rand) *jaeger.Batch {
	text := func(of ...string) *string { return &of[r.IntN(len(of))] }
	tags := func() (tags []*jaeger.Tag) {
		for range r.IntN(5) {
			n, d, b := int64(r.IntN(600)), r.Float64(), r.IntN(2) == 0
			tags = append(tags, &jaeger.Tag{
				Key: *text("a", "b", "error", "event", "span.kind", "otel.status_code", "otel.status_description", "http.status_code",
					"http.status_message", "hostname", "host.name", "jaeger.version", "service.name"),
				VType: jaeger.TagType(r.IntN(6)),
				VStr:  text("", "x", "server", "OK", "error", "404", "500"), VDouble: &d, VBool: &b, VLong: &n, VBinary: []byte("\x00\xff"),
			})
		}
		return tags
	}
	batch := &jaeger.Batch{Process: &jaeger.Process{ServiceName: *text("web", "db"), Tags: tags()}, Spans: []*jaeger.Span{}}
	for range []int{0, 1, 3, 20}[r.IntN(4)] {
		s := &jaeger.Span{
			TraceIdHigh: int64(r.IntN(2)), TraceIdLow: 1 + int64(r.IntN(2)), SpanId: 1 + int64(r.IntN(9)), ParentSpanId: int64(r.IntN(2)),
			OperationName: *text("", "op"), StartTime: int64(r.IntN(1 << 40)), Duration: int64(r.IntN(1<<40)) - 1<<20, Tags: tags(),
		}
		for range r.IntN(3) {
			s.References = append(s.References, &jaeger.SpanRef{
				RefType: jaeger.SpanRefType(r.IntN(3)), TraceIdHigh: int64(r.IntN(2)), TraceIdLow: int64(r.IntN(3)), SpanId: int64(r.IntN(3)),
			})
		}
		for range r.IntN(3) {
			fields := tags()
			if fields == nil {
				fields = []*jaeger.Tag{}
			}
			s.Logs = append(s.Logs, &jaeger.Log{Timestamp: int64(r.IntN(1 << 40)), Fields: fields})
		}
		batch.Spans = append(batch.Spans, s)
	}
	return batch
}

// TestJaegerGRPCProcessOfSpan: a span's own process comes before the batch's,
// and time is kept to the nanosecond.
func TestJaegerGRPCProcessOfSpan(t *testing.T) {
	t.Parallel()
	sink := new(recorder)
	s := start(t, Config{}, sink)
	span := func(id int, p *model.Process) *model.Span {
		return &model.Span{TraceID: model.NewTraceID(0, 1), SpanID: model.SpanID(id), OperationName: fmt.Sprint("op", id), Process: p, StartTime: time.Unix(1, 123456789), Duration: 1}
	}
	own := &model.Process{ServiceName: "own", Tags: []model.KeyValue{model.Int64("n", 7)}}
	err := postSpans(t, s.Addrs().JaegerGRPC, &api_v2.PostSpansRequest{Batch: model.Batch{
		Process: &model.Process{ServiceName: "batch"},
		Spans:   []*model.Span{span(1, nil), span(2, own), span(3, nil), span(4, own), span(5, &model.Process{ServiceName: "batch"})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const id, when = "trace=00000000000000000000000000000001 id=000000000000000", " UNSPECIFIED 1123456789..1123456790\n"
	const want = "resource service.name=\"batch\"\nspan \"op1\" " + id + "1" + when + "span \"op3\" " + id + "3" + when + "span \"op5\" " + id + "5" + when +
		"resource service.name=\"own\" n=7\nspan \"op2\" " + id + "2" + when + "span \"op4\" " + id + "4" + when
	if got := dump(sink.one(t)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestGRPCServicesShareListeners: OTLP and Jaeger at every port that takes gRPC.
func TestGRPCServicesShareListeners(t *testing.T) {
	t.Parallel()
	sink := new(recorder)
	s := start(t, Config{}, sink)
	jaegerRequest := modelRequest(parseBatch(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2"))
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
	good := encodeModel(t, modelRequest(parseBatch(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2\nspan op trace=0:1 id=3 parent=2 start=1 duration=2")))
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
		{name: "too many bytes in flight", payload: good, limits: Limits{InFlight: 10}, code: codes.ResourceExhausted, text: "hold more than 10 bytes", retry: time.Second},
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

// TestJaegerGRPCHostileSizes: two bytes must not become many.
func TestJaegerGRPCHostileSizes(t *testing.T) {
	many := func(field string, n int) []byte { return bytes.Repeat([]byte(field), n) }
	inBatch := func(spans ...[]byte) []byte {
		var p protoBuilder
		batch := p.open(1)
		for _, s := range spans {
			p.bytes(1, s)
		}
		p.close(batch)
		return p.b
	}
	var log protoBuilder
	log.bytes(2, many("\x12\x00", 1<<20))
	for name, body := range map[string][]byte{
		"empty tags":       inBatch(many("\x42\x00", 1<<20)),
		"empty references": inBatch(many("\x22\x00", 1<<20)),
		"empty fields":     inBatch(bytes.Replace(log.b, []byte{0x12}, []byte{0x4a}, 1)),
		"empty spans":      many("\x0a\x02\x0a\x00", 1<<20),
		"references in many spans": inBatch(func() (spans [][]byte) {
			for range 50 {
				spans = append(spans, many("\x22\x02\x18\x01", 1<<15)) // FOLLOWS_FROM nothing
			}
			return spans
		}()...),
	} {
		limits := newIntake(Config{Limits: Limits{Spans: 1000, Decompressed: 4 << 20}}, nil).newBudget()
		allocated := allocatedBy(func() {
			if _, err := new(protoBuilder).jaegerProto(body, limits); err == nil {
				t.Errorf("%s: accepted", name)
			}
		})
		if allocated > 40<<20 {
			t.Errorf("%s: allocated %d bytes for %d", name, allocated, len(body))
		}
	}
}

func TestMoments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		start, duration moment
		want            uint64
	}{
		{moment{1, 5}, moment{0, 0}, 1_000_000_005},
		{moment{1, 999_999_999}, moment{0, 2}, 2_000_000_001},
		{moment{2, 1}, moment{0, -2}, 1_999_999_999},
		{moment{2, 1}, moment{-1, -2}, 999_999_999},
		{moment{0, 1}, moment{0, -2}, 0},
		{moment{-1, 0}, moment{0, 0}, 0},
		{moment{1 << 40, 0}, moment{0, 0}, math.MaxUint64},
		{moment{18_446_744_073, 0}, moment{0, 0}, math.MaxUint64},
		{moment{18_446_744_072, 999_999_999}, moment{0, 0}, 18_446_744_072_999_999_999},
	} {
		if got := c.start.plus(c.duration).nanos(); got != c.want {
			t.Errorf("%v + %v = %d, want %d", c.start, c.duration, got, c.want)
		}
	}
}

func FuzzJaegerGRPC(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeModel(f, modelRequest(parseBatch(f, "service a\nprocess hostname=\"h\"\nspan op trace=1:1 id=2 parent=7 start=1 duration=2\ntag error=true n=1 d=1.5 b=0x01 otel.scope.name=\"s\"\nref child_of 1:1 7\nlog 5 event=\"e\""))))
	f.Add([]byte("\x0a\x06\x0a\x04\x52\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out protoBuilder
		n, err := out.jaegerProto(b, testLimits(100))
		if err == nil {
			checkPayload(t, out.b, n)
		}
		compareModel(t, b, out.b, err)
	})
}

// compareModel asks upstream's decoder: what it takes, ours takes when it is
// written the usual way, and finds the same in it.
func compareModel(t *testing.T, body, got []byte, err error) {
	t.Helper()
	var req api_v2.PostSpansRequest
	if req.Unmarshal(bytes.Clone(body)) != nil || len(req.Batch.Spans) > 100 {
		return
	}
	for _, s := range req.Batch.Spans {
		if s.StartTime.Unix() < 0 {
			return // upstream does not tell absent from far past
		}
	}
	if err != nil {
		forgetUnknown(&req)
		again, encodeErr := req.Marshal()
		if encodeErr != nil {
			return
		}
		var p protoBuilder
		if _, err := p.jaegerProto(again, testLimits(100)); err != nil {
			t.Fatalf("refused what upstream takes: %v", err)
		}
		got = p.b
	}
	if a, b := dump(unmarshal(t, got)), dump(unmarshal(t, upstreamModel(&req))); a != b {
		t.Fatalf("%v became\n%swant\n%s", &req, a, b)
	}
}

// forgetUnknown removes what upstream would write again unread.
func forgetUnknown(req *api_v2.PostSpansRequest) {
	tags := func(kvs []model.KeyValue) {
		for i := range kvs {
			kvs[i].XXX_unrecognized = nil
		}
	}
	process := func(p *model.Process) {
		if p != nil {
			p.XXX_unrecognized = nil
			tags(p.Tags)
		}
	}
	req.XXX_unrecognized, req.Batch.XXX_unrecognized = nil, nil
	process(req.Batch.Process)
	for _, s := range req.Batch.Spans {
		s.XXX_unrecognized = nil
		process(s.Process)
		tags(s.Tags)
		for i := range s.References {
			s.References[i].XXX_unrecognized = nil
		}
		for i := range s.Logs {
			s.Logs[i].XXX_unrecognized = nil
			tags(s.Logs[i].Fields)
		}
	}
}

// upstreamModel writes what upstream's objects say, by the same rules.
func upstreamModel(req *api_v2.PostSpansRequest) []byte {
	var g spanGroups
	processes := map[string]*model.Process{}
	for _, u := range req.Batch.Spans {
		process := u.Process
		if process == nil {
			process = req.Batch.Process
		}
		key := ""
		if process != nil {
			b, _ := process.Marshal()
			key = string(b)
		}
		processes[key] = process
		begin := moment{u.StartTime.Unix(), int64(u.StartTime.Nanosecond())}
		s := jaegerSpan{
			traceHigh: u.TraceID.High, traceLow: u.TraceID.Low, id: uint64(u.SpanID), name: u.OperationName,
			start: begin.nanos(), end: begin.plus(moment{0, int64(u.Duration)}).nanos(), tags: uniqueTags(modelTags(u.Tags)),
		}
		for _, ref := range u.References {
			s.refs = append(s.refs, jaegerRef{int32(ref.RefType), ref.TraceID.High, ref.TraceID.Low, uint64(ref.SpanID)})
		}
		for _, l := range u.Logs {
			s.events.jaegerLog(moment{l.Timestamp.Unix(), int64(l.Timestamp.Nanosecond())}.nanos(), modelTags(l.Fields))
		}
		sc := s.takeScope()
		state := s.takeTag("w3c.tracestate")
		g.of(key, sc).jaegerSpan(&s, state)
	}
	var p protoBuilder
	_ = g.write(&p, func(key string) error {
		if process := processes[key]; process != nil {
			p.jaegerProcess(process.ServiceName, modelTags(process.Tags))
		}
		return nil
	})
	return p.b
}

func modelTags(tags []model.KeyValue) []jaegerTag {
	var out []*jaeger.Tag
	for _, u := range tags {
		n, d, b, s := u.VInt64, u.VFloat64, u.VBool, u.VStr
		out = append(out, &jaeger.Tag{Key: u.Key, VType: thriftTypes(u.VType), VStr: &s, VDouble: &d, VBool: &b, VLong: &n, VBinary: u.VBinary})
	}
	return upstreamTags(out)
}

// The types of tags have other numbers in thrift than in protobuf.
var modelTypes = map[jaeger.TagType]model.ValueType{
	jaeger.TagType_STRING: model.StringType, jaeger.TagType_DOUBLE: model.Float64Type, jaeger.TagType_BOOL: model.BoolType,
	jaeger.TagType_LONG: model.Int64Type, jaeger.TagType_BINARY: model.BinaryType,
}

func thriftTypes(v model.ValueType) jaeger.TagType {
	for t, m := range modelTypes {
		if m == v {
			return t
		}
	}
	return jaeger.TagType(v)
}

// modelRequest is a thrift batch in protobuf, as Jaeger's agents made it: the
// parent is the first reference.
func modelRequest(b *jaeger.Batch) *api_v2.PostSpansRequest {
	req := &api_v2.PostSpansRequest{Batch: model.Batch{Process: &model.Process{ServiceName: b.Process.ServiceName, Tags: modelKeyValues(b.Process.Tags)}}}
	for _, s := range b.Spans {
		m := &model.Span{
			TraceID: model.NewTraceID(uint64(s.TraceIdHigh), uint64(s.TraceIdLow)), SpanID: model.SpanID(s.SpanId), OperationName: s.OperationName,
			Flags: model.Flags(s.Flags), StartTime: time.UnixMicro(s.StartTime).UTC(), Duration: time.Duration(s.Duration) * time.Microsecond, Tags: modelKeyValues(s.Tags),
		}
		if s.ParentSpanId != 0 {
			m.References = []model.SpanRef{model.NewChildOfRef(m.TraceID, model.SpanID(s.ParentSpanId))}
		}
		for _, r := range s.References {
			m.References = append(m.References, model.SpanRef{RefType: model.SpanRefType(r.RefType), TraceID: model.NewTraceID(uint64(r.TraceIdHigh), uint64(r.TraceIdLow)), SpanID: model.SpanID(r.SpanId)})
		}
		for _, l := range s.Logs {
			m.Logs = append(m.Logs, model.Log{Timestamp: time.UnixMicro(l.Timestamp).UTC(), Fields: modelKeyValues(l.Fields)})
		}
		req.Batch.Spans = append(req.Batch.Spans, m)
	}
	return req
}

func modelKeyValues(tags []*jaeger.Tag) []model.KeyValue {
	var out []model.KeyValue
	for _, t := range tags {
		typ, known := modelTypes[t.VType]
		if !known {
			typ = model.ValueType(t.VType)
		}
		out = append(out, model.KeyValue{Key: t.Key, VType: typ, VStr: t.GetVStr(), VBool: t.GetVBool(), VInt64: t.GetVLong(), VFloat64: t.GetVDouble(), VBinary: t.VBinary})
	}
	return out
}

func encodeModel(t testing.TB, req *api_v2.PostSpansRequest) []byte {
	t.Helper()
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func postSpans(t *testing.T, addr string, req *api_v2.PostSpansRequest) error {
	t.Helper()
	return postBytes(t, addr, encodeModel(t, req))
}

func postBytes(t *testing.T, addr string, payload []byte) error {
	t.Helper()
	return dial(t, addr).Invoke(t.Context(), "/"+jaegerCollection+"/PostSpans", payload, new([]byte), grpc.ForceCodecV2(rawClient{}))
}
