package otlp

import (
	"encoding/binary"
	"fmt"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	res "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/trace"
)

// batch is a request as an instrumented web service sends it: spans of about
// 390 bytes with eight attributes, one of them different in every span.
func batch(t testing.TB, spans, number int) []byte {
	ss := &tracepb.ScopeSpans{Scope: &common.InstrumentationScope{Name: "net/http", Version: "1.2.3"}}
	for i := range spans {
		n := uint64(number*spans + i)
		id := binary.BigEndian.AppendUint64(nil, n*0x9e3779b97f4a7c15+1)
		traceID := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, (n/7)*0xbf58476d1ce4e5b9+1), 1)
		ss.Spans = append(ss.Spans, &tracepb.Span{
			TraceId: traceID, SpanId: id, ParentSpanId: id, Name: fmt.Sprintf("GET /resource/%d", n%20),
			Kind: tracepb.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 1e18 + n, EndTimeUnixNano: 1e18 + n + 1e6, Flags: 1,
			Attributes: []*common.KeyValue{
				attribute("http.request.method", stringValue("GET")),
				attribute("http.route", stringValue(fmt.Sprintf("/resource/%d", n%20))),
				attribute("http.response.status_code", &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 200}}),
				attribute("url.path", stringValue(fmt.Sprintf("/resource/%d/item/%d", n%20, n%1000))),
				attribute("user_agent.original", stringValue("Mozilla/5.0 (X11; Linux x86_64)")),
				attribute("server.address", stringValue("shop.example.internal")),
				attribute("network.protocol.version", stringValue("1.1")),
				attribute("request.id", stringValue(fmt.Sprintf("%032x", n))),
			}})
	}
	return marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &res.Resource{Attributes: []*common.KeyValue{
			attribute("service.name", stringValue("shop")), attribute("host.name", stringValue("host-17"))}},
		ScopeSpans: []*tracepb.ScopeSpans{ss}}}})
}

const perBatch = 200

func batches(b *testing.B) (payloads [][]byte) {
	for i := range 256 {
		payloads = append(payloads, batch(b, perBatch, i))
	}
	return payloads
}

func BenchmarkValidate(b *testing.B) {
	p := batch(b, perBatch, 0)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, _, err := Validate(p); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func BenchmarkAppend(b *testing.B) {
	payloads := batches(b)
	b.ReportAllocs()
	b.ResetTimer()
	var t *trace.Table
	for i := 0; i < b.N; i++ {
		if i%len(payloads) == 0 {
			t = next(t)
		}
		if added, err := Append(t, payloads[i%len(payloads)], 1); err != nil || added != perBatch {
			b.Fatal(added, err)
		}
	}
	perSpan(b)
	if t.Spans() > 20000 {
		t.Seal()
		b.ReportMetric(float64(t.Bytes())/float64(t.Spans()), "B-held/span")
	}
}

// next is the Table that a store would begin.
func next(t *trace.Table) *trace.Table {
	if t == nil {
		return trace.NewTable()
	}
	return trace.NewTableLike(t.View())
}

// BenchmarkObjects is what Append spares: the same bytes into protobuf objects.
func BenchmarkObjects(b *testing.B) {
	p := batch(b, perBatch, 0)
	b.ReportAllocs()
	for b.Loop() {
		if err := proto.Unmarshal(p, &tracepb.TracesData{}); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func BenchmarkToJSON(b *testing.B) {
	p := batch(b, perBatch, 0)
	b.ReportAllocs()
	for b.Loop() {
		ToJSON(nil, p, TempoJSON)
	}
	perSpan(b)
}

func BenchmarkFromJSON(b *testing.B) {
	text := ToJSON(nil, batch(b, perBatch, 0), OTLPJSON)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromJSON(text); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func perSpan(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perBatch, "ns/span")
}
