package edge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// described is a span as text, whatever form it was read from.
func described(id, span, parent any, name, kind string, start int64, tags, events, links string) string {
	return fmt.Sprintf("%x/%x below %x %q %s at %d us: %s; %s; %s", id, span, parent, name, kind, start, tags, events, links)
}

func (s *span) describe() string {
	kind, tags, events, links := "server", "", "", ""
	if s.kind == trace.SpanKindClient {
		kind = "client"
	}
	for _, t := range s.tags[:s.n] {
		switch t.kind {
		case textTag:
			tags += fmt.Sprintf(" %s=%q", t.key, t.text)
		case numberTag:
			tags += fmt.Sprintf(" %s=%d", t.key, t.number)
		case boolTag:
			tags += fmt.Sprintf(" %s=%v", t.key, t.number != 0)
		}
	}
	if s.failed {
		tags += " error=true"
	}
	if e := s.exception; e != nil {
		events = fmt.Sprintf("%d event=exception exception.type=%q exception.message=%q", e.at.UnixMicro(), e.kind, e.text)
	}
	if s.link != nil {
		links = fmt.Sprintf("%x/%x", s.link.trace[:], s.link.span[:])
	}
	return described(s.trace[:], s.id[:], s.parent[:], s.name, kind, s.start.UnixMicro(), tags, events, links)
}

// sampleSpan makes a span of everything that a span may hold.
func sampleSpan(name, text string, number int64, bits byte) *span {
	at := time.UnixMicro(number & (1<<50 - 1))
	s := &span{name: name, kind: trace.SpanKindServer, start: at, took: time.Duration(number&0xffff) * time.Microsecond, failed: bits&1 != 0}
	binary.BigEndian.PutUint64(s.trace[8:], uint64(number)|1)
	binary.BigEndian.PutUint64(s.id[:], uint64(number)|2)
	s.text("http.url", text)
	s.number("http.status_code", number)
	s.boolean("sampler.param", bits&2 != 0)
	s.text("", "")
	if bits&4 != 0 {
		s.kind, s.parent = trace.SpanKindClient, trace.SpanID{1, 2, 3}
		s.exception = &exception{at: at.Add(time.Millisecond), kind: "*net.OpError", text: text}
	}
	if bits&8 != 0 {
		s.link = &spanContext{trace: trace.TraceID{9, 8, 7}, span: trace.SpanID{7}}
		binary.BigEndian.PutUint64(s.trace[:], uint64(number))
	}
	return s
}

// message encodes spans as the queue does.
func message(f form, spans ...*span) []byte {
	b := make([]byte, f.headroom())
	for _, s := range spans {
		b = f.appendSpan(b, s)
	}
	return f.finish(b, len(spans))
}

func readThrift(t testing.TB, message []byte) *jaeger.Batch {
	t.Helper()
	batch := jaeger.NewBatch()
	buffer := &thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(message)}
	if err := batch.Read(t.Context(), thrift.NewTBinaryProtocolConf(buffer, nil)); err != nil {
		t.Fatal(err)
	}
	if buffer.Len() > 0 {
		t.Fatalf("%d bytes behind the batch", buffer.Len())
	}
	return batch
}

func describeJaeger(s *jaeger.Span) string {
	var id [16]byte
	var span, parent [8]byte
	binary.BigEndian.PutUint64(id[:8], uint64(s.TraceIdHigh))
	binary.BigEndian.PutUint64(id[8:], uint64(s.TraceIdLow))
	binary.BigEndian.PutUint64(span[:], uint64(s.SpanId))
	binary.BigEndian.PutUint64(parent[:], uint64(s.ParentSpanId))
	list, kind, events, links := "", "", "", ""
	for _, tag := range s.Tags {
		switch {
		case tag.Key == "span.kind":
			kind = *tag.VStr
		case tag.VType == jaeger.TagType_STRING:
			list += fmt.Sprintf(" %s=%q", tag.Key, *tag.VStr)
		case tag.VType == jaeger.TagType_LONG:
			list += fmt.Sprintf(" %s=%d", tag.Key, *tag.VLong)
		case tag.VType == jaeger.TagType_BOOL:
			list += fmt.Sprintf(" %s=%v", tag.Key, *tag.VBool)
		}
	}
	for _, l := range s.Logs {
		fields := tags(l.Fields)
		events += fmt.Sprintf("%d event=%s exception.type=%q exception.message=%q", l.Timestamp, fields["event"], fields["exception.type"], fields["exception.message"])
	}
	for _, ref := range s.References {
		var id [16]byte
		var span [8]byte
		binary.BigEndian.PutUint64(id[:8], uint64(ref.TraceIdHigh))
		binary.BigEndian.PutUint64(id[8:], uint64(ref.TraceIdLow))
		binary.BigEndian.PutUint64(span[:], uint64(ref.SpanId))
		links += fmt.Sprintf("%x/%x", id, span)
	}
	return described(id[:], span[:], parent[:], s.OperationName, kind, s.StartTime, list, events, links)
}

func readOTLP(t testing.TB, message []byte) *tracepb.ResourceSpans {
	t.Helper()
	// As the exporter does: unknown tags are written as they are.
	unknown := &tracepb.ResourceSpans{}
	unknown.ProtoReflect().SetUnknown(message)
	whole, err := proto.Marshal(unknown)
	if err != nil {
		t.Fatal(err)
	}
	read := &tracepb.ResourceSpans{}
	if err := proto.Unmarshal(whole, read); err != nil {
		t.Fatal(err)
	}
	if n := len(read.ProtoReflect().GetUnknown()); n > 0 {
		t.Fatalf("%d bytes are of unknown fields", n)
	}
	return read
}

func describeOTLP(s *tracepb.Span) string {
	list, events, links := "", "", ""
	parent := make([]byte, 8)
	copy(parent, s.ParentSpanId)
	kind := map[tracepb.Span_SpanKind]string{tracepb.Span_SPAN_KIND_SERVER: "server", tracepb.Span_SPAN_KIND_CLIENT: "client"}[s.Kind]
	for _, kv := range s.Attributes {
		switch v := reflect.ValueOf(kv.Value.GetValue()).Elem().Field(0).Interface().(type) {
		case string:
			list += fmt.Sprintf(" %s=%q", kv.Key, v)
		default:
			list += fmt.Sprintf(" %s=%v", kv.Key, v)
		}
	}
	if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		list += " error=true"
	}
	for _, e := range s.Events {
		events += fmt.Sprintf("%d event=%s %s=%q %s=%q", e.TimeUnixNano/1000, e.Name, e.Attributes[0].Key, e.Attributes[0].Value.GetStringValue(),
			e.Attributes[1].Key, e.Attributes[1].Value.GetStringValue())
	}
	for _, l := range s.Links {
		links += fmt.Sprintf("%x/%x", l.TraceId, l.SpanId)
	}
	return described(s.TraceId, s.SpanId, parent, s.Name, kind, int64(s.StartTimeUnixNano/1000), list, events, links)
}

func TestForms(t *testing.T) {
	t.Parallel()
	process := []attribute.KeyValue{attribute.String("text", "a"), attribute.Bool("yes", true), attribute.Int("number", 7), attribute.Float64("float", 1.5),
		attribute.StringSlice("list", []string{"a", "b"})}
	jaegerForm := newThriftForm("front", process)
	otlp, err := newOTLPForm(process)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, 300} {
		var spans []*span
		for i := range n {
			spans = append(spans, sampleSpan(fmt.Sprint("span ", i), strings.Repeat("x", i*i), int64(i)<<40, byte(i)))
		}
		batch := readThrift(t, message(jaegerForm, spans...))
		read := readOTLP(t, message(otlp, spans...))
		if got := tags(batch.Process.Tags); batch.Process.ServiceName != "front" || got["text"] != "a" || got["yes"] != "bool true" || got["number"] != "long 7" || got["list"] != `["a","b"]` {
			t.Errorf("process %v", batch.Process)
		}
		if got := read.Resource.String(); !strings.Contains(got, "1.5") || !strings.Contains(got, `"number"`) || len(read.Resource.Attributes) != 5 {
			t.Errorf("resource %s", got)
		}
		scope := read.ScopeSpans[0]
		if scope.Scope.Name != instrumentationScope || len(scope.Spans) != n || len(batch.Spans) != n {
			t.Fatalf("scope %v; %d and %d spans, want %d", scope.Scope, len(scope.Spans), len(batch.Spans), n)
		}
		for i, s := range spans {
			if got := describeJaeger(batch.Spans[i]); got != s.describe() {
				t.Errorf("thrift:\n got %s\nwant %s", got, s.describe())
			}
			if got := describeOTLP(scope.Spans[i]); got != s.describe() {
				t.Errorf("OTLP:\n got %s\nwant %s", got, s.describe())
			}
			if batch.Spans[i].Duration != s.took.Microseconds() || scope.Spans[i].EndTimeUnixNano-scope.Spans[i].StartTimeUnixNano != uint64(s.took) {
				t.Errorf("durations of %s", s.name)
			}
		}
	}
}

func FuzzForms(f *testing.F) {
	f.Add("EntryPoint web a", "/a?b", int64(200), byte(0))
	f.Add("", "", int64(-1), byte(255))
	f.Fuzz(func(t *testing.T, name, text string, number int64, bits byte) {
		if !utf8.ValidString(name) || !utf8.ValidString(text) {
			name, text = printable(name), printable(text) // what strangers send has passed through it
		}
		s := sampleSpan(name, text, number, bits)
		if got := describeJaeger(readThrift(t, message(newThriftForm("s", nil), s)).Spans[0]); got != s.describe() {
			t.Errorf("thrift:\n got %s\nwant %s", got, s.describe())
		}
		otlp, err := newOTLPForm(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := describeOTLP(readOTLP(t, message(otlp, s)).ScopeSpans[0].Spans[0]); got != s.describe() {
			t.Errorf("OTLP:\n got %s\nwant %s", got, s.describe())
		}
	})
}
