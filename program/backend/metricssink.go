package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/tsdb"

	"etude/metrics/prometheus"
	"etude/receive"
)

// metricsSink passes received OTLP metrics to the embedded Prometheus. They count against the same rate limit
// as the tenant's spans.
type metricsSink struct{ b *backendRun }

// metricsSink returns the receivers' sink for metrics, or nil with --metrics.off.
func (b *backendRun) metricsSink() receive.MetricsSink {
	if b.cmd.Metrics.Off {
		return nil
	}
	return metricsSink{b}
}

// AppendMetrics stores a request of the tenant in ctx.
func (s metricsSink) AppendMetrics(ctx context.Context, payload []byte) (receive.RejectedPoints, error) {
	id, err := s.b.stores.Allow(ctx, len(payload))
	if err != nil {
		return receive.RejectedPoints{}, err
	}
	m := prometheus.Metrics{Payload: payload}
	if s.b.cmd.Multitenancy {
		m.TenantLabel, m.Tenant = s.b.cmd.Generator.TenantLabel, id
	}
	rejected, err := s.b.prometheus.AppendOTLP(ctx, m)
	switch {
	case errors.Is(err, prometheus.ErrNotOTLP):
		return receive.RejectedPoints{}, badMetricsError{err}
	case errors.Is(err, tsdb.ErrNotReady):
		return receive.RejectedPoints{}, metricsNotReadyError{s.b.prometheus.Ready()}
	}
	return receive.RejectedPoints{Points: rejected.Points, Reason: rejected.Reason}, err
}

// badMetricsError is a mistake of the sender.
type badMetricsError struct{ error }

// InvalidSpans marks the error as permanent: sending the same data again does not help.
func (badMetricsError) InvalidSpans() bool { return true }

// metricsNotReadyError means that Prometheus' storage is not open yet.
type metricsNotReadyError struct{ why error }

func (e metricsNotReadyError) Error() string {
	return fmt.Sprintf("metrics cannot be stored yet: %v", e.why)
}

// RetryAfter is the time until the storage is likely to be open.
func (metricsNotReadyError) RetryAfter() time.Duration { return time.Second }

// Unavailable marks the error as not caused by load.
func (metricsNotReadyError) Unavailable() bool { return true }
