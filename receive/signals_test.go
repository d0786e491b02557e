package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	collectlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func logRequest(n int) *collectlogs.ExportLogsServiceRequest {
	records := make([]*logspb.LogRecord, n)
	for i := range records {
		records[i] = &logspb.LogRecord{TimeUnixNano: uint64(i), SeverityText: "INFO"}
	}
	return &collectlogs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}}}}}
}

// metricsRequest has one metric of each kind, with six data points in all.
func metricsRequest() *collectmetrics.ExportMetricsServiceRequest {
	number := []*metricspb.NumberDataPoint{
		{TimeUnixNano: 1, Value: &metricspb.NumberDataPoint_AsInt{AsInt: -7}, Attributes: request(1).ResourceSpans[0].ScopeSpans[0].Spans[0].Attributes},
		{TimeUnixNano: 2, Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: 0.5}, Exemplars: []*metricspb.Exemplar{{TimeUnixNano: 3, Value: &metricspb.Exemplar_AsInt{AsInt: 4}}}},
	}
	sum, lowest := 6.5, -1.0
	all := []*metricspb.Metric{
		{Name: "g", Unit: "1", Description: "gauge", Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: number}}},
		{Name: "s", Data: &metricspb.Metric_Sum{Sum: &metricspb.Sum{DataPoints: number[:1], IsMonotonic: true, AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}}},
		{Name: "h", Data: &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{DataPoints: []*metricspb.HistogramDataPoint{
			{Count: 3, Sum: &sum, Min: &lowest, BucketCounts: []uint64{1, 0, 2}, ExplicitBounds: []float64{0.5, 2}},
		}}}},
		{Name: "e", Data: &metricspb.Metric_ExponentialHistogram{ExponentialHistogram: &metricspb.ExponentialHistogram{DataPoints: []*metricspb.ExponentialHistogramDataPoint{
			{Count: 3, Scale: -2, ZeroCount: 1, Positive: &metricspb.ExponentialHistogramDataPoint_Buckets{Offset: -3, BucketCounts: []uint64{1, 300}}},
		}}}},
		{Name: "q", Data: &metricspb.Metric_Summary{Summary: &metricspb.Summary{DataPoints: []*metricspb.SummaryDataPoint{
			{Count: 1, Sum: 2, QuantileValues: []*metricspb.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 2}}},
		}}}},
	}
	return &collectmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{{
		Resource: request(1).ResourceSpans[0].Resource, ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: all}}}}}
}

// ways sends a request by gRPC, as protobuf and as JSON over HTTP, to both ports,
// and calls check with each answer.
func ways(t *testing.T, s *Server, sig *signal, m, answer proto.Message, check func(way string, err error)) {
	t.Helper()
	asJSON, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{s.Addrs().OTLPGRPC, s.Addrs().OTLPHTTP} {
		proto.Reset(answer)
		check("gRPC", dial(t, addr).Invoke(t.Context(), "/"+sig.service+"/Export", m, answer))
		for media, body := range map[string][]byte{typeProtobuf: marshal(t, m), typeJSON: asJSON} {
			decode := proto.Unmarshal
			if media == typeJSON {
				decode = protojson.Unmarshal
			}
			r := send(t, client(t), http.MethodPost, "http://"+addr+sig.path, bytes.NewReader(body), "Content-Type", media)
			proto.Reset(answer)
			err := decode([]byte(r.body), answer)
			if r.status != 200 {
				err = status.Error(codes.Code(r.status), r.body)
			}
			check(media, err)
		}
	}
}

// TestLogsAreLeftOut: in OTLP's own words, with the setting that stops them.
func TestLogsAreLeftOut(t *testing.T) {
	t.Parallel()
	s := start(t, Config{}, new(recorder))
	answer := new(collectlogs.ExportLogsServiceResponse)
	ways(t, s, logs, logRequest(3), answer, func(way string, err error) {
		p := answer.GetPartialSuccess()
		if err != nil || p.GetRejectedLogRecords() != 3 || !strings.Contains(p.GetErrorMessage(), "OTEL_LOGS_EXPORTER=none") {
			t.Errorf("%s: %v, %v", way, answer, err)
		}
	})
	ways(t, s, logs, logRequest(0), answer, func(way string, err error) {
		if err != nil || answer.GetPartialSuccess().GetErrorMessage() != "" {
			t.Errorf("%s, nothing: %v, %v", way, answer, err)
		}
	})
	if n := s.Stats().Counts().RejectedLogs; n != 18 {
		t.Errorf("%d counted, want 18", n)
	}
}

// metricsRecorder is a MetricsSink that remembers.
type metricsRecorder struct {
	got    []*collectmetrics.ExportMetricsServiceRequest
	reject RejectedPoints
	err    error
}

func (m *metricsRecorder) AppendMetrics(_ context.Context, payload []byte) (RejectedPoints, error) {
	r := new(collectmetrics.ExportMetricsServiceRequest)
	if err := proto.Unmarshal(payload, r); err != nil {
		return RejectedPoints{}, err
	}
	m.got = append(m.got, r)
	return m.reject, m.err
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	want := metricsRequest()
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		sink := &metricsRecorder{reject: RejectedPoints{Points: 2, Reason: "delta"}}
		s := start(t, Config{Metrics: sink}, new(recorder))
		answer := new(collectmetrics.ExportMetricsServiceResponse)
		ways(t, s, metrics, want, answer, func(way string, err error) {
			if p := answer.GetPartialSuccess(); err != nil || p.GetRejectedDataPoints() != 2 || p.GetErrorMessage() != "delta" {
				t.Errorf("%s: %v, %v", way, answer, err)
			}
			if got := sink.got[len(sink.got)-1]; !proto.Equal(got, want) {
				t.Errorf("%s: the sink got %v", way, got)
			}
		})
		if n := s.Stats().Counts(); n.Points != 6*4 || n.RejectedPoints != 6*2 {
			t.Errorf("counted %d, %d rejected", n.Points, n.RejectedPoints)
		}
	})
	t.Run("not kept", func(t *testing.T) {
		t.Parallel()
		s := start(t, Config{}, new(recorder))
		answer := new(collectmetrics.ExportMetricsServiceResponse)
		ways(t, s, metrics, want, answer, func(way string, err error) {
			if p := answer.GetPartialSuccess(); err != nil || p.GetRejectedDataPoints() != 6 || !strings.Contains(p.GetErrorMessage(), "OTEL_METRICS_EXPORTER=none") {
				t.Errorf("%s: %v, %v", way, answer, err)
			}
		})
	})
	for name, c := range map[string]struct {
		sink   error
		limits Limits
		code   codes.Code
		status codes.Code // of HTTP
		text   string
	}{
		"overload":  {sink: comeBack{}, code: codes.ResourceExhausted, status: 429, text: "busy"},
		"our fault": {sink: errors.New("secret"), code: codes.Internal, status: 500, text: "internal error"},
		"too many":  {limits: Limits{Points: 5}, code: codes.InvalidArgument, status: 400, text: "6 data points, the limit is 5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Metrics: &metricsRecorder{err: c.sink}, Limits: c.limits}, new(recorder))
			ways(t, s, metrics, want, new(collectmetrics.ExportMetricsServiceResponse), func(way string, err error) {
				code := c.code
				if way != "gRPC" {
					code = c.status
				}
				if st := status.Convert(err); st.Code() != code || !strings.Contains(fmt.Sprint(err), c.text) {
					t.Errorf("%s: %v", way, err)
				}
			})
		})
	}
	t.Run("malformed", func(t *testing.T) {
		t.Parallel()
		s := start(t, Config{}, new(recorder))
		for _, body := range []string{"\x0a\x05abc", "\x0a\x04\x12\x02\x12\x05", "\x0a\x06\x12\x04\x12\x02\x2a\x09"} {
			r := send(t, client(t), http.MethodPost, "http://"+s.Addrs().OTLPHTTP+metrics.path, strings.NewReader(body), "Content-Type", typeProtobuf)
			if r.status != 400 || !strings.Contains(r.body, "not an OTLP metrics request") {
				t.Errorf("%q: %d %q", body, r.status, r.body)
			}
		}
	})
}

func TestProfilesAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Config{}, new(recorder))
	err := dial(t, s.Addrs().OTLPGRPC).Invoke(t.Context(), "/"+profileService+"/Export", logRequest(1), new(collectlogs.ExportLogsServiceResponse))
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "profiles are not stored") {
		t.Error(err)
	}
}

// TestAuthorize: a request without the right word is told so, by every protocol.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	c := Config{Authorize: func(header []string) error {
		if len(header) == 1 && header[0] == "Bearer right" {
			return nil
		}
		return errors.New("show a token")
	}}
	s := start(t, c, new(recorder))
	for protocol, ask := range tenantHTTP(t, s) {
		if r := ask(); r.status != 401 || !strings.Contains(r.body, "show a token") {
			t.Errorf("%s: %d %s", protocol, r.status, r.body)
		}
		if r := ask("Authorization", "Bearer right"); r.status/100 != 2 {
			t.Errorf("%s: %d %s", protocol, r.status, r.body)
		}
	}
	for _, method := range tenantGRPC {
		call := func(ctx context.Context) error {
			return dial(t, s.Addrs().OTLPGRPC).Invoke(ctx, method, logRequest(0), new(collectlogs.ExportLogsServiceResponse))
		}
		if err := call(t.Context()); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", method, err)
		}
		if err := call(metadataContext(t, "authorization", "Bearer right")); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}
