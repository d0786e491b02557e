package receive

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

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
