package zipkin

import (
	"encoding/json"
	"fmt"
	"testing"

	"etude/receive/spans"
)

const benchSpans = 200

func perSpan(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSpans, "ns/span")
}

func BenchmarkFromProto(b *testing.B) {
	body, ok := zipkinAsProto(string(benchZipkin(b)))
	if !ok {
		b.Fatal("not for protobuf")
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		var err error
		if out, err = FromProto(out[:0], body, arrival, spans.Bounds{}); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func BenchmarkFromJSON(b *testing.B) {
	body := benchZipkin(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		var err error
		if out, err = FromJSON(out[:0], body, arrival, spans.Bounds{}); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func benchZipkin(b *testing.B) []byte {
	var spans []map[string]any
	for i := range benchSpans {
		spans = append(spans, map[string]any{
			"traceId": fmt.Sprintf("%032x", i+1), "id": fmt.Sprintf("%016x", i+1), "parentId": fmt.Sprintf("%016x", i+2),
			"kind": "SERVER", "name": "get /", "timestamp": 1_700_000_000_000_001, "duration": 250,
			"localEndpoint": map[string]any{"serviceName": "web", "ipv4": "10.0.0.1"},
			"tags":          map[string]string{"http.method": "GET", "http.path": "/api/12345", "component": "net/http", "thread": "17"},
			"annotations":   []map[string]any{{"timestamp": 1_700_000_000_000_002, "value": "start"}},
		})
	}
	body, err := json.Marshal(spans)
	if err != nil {
		b.Fatal(err)
	}
	return body
}
