package program

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/internal/testkit"
)

// fatMemory is what a backend of this test may use, and fatPeak what it may take at its worst: a span, a row group and
// the answer to a query can be larger than what was planned for them.
const (
	fatMemory = 400 << 20
	fatPeak   = 2 * fatMemory
)

// TestHostileFatSpans fills backends with unusual spans, more than their memory for spans, which become blocks, and sends every kind of query
// over them, eight at a time. Memory stays near its limit, and no query fails for a reason of the backend's own.
func TestHostileFatSpans(t *testing.T) {
	testkit.Hostile(t)
	for name, change := range map[string]func(*rand.Rand, *tracepb.Span){
		"values": func(r *rand.Rand, s *tracepb.Span) {
			s.Attributes = []*commonpb.KeyValue{fatText("v", noise(r, 60_000))}
		},
		"one trace": func(r *rand.Rand, s *tracepb.Span) {
			s.TraceId = make([]byte, 15, 16)
			s.TraceId = append(s.TraceId, 1)
			s.Attributes = []*commonpb.KeyValue{fatText("v", noise(r, 60_000))}
		},
		"messages": func(r *rand.Rand, s *tracepb.Span) { s.Status = &tracepb.Status{Code: 2, Message: noise(r, 60_000)} },
		"keys": func(r *rand.Rand, s *tracepb.Span) {
			for range 100 {
				s.Attributes = append(s.Attributes, fatText(noise(r, 12), "v"))
			}
		},
		"arrays": func(r *rand.Rand, s *tracepb.Span) {
			all := &commonpb.ArrayValue{}
			for range 400 {
				all.Values = append(all.Values, fatText("", noise(r, 16)).Value)
			}
			s.Attributes = []*commonpb.KeyValue{{Key: "v", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: all}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t, t.TempDir(), "--memory", fmt.Sprint(fatMemory), "--blocks.after", "1s")
			sendFat(b, change)
			testkit.Until(t, "blocks hold most spans", func() bool {
				return 4*storeMetric(t, b, "etude_store_head_bytes ") < storeMetric(t, b, "etude_store_block_bytes ")
			})
			askFat(t, b)
			if peak := peakMemory(t, b); peak > fatPeak {
				t.Errorf("the backend took %d MiB at its worst", peak>>20)
			}
		})
	}
}

func fatText(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func noise(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + r.IntN(90))
	}
	return string(b)
}

// sendFat sends spans from four clients until 100 MB are sent; it does not matter what the backend refuses.
func sendFat(b *backendProcess, change func(*rand.Rand, *tracepb.Span)) {
	var clients sync.WaitGroup
	for seed := range uint64(4) {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for sent := 0; sent < 24<<20; {
				ss := &tracepb.ScopeSpans{}
				for size := 0; size < 1<<20; {
					id := fmt.Appendf(nil, "%016x", r.Uint64())
					s := &tracepb.Span{TraceId: id, SpanId: id[:8], Name: "work", StartTimeUnixNano: uint64(time.Now().UnixNano()), EndTimeUnixNano: uint64(time.Now().UnixNano())}
					change(r, s)
					ss.Spans = append(ss.Spans, s)
					size += proto.Size(s)
				}
				payload, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{ss}}}})
				if err != nil {
					panic(err) // a fixed message
				}
				post(b.otlpHTTP, payload)
				sent += len(payload)
			}
		})
	}
	clients.Wait()
}

// askFat sends every kind of query, eight at a time.
func askFat(t *testing.T, b *backendProcess) {
	t.Helper()
	ask := func(path, q string) string { return b.api + path + "?limit=1000&q=" + url.QueryEscape(q) }
	urls := []string{
		ask("/api/search", `{}`), ask("/api/search", `{ span.v =~ ".*absent.*" }`), ask("/api/search", `{} | select(span.v, statusMessage)`),
		ask("/api/search", `{ } >> { span.v != "x" } | select(span.v)`), ask("/api/metrics/query_range", `{} | rate() by (span.v)`),
		ask("/api/metrics/query_range", `{} | rate() by (name)`), ask("/api/metrics/query_range", `{} | compare({ span.v != nil })`),
		b.api + "/api/v2/traces/00000000000000000000000000000001", b.api + "/api/v2/search/tag/span.v/values", b.api + "/api/v2/search/tags",
	}
	queue := make(chan string)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for u := range queue {
				resp, err := visitor.Get(u)
				if err != nil {
					t.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusInternalServerError {
					t.Errorf("%s: %s", u, resp.Status)
				}
			}
		})
	}
	for range 2 {
		for _, u := range urls {
			queue <- u
		}
	}
	close(queue)
	clients.Wait()
}
