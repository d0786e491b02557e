package program

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/internal/histogram"
)

// TestPercentilesAgree sends 300 requests and asks every place that shows a
// percentile of them: the page's queries for services, operations and the service
// graph, the shipped dashboards, TraceQL with exact=true, and the histogram of the
// edge's dashboard. Each is within 5 % of the truth and none is above the maximum.
func TestPercentilesAgree(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), "--metrics.interval", "1s")
	took := percentileRequests(t, b)
	eventually(t, "every request is counted", func() error {
		got := ask(t, b.prometheus, `histogram_count(sum(increase(traces_spanmetrics_latency{service="shop"}[5m])))`)
		if len(got) != 1 || float64(got[0].Value) < 299 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	sorted := slices.Sorted(slices.Values(took))
	for place, query := range percentileQueries(t) {
		for _, q := range []float64{0.5, 0.95, 0.99} {
			text := strings.ReplaceAll(query, "0.95", strconv.FormatFloat(q, 'g', -1, 64))
			answer := ask(t, b.prometheus, text)
			if len(answer) == 0 {
				t.Errorf("%s: no answer to %s", place, text)
			}
			for _, s := range answer {
				checkPercentile(t, place, q, float64(s.Value), sorted)
			}
		}
	}
	var edge histogram.Durations
	for _, s := range took {
		edge.Add(time.Duration(s * 1e9))
	}
	for _, q := range []float64{0.5, 0.95, 0.99} {
		checkPercentile(t, "TraceQL exact", q, exactQuantile(t, b, q), sorted)
		checkPercentile(t, "edge dashboard", q, edge.Quantile(q).Seconds(), sorted)
	}
}

// percentileRequests sends requests of a client to a shop, in parts so that rates
// have something between them, and returns how long each took in seconds. The true
// p95 is below 2.2 s and the maximum is 2.42 s, where doubling buckets say 3.3 s.
func percentileRequests(t *testing.T, b *backendProcess) (took []float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		d := time.Duration((1.2 + 0.95*rng.Float64()) * 1e9)
		if i%30 == 0 {
			d = time.Duration((2.2 + 0.22*float64(i)/270) * 1e9)
		}
		took = append(took, d.Seconds())
		if !post(b.otlpHTTP, requestTaking(t, uint64(i+1), d)) {
			t.Fatalf("request %d was refused", i)
		}
	}
	return took
}

// requestTaking is a client's span and the server's within it, of the same length.
func requestTaking(t *testing.T, n uint64, d time.Duration) []byte {
	t.Helper()
	id := binary.BigEndian.AppendUint64(make([]byte, 8), n)
	end := uint64(time.Now().UnixNano())
	span := func(number, parent uint64, kind tracepb.Span_SpanKind, service string) *tracepb.ResourceSpans {
		s := &tracepb.Span{TraceId: id, SpanId: binary.BigEndian.AppendUint64(nil, number), Name: "buy", Kind: kind,
			StartTimeUnixNano: end - uint64(d), EndTimeUnixNano: end}
		if parent > 0 {
			s.ParentSpanId = binary.BigEndian.AppendUint64(nil, parent)
		}
		name := &commonpb.KeyValue{Key: "service.name", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: service}}}
		return &tracepb.ResourceSpans{Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{name}},
			ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{s}}}}
	}
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{
		span(1, 0, tracepb.Span_SPAN_KIND_CLIENT, "browser"), span(2, 1, tracepb.Span_SPAN_KIND_SERVER, "shop")}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// percentileQueries are the PromQL of every place that shows a p95 of requests, by
// the place: the page's, which its own tests keep the same as what it asks, and those
// of the dashboard of services.
func percentileQueries(t *testing.T) map[string]string {
	t.Helper()
	queries := map[string]string{}
	read(t, filepath.Join("..", "page", "src", "testdata", "percentiles.json"), &queries)
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	read(t, filepath.Join("..", "conf", "grafana", "dashboards", "demo", "services.json"), &board)
	values := strings.NewReplacer("$__rate_interval", "5m", "$__range", "5m", "$service", "shop")
	shipped := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			if strings.Contains(target.Expr, "histogram_quantile(0.95") {
				queries["dashboard: "+p.Title+": "+target.Expr] = values.Replace(target.Expr)
				shipped++
			}
		}
	}
	if len(queries) < 6 || shipped < 3 {
		t.Fatalf("%d places, %d of them of the dashboard", len(queries), shipped)
	}
	return queries
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// exactQuantile asks TraceQL over the last five minutes, in seconds.
func exactQuantile(t *testing.T, b *backendProcess, q float64) float64 {
	t.Helper()
	now := time.Now().Unix()
	query := fmt.Sprintf(`{ resource.service.name = "shop" } | quantile_over_time(duration, %v) with (exact=true)`, q)
	status, body := get(t, fmt.Sprintf("%s/api/metrics/query?q=%s&start=%d&end=%d", b.api, url.QueryEscape(query), now-300, now+1))
	var answer struct{ Series []struct{ Value float64 } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || len(answer.Series) != 1 {
		t.Fatalf("%d %s", status, body)
	}
	return answer.Series[0].Value
}

// checkPercentile: the truth is the request of that rank, or a neighbour of it.
func checkPercentile(t *testing.T, place string, q, got float64, sorted []float64) {
	t.Helper()
	rank := q * float64(len(sorted))
	low, high := sorted[max(0, int(rank)-1)], sorted[min(len(sorted)-1, int(math.Ceil(rank)))]
	if !(got >= 0.95*low && got <= 1.05*high && got <= sorted[len(sorted)-1]) {
		t.Errorf("%s: p%v = %v s, want %v to %v, within 5 %%, and at most %v", place, 100*q, got, low, high, sorted[len(sorted)-1])
	}
}
