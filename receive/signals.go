package receive

import (
	"context"
	"fmt"

	"etude/otlp"
)

// signal is one of the kinds of telemetry in OTLP. All of them arrive at the same ports, because an SDK with
// default settings sends all of them. Signals that are not stored get an OTLP answer too, which names the
// setting that stops the sending.
type signal struct {
	service  string // gRPC
	path     string // HTTP
	what     string // for messages
	rejected string // name of the JSON member of partialSuccess with the count
	fromJSON func([]byte) ([]byte, error)
	submit   func(*intake, context.Context, Protocol, []byte) (partial, error)
}

// partial is the number of rejected items of a request, and the reason. Zero: none.
type partial struct {
	count  int
	reason string
}

var (
	traces = &signal{
		service: "opentelemetry.proto.collector.trace.v1.TraceService", path: "/v1/traces", what: "spans",
		rejected: "rejectedSpans", fromJSON: otlp.FromJSON, submit: (*intake).submitTraces,
	}
	metrics = &signal{
		service: "opentelemetry.proto.collector.metrics.v1.MetricsService", path: "/v1/metrics", what: "metrics",
		rejected: "rejectedDataPoints", fromJSON: otlp.MetricsFromJSON, submit: (*intake).submitMetrics,
	}
	logs = &signal{
		service: "opentelemetry.proto.collector.logs.v1.LogsService", path: "/v1/logs", what: "logs",
		rejected: "rejectedLogRecords", fromJSON: otlp.LogsFromJSON, submit: (*intake).submitLogs,
	}
	signals = []*signal{traces, metrics, logs}
)

// Profiles have no stable protocol yet: the answer is 404.
const (
	profileService = "opentelemetry.proto.collector.profiles.v1development.ProfilesService"
	profilePath    = "/v1development/profiles"
	noProfiles     = "profiles are not stored: etude accepts traces and metrics; set OTEL_PROFILES_EXPORTER=none, or remove the profiles exporter from the pipeline"
)

const (
	noLogs    = "logs are not stored: etude accepts traces and metrics; set OTEL_LOGS_EXPORTER=none to send none"
	noMetrics = "metrics are not stored: this backend runs without its metrics engine; set OTEL_METRICS_EXPORTER=none to send none"
)

// MetricsSink accepts metrics as the bytes of an OTLP ExportMetricsServiceRequest (opentelemetry-proto,
// collector/metrics/v1), and returns when queries find them. After AppendMetrics returns, the payload belongs
// to the caller again. The context has the tenant as for a [Sink], and errors select the client's answer by the
// same methods.
type MetricsSink interface {
	AppendMetrics(ctx context.Context, payload []byte) (RejectedPoints, error)
}

// RejectedPoints is the number of data points that a MetricsSink rejected, and the reason for the sender; zero:
// none.
type RejectedPoints struct {
	Points int
	Reason string
}

func (in *intake) submitTraces(ctx context.Context, p Protocol, payload []byte) (partial, error) {
	rejected, err := in.submit(ctx, p, payload)
	return partial{rejected.Spans, rejected.Reason}, err
}

func (in *intake) submitMetrics(ctx context.Context, _ Protocol, payload []byte) (partial, error) {
	points, err := countPoints(payload)
	if err != nil || points == 0 {
		return partial{}, err
	}
	if in.metrics == nil {
		in.stats.metrics.leaveOut(points)
		in.tellOnce(&in.toldMetrics, noMetrics)
		return partial{points, noMetrics}, nil
	}
	if points > in.limits.Points {
		return partial{}, refuse(tooLarge, "request has %d data points, the limit is %d; send smaller batches", points, in.limits.Points)
	}
	rejected, err := in.metrics.AppendMetrics(ctx, payload)
	if err != nil {
		return partial{}, in.storeRefusal(ctx, "store metrics", err)
	}
	in.stats.metrics.accept(points - rejected.Points)
	in.stats.metrics.leaveOut(rejected.Points)
	return partial{rejected.Points, rejected.Reason}, nil
}

func (in *intake) submitLogs(_ context.Context, _ Protocol, payload []byte) (partial, error) {
	records, err := countLeaves(payload, "logs")
	if err != nil || records == 0 {
		return partial{}, err
	}
	in.stats.logs.leaveOut(records)
	in.tellOnce(&in.toldLogs, noLogs)
	return partial{records, noLogs}, nil
}

// otherPath answers requests to paths without a signal.
func otherPath(path string) string {
	if path == profilePath {
		return "404 " + noProfiles
	}
	return fmt.Sprintf("404 nothing at %s: OTLP traces go to POST %s, metrics to POST %s", path, traces.path, metrics.path)
}
