package jaeger

import (
	"fmt"
	"testing"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"

	"etude/receive/jaeger/jaegertest"
	"etude/receive/spans"
)

const benchSpans = 200

func perSpan(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSpans, "ns/span")
}

func BenchmarkFromThrift(b *testing.B) {
	body := jaegertest.Thrift(b, jaegertest.Binary, benchBatch(b))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		var err error
		if out, err = FromThrift(out[:0], body, false, spans.Bounds{}); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func BenchmarkFromProto(b *testing.B) {
	body := jaegertest.Proto(b, jaegertest.Request(benchBatch(b)))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		var err error
		if out, err = FromProto(out[:0], body, spans.Bounds{}); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func benchBatch(b *testing.B) *jaeger.Batch {
	batch := jaegertest.Parse(b, "service web\nprocess hostname=\"h\" ip=\"10.0.0.1\"")
	for i := range benchSpans {
		one := jaegertest.Parse(b, fmt.Sprintf("span op trace=1:%x id=%x parent=%x start=1700000000000001 duration=250\n"+
			"tag span.kind=\"server\" http.method=\"GET\" http.status_code=200 http.url=\"http://orders/api/12345\" component=\"net/http\" thread=17\n"+
			"log 1700000000000002 event=\"start\" level=\"info\"", i+1, i+1, i))
		batch.Spans = append(batch.Spans, one.Spans...)
	}
	return batch
}
