package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"google.golang.org/grpc"
)

type discard struct{}

func (discard) Append(context.Context, []byte) (Rejected, error) { return Rejected{}, nil }

const benchSpans = 200

func perSpan(b *testing.B) {
	b.ReportMetric(float64(b.N)*benchSpans/b.Elapsed().Seconds(), "spans/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSpans, "ns/span")
}

// BenchmarkGRPC is client and server together, over a socket: 8 calls at once.
func BenchmarkGRPC(b *testing.B) {
	s := start(b, Config{}, discard{})
	payload := marshal(b, request(benchSpans))
	for _, compressor := range []string{"identity", "gzip", "zstd"} {
		b.Run(compressor, func(b *testing.B) {
			conn := dial(b, s.Addrs().OTLPGRPC)
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				var out []byte
				for pb.Next() {
					err := conn.Invoke(context.Background(), exportPath, payload, &out, grpc.ForceCodecV2(rawClient{}), grpc.UseCompressor(compressor))
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
			perSpan(b)
		})
	}
}

func BenchmarkHTTP(b *testing.B) {
	s := start(b, Config{}, discard{})
	payload := marshal(b, request(benchSpans))
	url := "http://" + s.Addrs().OTLPHTTP + traces.path
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	b.SetParallelism(4)
	c := client(b)
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = 16
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if r := send(b, c, http.MethodPost, url, bytes.NewReader(payload), "Content-Type", typeProtobuf); r.status != 200 {
				b.Error(r.status)
				return
			}
		}
	})
	perSpan(b)
}

// BenchmarkSmallHTTP is 20 spans over a bare connection, whose client costs next to
// nothing.
func BenchmarkSmallHTTP(b *testing.B) {
	s := start(b, Config{}, discard{})
	body := marshal(b, request(20))
	message := fmt.Appendf(nil, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	c, answer := connect(b, s.Addrs().OTLPHTTP), make([]byte, 4<<10)
	_ = c.SetDeadline(time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(message); err != nil {
			b.Fatal(err)
		}
		if n, err := c.Read(answer); err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200 OK")) {
			b.Fatal(string(answer[:n]), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20, "ns/span")
}

func BenchmarkCountSpans(b *testing.B) {
	payload := marshal(b, request(benchSpans))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := countSpans(payload); n != benchSpans || err != nil {
			b.Fatal(n, err)
		}
	}
	perSpan(b)
}

func BenchmarkJaegerToOTLP(b *testing.B) {
	body := encodeThrift(b, binaryThrift, benchBatch(b))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var p protoBuilder
	limit := testLimits(benchSpans)
	for b.Loop() {
		p.b = p.b[:0]
		if _, err := p.jaegerThrift(body, false, limit); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func BenchmarkJaegerGRPCToOTLP(b *testing.B) {
	body := encodeModel(b, modelRequest(benchBatch(b)))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var p protoBuilder
	limit := testLimits(benchSpans)
	for b.Loop() {
		p.b = p.b[:0]
		if _, err := p.jaegerProto(body, limit); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func benchBatch(b *testing.B) *jaeger.Batch {
	batch := parseBatch(b, "service web\nprocess hostname=\"h\" ip=\"10.0.0.1\"")
	for i := range benchSpans {
		one := parseBatch(b, fmt.Sprintf("span op trace=1:%x id=%x parent=%x start=1700000000000001 duration=250\n"+
			"tag span.kind=\"server\" http.method=\"GET\" http.status_code=200 http.url=\"http://orders/api/12345\" component=\"net/http\" thread=17\n"+
			"log 1700000000000002 event=\"start\" level=\"info\"", i+1, i+1, i))
		batch.Spans = append(batch.Spans, one.Spans...)
	}
	return batch
}

func BenchmarkZipkinProtoToOTLP(b *testing.B) {
	body, ok := zipkinAsProto(string(benchZipkin(b)))
	if !ok {
		b.Fatal("not for protobuf")
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var p protoBuilder
	limit := testLimits(benchSpans)
	for b.Loop() {
		p.b = p.b[:0]
		if _, err := p.zipkinProto(body, limit); err != nil {
			b.Fatal(err)
		}
	}
	perSpan(b)
}

func BenchmarkZipkinToOTLP(b *testing.B) {
	body := benchZipkin(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var p protoBuilder
	limit := testLimits(benchSpans)
	for b.Loop() {
		p.b = p.b[:0]
		if _, err := p.zipkinJSON(body, limit); err != nil {
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
