package jaeger

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	model "github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"

	"etude/internal/spantest"
	"etude/receive/jaeger/jaegertest"
	"etude/receive/spans"
)

func TestProtoMapping(t *testing.T) {
	spantest.Run(t, "testdata/proto.txt", func(t *testing.T, input string) string {
		got, err := FromProto(nil, jaegertest.Proto(t, jaegertest.Request(jaegertest.Parse(t, input))), spans.Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		return spantest.Text(t, got)
	})
}

// TestProtoAgreesWithThrift translates the cases of thrift from protobuf.
func TestProtoAgreesWithThrift(t *testing.T) {
	_, cases := spantest.Cases(t, "testdata/thrift.txt")
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			switch {
			case strings.Contains(c.Name, "only in Jaeger's protobuf"):
				t.Skip("in protobuf they do mean something")
			case strings.Contains(c.Name, "times out of range"):
				t.Skip("a Timestamp cannot say them")
			}
			out, err := FromProto(nil, jaegertest.Proto(t, jaegertest.Request(jaegertest.Parse(t, c.Input))), spans.Bounds{})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(spantest.Text(t, out)); got != c.Want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.Want)
			}
		})
	}
}

// TestFormsAgree translates random batches from both wire forms.
func TestFormsAgree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		batch := randomBatch(rand.New(rand.NewPCG(seed, 1)))
		thrift, err := FromThrift(nil, jaegertest.Thrift(t, jaegertest.Compact, batch), true, spans.Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		proto, err := FromProto(nil, jaegertest.Proto(t, jaegertest.Request(batch)), spans.Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		compareThrift(t, jaegertest.Thrift(t, jaegertest.Compact, batch), true, thrift, nil)
		a, b := spantest.Text(t, thrift), spantest.Text(t, proto)
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

// TestProtoProcessOfSpan: a span's own process comes before the batch's,
// and time is kept to the nanosecond.
func TestProtoProcessOfSpan(t *testing.T) {
	t.Parallel()
	span := func(id int, p *model.Process) *model.Span {
		return &model.Span{TraceID: model.NewTraceID(0, 1), SpanID: model.SpanID(id), OperationName: fmt.Sprint("op", id), Process: p, StartTime: time.Unix(1, 123456789), Duration: 1}
	}
	own := &model.Process{ServiceName: "own", Tags: []model.KeyValue{model.Int64("n", 7)}}
	out, err := FromProto(nil, jaegertest.Proto(t, &api_v2.PostSpansRequest{Batch: model.Batch{
		Process: &model.Process{ServiceName: "batch"},
		Spans:   []*model.Span{span(1, nil), span(2, own), span(3, nil), span(4, own), span(5, &model.Process{ServiceName: "batch"})},
	}}), spans.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	const id, when = "trace=00000000000000000000000000000001 id=000000000000000", " UNSPECIFIED 1123456789..1123456790\n"
	const want = "resource service.name=\"batch\"\nspan \"op1\" " + id + "1" + when + "span \"op3\" " + id + "3" + when + "span \"op5\" " + id + "5" + when +
		"resource service.name=\"own\" n=7\nspan \"op2\" " + id + "2" + when + "span \"op4\" " + id + "4" + when
	if got := spantest.Text(t, out); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestProtoHostileSizes: two bytes must not become many.
func TestProtoHostileSizes(t *testing.T) {
	many := func(field string, n int) []byte { return bytes.Repeat([]byte(field), n) }
	inBatch := func(all ...[]byte) []byte {
		var p spans.Writer
		batch := p.Open(1)
		for _, s := range all {
			p.Bytes(1, s)
		}
		p.Close(batch)
		return p.B
	}
	var log spans.Writer
	log.Bytes(2, many("\x12\x00", 1<<20))
	for name, body := range map[string][]byte{
		"empty tags":       inBatch(many("\x42\x00", 1<<20)),
		"empty references": inBatch(many("\x22\x00", 1<<20)),
		"empty fields":     inBatch(bytes.Replace(log.B, []byte{0x12}, []byte{0x4a}, 1)),
		"empty spans":      many("\x0a\x02\x0a\x00", 1<<20),
		"references in many spans": inBatch(func() (all [][]byte) {
			for range 50 {
				all = append(all, many("\x22\x02\x18\x01", 1<<15)) // FOLLOWS_FROM nothing
			}
			return all
		}()...),
	} {
		bounds := spans.Bounds{Spans: 1000, Grow: func(n int) error {
			if n > 4<<20 {
				return errors.New("too many bytes")
			}
			return nil
		}}
		allocated := spantest.AllocatedBy(func() {
			if _, err := FromProto(nil, body, bounds); err == nil {
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

func FuzzProto(f *testing.F) {
	f.Add([]byte{})
	f.Add(jaegertest.Proto(f, jaegertest.Request(jaegertest.Parse(f, "service a\nprocess hostname=\"h\"\nspan op trace=1:1 id=2 parent=7 start=1 duration=2\ntag error=true n=1 d=1.5 b=0x01 otel.scope.name=\"s\"\nref child_of 1:1 7\nlog 5 event=\"e\""))))
	f.Add([]byte("\x0a\x06\x0a\x04\x52\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := FromProto(nil, b, spans.Bounds{Spans: 100})
		if err == nil {
			spantest.Unmarshal(t, out)
		}
		compareModel(t, b, out, err)
	})
}

// compareModel asks upstream's decoder: a message that it accepts, ours accepts when it is
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
		if got, err = FromProto(nil, again, spans.Bounds{Spans: 100}); err != nil {
			t.Fatalf("refused what upstream takes: %v", err)
		}
	}
	if a, b := spantest.Text(t, got), spantest.Text(t, upstreamModel(&req)); a != b {
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
	var g spans.Groups
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
		s := span{
			traceHigh: u.TraceID.High, traceLow: u.TraceID.Low, id: uint64(u.SpanID), name: u.OperationName,
			start: begin.nanos(), end: begin.plus(moment{0, int64(u.Duration)}).nanos(), tags: uniqueTags(modelTags(u.Tags)),
		}
		for _, r := range u.References {
			s.refs = append(s.refs, ref{int32(r.RefType), r.TraceID.High, r.TraceID.Low, uint64(r.SpanID)})
		}
		for _, l := range u.Logs {
			writeLog(&s.events, moment{l.Timestamp.Unix(), int64(l.Timestamp.Nanosecond())}.nanos(), modelTags(l.Fields))
		}
		sc := s.removeScope()
		state := s.removeTag("w3c.tracestate")
		g.Add(key, sc, func(w *spans.Writer) { writeSpan(w, &s, state) })
	}
	var p spans.Writer
	_ = g.Write(&p, func(key string) error {
		if process := processes[key]; process != nil {
			writeProcess(&p, process.ServiceName, modelTags(process.Tags))
		}
		return nil
	})
	return p.B
}

func modelTags(tags []model.KeyValue) []tag {
	var out []*jaeger.Tag
	for _, u := range tags {
		n, d, b, s := u.VInt64, u.VFloat64, u.VBool, u.VStr
		out = append(out, &jaeger.Tag{Key: u.Key, VType: thriftTypes(u.VType), VStr: &s, VDouble: &d, VBool: &b, VLong: &n, VBinary: u.VBinary})
	}
	return upstreamTags(out)
}

func thriftTypes(v model.ValueType) jaeger.TagType {
	for t, m := range jaegertest.Types {
		if m == v {
			return t
		}
	}
	return jaeger.TagType(v)
}
