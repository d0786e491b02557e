package generator

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// distributions are ways in which 300 requests may take their time.
var distributions = map[string]func(*rand.Rand) float64{
	"even":             func(r *rand.Rand) float64 { return 0.2 + 1.8*r.Float64() },
	"demo":             func(r *rand.Rand) float64 { return 1 + 0.5*r.Float64() + 0.9*r.Float64()*r.Float64() },
	"lognormal":        func(r *rand.Rand) float64 { return 0.05 * math.Exp(1.2*r.NormFloat64()) },
	"from 1 ms to 10s": func(r *rand.Rand) float64 { return 0.001 * math.Pow(10_000, r.Float64()) },
	"time-outs": func(r *rand.Rand) float64 {
		if r.IntN(10) == 0 {
			return 30 + 0.5*r.Float64()
		}
		return 0.001 + 0.002*r.Float64()
	},
}

// TestPercentiles: for the same 300 requests, every percentile that PromQL computes
// from native histograms is within 5 % of the truth and not above the maximum: of a
// service, of an edge of the graph, and of both in the form that the dashboards ask.
func TestPercentiles(t *testing.T) {
	t.Parallel()
	for name, draw := range distributions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openDatabase(t)
			synctest.Test(t, func(t *testing.T) {
				source := &memoryStore{}
				g, err := New(Options{Source: source, Out: db, Processors: []Processor{SpanMetrics, ServiceGraphs}, NativeHistograms: Both})
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(7, 7))
				var took []float64
				for i := range 300 {
					d := time.Duration(draw(rng) * 1e9)
					took = append(took, d.Seconds())
					source.add(t, spansOf(t, fmt.Sprintf("trace=%x span=1 service=a kind=client took=%s\ntrace=%[1]x span=2 parent=1 service=b name=op%[3]d kind=server took=%[2]s",
						i+1, d, i%7))...)
					time.Sleep(100 * time.Millisecond)
					if i%50 == 49 {
						if err := g.Collect(context.Background(), time.Now()); err != nil {
							t.Fatal(err)
						}
					}
				}
				slices.Sort(took)
				for _, metric := range []string{`traces_spanmetrics_latency{service="b"}`, `traces_service_graph_request_server_seconds{server="b"}`, `traces_service_graph_request_client_seconds{client="a"}`} {
					for _, q := range []float64{0.5, 0.9, 0.95, 0.99} {
						query := fmt.Sprintf("histogram_quantile(%v, sum(rate(%s[1m])))", q, metric)
						checkPercentile(t, query, db.query(time.Now(), query)[""], took, q)
					}
				}
				// The total of native and classic histograms agrees.
				for _, query := range []string{`histogram_count(sum(increase(traces_spanmetrics_latency{service="b"}[1m])))`, `sum(increase(traces_spanmetrics_latency_count{service="b"}[1m]))`} {
					if got := db.query(time.Now(), query)[""]; math.Abs(got-300) > 3 {
						t.Errorf("%s = %v, want 300", query, got)
					}
				}
			})
		})
	}
}

// checkPercentile: the truth is the observation of that rank, or the next one.
func checkPercentile(t *testing.T, what string, got float64, sorted []float64, q float64) {
	t.Helper()
	rank := q * float64(len(sorted))
	low, high := sorted[max(0, int(rank)-1)], sorted[min(len(sorted)-1, int(math.Ceil(rank)))]
	if !(got >= 0.95*low && got <= 1.05*high) || got > sorted[len(sorted)-1] {
		t.Errorf("%s = %v, want %v to %v, within 5 %%, and at most %v", what, got, low, high, sorted[len(sorted)-1])
	}
}
