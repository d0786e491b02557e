package generator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
)

// database is a Prometheus storage with its query engine.
type database struct {
	t *testing.T
	*tsdb.DB
	engine *promql.Engine
}

func openDatabase(t *testing.T) *database {
	o := tsdb.DefaultOptions()
	o.EnableExemplarStorage, o.MaxExemplars = true, 1000
	db, err := tsdb.Open(t.TempDir(), nil, nil, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &database{t, db, promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})}
}

// query returns the values of an instant query by the values of some labels.
func (d *database) query(at time.Time, query string, by ...string) map[string]float64 {
	d.t.Helper()
	q, err := d.engine.NewInstantQuery(context.Background(), d, nil, query, at)
	if err != nil {
		d.t.Fatal(err)
	}
	defer q.Close()
	vector, err := q.Exec(context.Background()).Vector()
	if err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	values := map[string]float64{}
	for _, s := range vector {
		key := ""
		for _, name := range by {
			key += s.Metric.Get(name) + " "
		}
		values[key] = s.F
	}
	return values
}

// about says whether a rate or increase is right but for the extrapolation over
// the milliseconds between the window's ends and its first and last sample.
func about(got, want float64) bool { return math.Abs(got-want) <= 1e-3*want }

// TestRestartShowsNoSpike asks a real Prometheus database for the increase of
// every counter over a restart, in which the second process counts more than the
// first had: without a zero between them, the difference alone would be seen.
func TestRestartShowsNoSpike(t *testing.T) {
	t.Parallel()
	db := openDatabase(t)
	synctest.Test(t, func(t *testing.T) {
		source := &memoryStore{}
		begin := time.Now()
		for process, rounds := range []int{3, 10} {
			time.Sleep(2 * time.Second) // the time that a restart takes
			g, err := New(Options{Source: source, Appended: source.Appended, Out: db, Instance: "host", Processors: []Processor{SpanMetrics, ServiceGraphs}})
			if err != nil {
				t.Fatal(err)
			}
			for round := range rounds {
				for i := range 4 {
					id := 1 + i*2 + 100*round + 10000*process
					source.add(t, spansOf(t, fmt.Sprintf("trace=%x span=%x service=a kind=client took=20ms\ntrace=%x span=%x parent=%x service=b kind=server took=10ms", id, id, id, id+1, id))...)
				}
				time.Sleep(5 * time.Second)
				if err := g.Collect(context.Background(), time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if st := g.Stats(); st.RefusedSamples+st.RefusedExemplars > 0 {
				t.Errorf("refused: %+v", st)
			}
		}
		now, window := time.Now(), time.Since(begin)-2*time.Second
		spans := 4 * 13.0
		for query, want := range map[string]float64{
			`increase(traces_spanmetrics_calls_total{service="a"}[$__range])`:                       spans,
			`increase(traces_spanmetrics_latency_count{service="a"}[$__range])`:                     spans,
			`increase(traces_spanmetrics_latency_sum{service="a"}[$__range])`:                       spans * 0.020,
			`increase(traces_spanmetrics_latency_bucket{service="a",le="0.032"}[$__range])`:         spans,
			`increase(traces_service_graph_request_total[$__range])`:                                spans,
			`increase(traces_service_graph_request_server_seconds_sum[$__range])`:                   spans * 0.010,
			`increase(traces_service_graph_request_client_seconds_bucket{le="0.1"}[$__range])`:      spans,
			`sum(increase(traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER"}[$__range]))`: spans,
		} {
			query = strings.ReplaceAll(query, "$__range", window.String())
			for _, got := range db.query(now, query) {
				if !about(got, want) {
					t.Errorf("%s = %v, want %v", query, got, want)
				}
			}
			if len(db.query(now, query)) != 1 {
				t.Errorf("%s: %v", query, db.query(now, query))
			}
		}
		// The steady rate, seen through a short window anywhere, is never above what was sent.
		for at := begin; at.Before(now); at = at.Add(time.Second) {
			for _, rate := range db.query(at, `rate(traces_spanmetrics_calls_total{service="a"}[15s])`) {
				if rate > 4.0/5*1.1 {
					t.Errorf("rate is %v at %v, want at most 0.8", rate, at)
				}
			}
		}
	})
}

// TestGrafanaQueries asks what Grafana's Tempo data source asks, after runs of the
// demo at one request in two seconds.
func TestGrafanaQueries(t *testing.T) {
	t.Parallel()
	db := openDatabase(t)
	synctest.Test(t, func(t *testing.T) {
		source := &memoryStore{}
		g, err := New(Options{Source: source, Out: db, Processors: []Processor{SpanMetrics, ServiceGraphs}})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for i := range 120 {
			source.add(t, spansOf(t, demoTrace(i+1))...)
			g.Read(time.Now())
			time.Sleep(2 * time.Second)
			if i%100 == 99 {
				source.seal()
			}
			if i%5 == 4 {
				if err := g.Collect(context.Background(), time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		now, window := time.Now(), time.Since(begin)
		seen := func(query string, want map[string]float64, by ...string) {
			t.Helper()
			query = strings.ReplaceAll(query, "$__range", window.String())
			got := db.query(now, query, by...)
			for key, value := range want {
				if !about(got[key], value) {
					t.Errorf("%s of %s is %v, want %v", query, key, got[key], value)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s = %v, want %v", query, got, want)
			}
		}
		edges := func(rate float64) map[string]float64 {
			return map[string]float64{"user traefik ": rate, "traefik uservice3 ": rate, "uservice3 uservice4 ": rate}
		}
		seen(`sum by (client, server) (rate(traces_service_graph_request_total[$__range]))`, edges(0.5), "client", "server")
		seen(`sum by (client, server) (rate(traces_service_graph_request_failed_total[$__range]))`, map[string]float64{"traefik uservice3 ": 0.5}, "client", "server")
		seen(`group by (client, connection_type, server) (traces_service_graph_request_total{})`,
			map[string]float64{"user virtual_node traefik ": 1, "traefik  uservice3 ": 1, "uservice3  uservice4 ": 1}, "client", "connection_type", "server")
		seen(`sum by (client, server) (rate(traces_service_graph_request_server_seconds_sum[$__range])) / sum by (client, server) (rate(traces_service_graph_request_total[$__range]))`,
			map[string]float64{"user traefik ": 1.3, "traefik uservice3 ": 1.28, "uservice3 uservice4 ": 1.14}, "client", "server")
		seen(`topk(5, sum(rate(traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER"}[$__range])) by (span_name))`,
			map[string]float64{"EntryPoint ": 0.5, "handle_incoming_call ": 1}, "span_name")
		seen(`topk(5, sum(rate(traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR",span_name=~"EntryPoint|handle_incoming_call"}[$__range])) by (span_name))`,
			map[string]float64{"handle_incoming_call ": 0.5}, "span_name")
		// All durations are in the bucket from 1.024 s to 2.048 s.
		seen(`histogram_quantile(.9, sum(rate(traces_spanmetrics_latency_bucket{span_name=~"EntryPoint"}[$__range])) by (le))`, map[string]float64{"": 1.024 + 0.9*1.024})
		checkExemplars(t, db, begin, now)
	})
}

// demoTrace is one request through the demo, as testdata/demo.txtar has it.
func demoTrace(n int) string {
	lines := ""
	for i, s := range []string{"service=traefik kind=server name=EntryPoint took=1300ms", "service=traefik kind=client name=forward took=1290ms",
		"service=uservice3 kind=server name=handle_incoming_call status=error took=1280ms", "service=uservice3 kind=internal name=redis_call took=1270ms",
		"service=uservice3 kind=client name=other_uservice_call took=1150ms", "service=uservice4 kind=server name=handle_incoming_call took=1140ms",
		"service=uservice4 kind=internal name=database_call took=1130ms"} {
		lines += fmt.Sprintf("trace=%x span=%d parent=%d %s\n", n, i+1, i, s)
	}
	return lines
}

func checkExemplars(t *testing.T, db *database, from, to time.Time) {
	t.Helper()
	q, err := db.ExemplarQuerier(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	found, err := q.Select(from.UnixMilli(), to.UnixMilli(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "traces_spanmetrics_latency_bucket"),
		labels.MustNewMatcher(labels.MatchEqual, "service", "traefik"), labels.MustNewMatcher(labels.MatchEqual, "span_name", "EntryPoint")})
	if err != nil || len(found) != 1 || found[0].SeriesLabels.Get("le") != "2.048" {
		t.Fatalf("exemplars %v, error %v", found, err)
	}
	if n := len(found[0].Exemplars); n != 24 { // one a collection
		t.Errorf("%d exemplars, want 24", n)
	}
	if !slices.ContainsFunc(found[0].Exemplars, func(e exemplar.Exemplar) bool { return e.Labels.Get("traceID") == "5" && e.Value == 1.3 }) {
		t.Errorf("exemplars %v: want one of trace 5", found[0].Exemplars)
	}
}

// TestStorageFails: samples that could not be stored are made up for by the next
// collection, zeros included.
func TestStorageFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, out := &memoryStore{}, &recorder{fail: errors.New("no space left")}
		g, err := New(Options{Source: source, Out: out, Processors: []Processor{SpanMetricsCount}})
		if err != nil {
			t.Fatal(err)
		}
		source.add(t, spansOf(t, "trace=1 span=1 service=s")...)
		time.Sleep(5 * time.Second)
		if err := g.Collect(context.Background(), time.Now()); !errors.Is(err, out.fail) {
			t.Errorf("error %v, want %v", err, out.fail)
		}
		out.fail = nil
		time.Sleep(5 * time.Second)
		if err := g.Collect(context.Background(), time.Now()); err != nil {
			t.Error(err)
		}
		got := out.take()
		if len(got) != 2 || got[0].value != 0 || got[1].value != 1 || got[0].at.Add(10*time.Second-time.Millisecond) != got[1].at {
			t.Errorf("stored %v", got)
		}
		if st := g.Stats(); st.FailedCollections != 1 || st.Collections != 1 || st.Samples != 4 { // two of ObservedMetric
			t.Errorf("stats %+v", st)
		}
	})
}

// TestRun: one collection an interval, and one at the end.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, out := &memoryStore{}, &recorder{}
		g, err := New(Options{Source: source, Out: out, Processors: []Processor{SpanMetricsCount}, Interval: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { g.Run(ctx); close(ended) }()
		source.add(t, spansOf(t, "trace=1 span=1 service=s")...)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if got := g.Stats().Spans; got != 1 {
			t.Errorf("%d spans read after 1.5 s, want 1", got)
		}
		time.Sleep(9 * time.Second) // 10.5 s
		source.add(t, spansOf(t, "trace=1 span=2 service=s")...)
		stop()
		<-ended
		var values []float64
		for _, s := range out.take() {
			values = append(values, s.value)
		}
		if !slices.Equal(values, []float64{0, 1, 1, 2}) {
			t.Errorf("collected %v, want 0, then 1 at 5 s and 10 s, and 2 at the end", values)
		}
	})
}
