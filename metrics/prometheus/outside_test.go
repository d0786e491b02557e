package prometheus

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// post sends a body to the instance and returns its answer.
func (in *instance) post(path, contentType string, body []byte, headers ...string) (status int, answer string) {
	in.t.Helper()
	req, err := http.NewRequest("POST", in.url+path, bytes.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := visitor.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// sampleOf is one sample of remote write.
type sampleOf struct {
	series string
	at     time.Time
	value  float64
}

func writeV1(t *testing.T, samples ...sampleOf) []byte {
	t.Helper()
	request := &prompb.WriteRequest{}
	for _, s := range samples {
		series := prompb.TimeSeries{Samples: []prompb.Sample{{Value: s.value, Timestamp: s.at.UnixMilli()}}}
		parseLabels(t, s.series).Range(func(l labels.Label) {
			series.Labels = append(series.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		})
		request.Timeseries = append(request.Timeseries, series)
	}
	raw, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

func writeV2(t *testing.T, samples ...sampleOf) []byte {
	t.Helper()
	symbols := writev2.NewSymbolTable()
	request := &writev2.Request{}
	for _, s := range samples {
		series := writev2.TimeSeries{Samples: []writev2.Sample{{Value: s.value, Timestamp: s.at.UnixMilli()}}}
		series.LabelsRefs = symbols.SymbolizeLabels(parseLabels(t, s.series), nil)
		request.Timeseries = append(request.Timeseries, series)
	}
	request.Symbols = symbols.Symbols()
	raw, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

// TestGoodSamplesOfABadRequestAreKept: in both forms of remote write, samples out of
// order, too old, too new or twice are left out alone, and the sender is told.
func TestGoodSamplesOfABadRequestAreKept(t *testing.T) {
	t.Parallel()
	for contentType, encode := range map[string]func(*testing.T, ...sampleOf) []byte{
		protobuf: writeV1, protobuf + ";proto=io.prometheus.write.v2.Request": writeV2,
	} {
		in := run(t, Options{Receiver: true})
		now := time.UnixMilli(time.Now().UnixMilli())
		in.put(`known`, now, 1, "")
		status, answer := in.post(writePath, contentType, encode(t,
			sampleOf{`good{n="1"}`, now, 1}, sampleOf{`known`, now.Add(-time.Second), 2}, sampleOf{`known`, now, 7},
			sampleOf{`old`, now.Add(-2 * time.Hour), 3}, sampleOf{`new`, now.Add(5 * time.Minute), 4}, sampleOf{`good{n="2"}`, now, 1}))
		if status != http.StatusBadRequest || !strings.Contains(answer, "known") {
			t.Errorf("%s: %d %s", contentType, status, answer)
		}
		if got := in.ask(`sum(good)`); !strings.HasPrefix(got, "{} => 2 @") {
			t.Errorf("%s: the good samples: %s", contentType, got)
		}
		if got := in.ask(`old or new`); got != "" {
			t.Errorf("%s: stored %s", contentType, got)
		}
		if _, metrics := in.get("/metrics"); !strings.Contains(metrics, `etude_metrics_refused_samples_total{protocol="remote_write",reason="out_of_order"} 1`) ||
			!strings.Contains(metrics, `reason="future"} 1`) || !strings.Contains(metrics, `etude_metrics_received_samples_total{protocol="remote_write"} 2`) {
			t.Errorf("%s: metrics\n%s", contentType, metrics)
		}
		if n := strings.Count(in.logs.String(), "samples from another process were left out"); n != 1 {
			t.Errorf("%s: %d warnings\n%s", contentType, n, in.logs)
		}
	}
}

func (in *instance) get(path string) (status int, answer string) {
	in.t.Helper()
	resp, err := visitor.Get(in.url + path)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestReceiverWantsItsContentType: a form of a web page can send the other ones
// across origins without asking.
func TestReceiverWantsItsContentType(t *testing.T) {
	t.Parallel()
	in := run(t, Options{Receiver: true})
	body := writeV1(t, sampleOf{`up`, time.Now(), 1})
	for _, path := range []string{writePath, otlpPath} {
		for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream"} {
			if status, answer := in.post(path, contentType, body); status != http.StatusUnsupportedMediaType || !strings.Contains(answer, protobuf) {
				t.Errorf("%s of %q: %d %s", path, contentType, status, answer)
			}
		}
	}
	if got := in.ask(`up`); got != "" {
		t.Errorf("stored %s", got)
	}
}

// TestReceivedSeriesAreBounded: one job sends 3,000 series, and another still finds
// room.
func TestReceivedSeriesAreBounded(t *testing.T) {
	t.Parallel()
	in := run(t, Options{Receiver: true, MaxReceivedSeries: 1000})
	now := time.Now()
	var flood []sampleOf
	for i := range 3000 {
		flood = append(flood, sampleOf{fmt.Sprintf(`calls{job="edge",n="%d"}`, i), now, 1})
	}
	status, answer := in.post(writePath, protobuf, writeV1(t, flood...))
	if status != http.StatusBadRequest || !strings.Contains(answer, "--metrics.max-received-series") {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := in.post(writePath, protobuf, writeV1(t, sampleOf{`calls{job="shop"}`, now, 1})); status != http.StatusNoContent {
		t.Errorf("another job: %d %s", status, answer)
	}
	if got := in.ask(`count by (job) (calls) > 400`); got != "" {
		t.Errorf("stored %s", got)
	}
	if got := in.ask(`calls{job="shop"}`); got == "" {
		t.Error("another job finds no room")
	}
}

// service makes OTLP metrics of a service; the returned function adds one.
func service(name string) (pmetric.Metrics, func() pmetric.Metric) {
	m := pmetric.NewMetrics()
	r := m.ResourceMetrics().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", name)
	r.Resource().Attributes().PutStr("service.instance.id", "i-1")
	r.Resource().Attributes().PutStr("host.name", "h")
	metrics := r.ScopeMetrics().AppendEmpty().Metrics()
	return m, metrics.AppendEmpty
}

func payloadOf(t testing.TB, m pmetric.Metrics) []byte {
	t.Helper()
	b, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func stamp(at time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(at) }

// TestOTLP: each kind of metric is found by PromQL under Prometheus' names, with
// job, instance, target_info and exemplars. A counter begins with a zero at its
// start, so that its first value is an increase.
func TestOTLP(t *testing.T) {
	t.Parallel()
	in := run(t, Options{})
	now := time.Now()
	m, add := service("shop")
	counter := add()
	counter.SetName("http.requests")
	counter.SetEmptySum().SetIsMonotonic(true)
	counter.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := counter.Sum().DataPoints().AppendEmpty()
	p.SetIntValue(7)
	p.SetStartTimestamp(stamp(now.Add(-time.Minute)))
	p.SetTimestamp(stamp(now))
	gauge := add()
	gauge.SetName("queue.size")
	g := gauge.SetEmptyGauge().DataPoints().AppendEmpty()
	g.SetDoubleValue(2.5)
	g.SetTimestamp(stamp(now))
	durations := add()
	durations.SetName("http.duration")
	durations.SetUnit("s")
	durations.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	h := durations.Histogram().DataPoints().AppendEmpty()
	h.ExplicitBounds().FromRaw([]float64{0.1, 1})
	h.BucketCounts().FromRaw([]uint64{1, 2, 3})
	h.SetCount(6)
	h.SetSum(4)
	h.SetTimestamp(stamp(now))
	e := h.Exemplars().AppendEmpty()
	e.SetDoubleValue(0.5)
	e.SetTimestamp(stamp(now))
	e.SetTraceID(pcommon.TraceID{15: 7})
	native := add()
	native.SetName("native.duration")
	native.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	n := native.ExponentialHistogram().DataPoints().AppendEmpty()
	n.SetScale(3)
	n.Positive().BucketCounts().FromRaw([]uint64{1, 2})
	n.SetCount(3)
	n.SetSum(4)
	n.SetTimestamp(stamp(now))
	rejected, err := in.AppendOTLP(context.Background(), Metrics{Payload: payloadOf(t, m), TenantLabel: "tenant", Tenant: "t1"})
	if err != nil || rejected != (Rejected{}) {
		t.Fatalf("rejected %+v, error %v", rejected, err)
	}
	const of = `instance="i-1", job="shop", tenant="t1"`
	for query, want := range map[string]string{
		`http_requests_total`:                       `http_requests_total{` + of + `} => 7 @`,
		`round(increase(http_requests_total[10m]))`: `{` + of + `} => 7 @`,
		`queue_size`: `queue_size{` + of + `} => 2.5 @`,
		`http_duration_seconds_bucket{le="1.0"} or http_duration_seconds_bucket{le="1"}`: `http_duration_seconds_bucket{instance="i-1", job="shop", le="1`,
		`http_duration_seconds_count`:      `http_duration_seconds_count{` + of + `} => 6 @`,
		`histogram_count(native_duration)`: `{` + of + `} => 3 @`,
		`target_info`:                      `target_info{host_name="h", ` + of + `} => 1 @`,
	} {
		if got := in.ask(query); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	found, err := in.client().QueryExemplars(context.Background(), "http_duration_seconds_bucket", now.Add(-time.Minute), now.Add(time.Minute))
	if err != nil || len(found) != 1 || found[0].Exemplars[0].Labels["trace_id"] != "00000000000000000000000000000007" {
		t.Errorf("exemplars %v %v", found, err)
	}
}

// TestOTLPRefusesByPoint: refusals are counted by data points, with the
// reason, and the rest is stored.
func TestOTLPRefusesByPoint(t *testing.T) {
	t.Parallel()
	in := run(t, Options{MaxReceivedSeries: 100})
	now := time.Now()
	sum := func(of pmetric.Metric, name string, temporality pmetric.AggregationTemporality) pmetric.NumberDataPoint {
		of.SetName(name)
		of.SetEmptySum().SetIsMonotonic(true)
		of.Sum().SetAggregationTemporality(temporality)
		p := of.Sum().DataPoints().AppendEmpty()
		p.SetTimestamp(stamp(now))
		return p
	}
	tests := map[string]struct {
		make   func(add func() pmetric.Metric)
		points int
		reason string
	}{
		"delta": {func(add func() pmetric.Metric) {
			sum(add(), "d", pmetric.AggregationTemporalityDelta)
			h := add()
			h.SetName("dh")
			h.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			h.Histogram().DataPoints().AppendEmpty()
			h.Histogram().DataPoints().AppendEmpty()
		}, 3, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"},
		"no temporality": {func(add func() pmetric.Metric) { sum(add(), "u", pmetric.AggregationTemporalityUnspecified) }, 1, "no temporality"},
		"no name":        {func(add func() pmetric.Metric) { sum(add(), "", pmetric.AggregationTemporalityCumulative) }, 1, "no name"},
		"no time": {func(add func() pmetric.Metric) {
			sum(add(), "z", pmetric.AggregationTemporalityCumulative).SetTimestamp(0)
		}, 1, "older than 1h"},
		"future": {func(add func() pmetric.Metric) {
			sum(add(), "f", pmetric.AggregationTemporalityCumulative).SetTimestamp(stamp(now.Add(time.Hour)))
		}, 1, "ahead of the server's clock"},
		"a histogram of the future is one point": {func(add func() pmetric.Metric) {
			h := add()
			h.SetName("fh")
			h.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			p := h.Histogram().DataPoints().AppendEmpty()
			p.ExplicitBounds().FromRaw([]float64{1, 2, 3})
			p.BucketCounts().FromRaw([]uint64{1, 1, 1, 1})
			p.SetCount(4)
			p.SetTimestamp(stamp(now.Add(time.Hour)))
		}, 1, "ahead of the server's clock"},
		"scale": {func(add func() pmetric.Metric) {
			h := add()
			h.SetName("s")
			h.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			p := h.ExponentialHistogram().DataPoints().AppendEmpty()
			p.SetScale(-9)
			p.SetTimestamp(stamp(now))
		}, 1, "Scale must be"},
		"labels": {func(add func() pmetric.Metric) {
			p := sum(add(), "l", pmetric.AggregationTemporalityCumulative)
			for i := range 100 {
				p.Attributes().PutInt(fmt.Sprint("a", i), 1)
			}
		}, 1, "the limit is 64"},
		"a series of the generator": {func(add func() pmetric.Metric) {
			p := sum(add(), "traces_spanmetrics_calls", pmetric.AggregationTemporalityCumulative)
			p.Attributes().PutStr("__metrics_gen_instance", "vm")
		}, 1, "metrics computed from spans"},
		"series": {func(add func() pmetric.Metric) {
			m := add()
			sum(m, "many", pmetric.AggregationTemporalityCumulative)
			for i := range 99 {
				p := m.Sum().DataPoints().AppendEmpty()
				p.Attributes().PutInt("i", int64(i))
				p.SetTimestamp(stamp(now))
			}
		}, -1, "--metrics.max-received-series"},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) { // "series" comes last: it leaves no room for others.
		t.Run(name, func(t *testing.T) {
			test := tests[name]
			m, add := service("svc-" + strings.ReplaceAll(name, " ", "-"))
			test.make(add)
			good := add()
			good.SetName("good")
			g := good.SetEmptyGauge().DataPoints().AppendEmpty()
			g.SetTimestamp(stamp(now))
			g.Attributes().PutStr("test", name)
			rejected, err := in.AppendOTLP(context.Background(), Metrics{Payload: payloadOf(t, m)})
			if err != nil || rejected.Points != test.points && test.points >= 0 || rejected.Points == 0 || rejected.Points > 100 || !strings.Contains(rejected.Reason, test.reason) {
				t.Errorf("rejected %+v, error %v; want %d with %q", rejected, err, test.points, test.reason)
			}
			if got := in.ask(fmt.Sprintf("good{test=%q}", name)); got == "" && test.points >= 0 {
				t.Error("the good point is lost")
			}
		})
	}
	if n := in.ask("sum(count_over_time(target_info[1h]))"); len(n) > len("{} => 99 @[1780000000.000]") {
		t.Errorf("%s samples of target_info", n)
	}
	if _, err := in.AppendOTLP(context.Background(), Metrics{Payload: []byte("nonsense")}); err == nil || !strings.Contains(err.Error(), ErrNotOTLP.Error()) {
		t.Errorf("nonsense: %v", err)
	}
}

// TestTargetInfoIsShortened: attributes of a resource do not cost it its metrics.
func TestTargetInfoIsShortened(t *testing.T) {
	t.Parallel()
	in := run(t, Options{})
	m, add := service("shop")
	attrs := m.ResourceMetrics().At(0).Resource().Attributes()
	attrs.PutStr("process.command_args", strings.Repeat("é", 4000))
	for i := range 500 {
		attrs.PutStr(fmt.Sprint("x", i), "y")
	}
	g := add()
	g.SetName("g")
	g.SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(stamp(time.Now()))
	rejected, err := in.AppendOTLP(context.Background(), Metrics{Payload: payloadOf(t, m)})
	if err != nil || rejected != (Rejected{}) {
		t.Errorf("rejected %+v, error %v", rejected, err)
	}
	if got := in.ask(`g * on (job, instance) group_left () target_info`); !strings.HasPrefix(got, `{instance="i-1", job="shop"}`) {
		t.Errorf("no target_info: %q", got)
	}
}

// TestOTLPOnPrometheusPort: gzip, and partial success.
func TestOTLPOnPrometheusPort(t *testing.T) {
	t.Parallel()
	in := run(t, Options{Receiver: true})
	m, add := service("shop")
	for name, at := range map[string]time.Time{"g": time.Now(), "late": time.Now().Add(-24 * time.Hour)} {
		g := add()
		g.SetName(name)
		g.SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(stamp(at))
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(payloadOf(t, m))
	_ = z.Close()
	status, body := in.post(otlpPath, protobuf, packed.Bytes(), "Content-Encoding", "gzip")
	answer := pmetricotlp.NewExportResponse()
	if err := answer.UnmarshalProto([]byte(body)); status != http.StatusOK || err != nil || answer.PartialSuccess().RejectedDataPoints() != 1 {
		t.Errorf("%d %q %v", status, body, err)
	}
	if got := in.ask(`g`); got == "" {
		t.Error("the good point is lost")
	}
}

// FuzzAppendOTLP: no payload ends in a panic, and the storage still works.
func FuzzAppendOTLP(f *testing.F) {
	m, add := service("shop")
	for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta} {
		h := add()
		h.SetName("h")
		h.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
		p := h.ExponentialHistogram().DataPoints().AppendEmpty()
		p.Positive().SetOffset(-1 << 31)
		p.Positive().BucketCounts().FromRaw([]uint64{1 << 63, 1})
		p.SetScale(20)
		p.SetTimestamp(stamp(time.Now()))
	}
	f.Add(payloadOf(f, m))
	f.Add([]byte("nonsense"))
	p, err := Open(Options{Dir: f.TempDir(), MaxReceivedSeries: 1000})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = p.Close() })
	<-p.Started()
	f.Fuzz(func(t *testing.T, payload []byte) {
		rejected, err := p.AppendOTLP(context.Background(), Metrics{Payload: payload})
		if err != nil && (strings.Contains(err.Error(), "translate: ") || !strings.Contains(err.Error(), ErrNotOTLP.Error())) {
			t.Errorf("%+v %v", rejected, err)
		}
	})
}
