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

// metricsSink hands the OTLP metrics that the receivers take to the embedded
// Prometheus, within the rate that the tenant's spans have too.
type metricsSink struct{ b *backendRun }

// metricsSink returns the receivers' sink for metrics; nil with --metrics.off.
func (b *backendRun) metricsSink() receive.MetricsSink {
	if b.cmd.Metrics.Off {
		return nil
	}
	return metricsSink{b}
}

// AppendMetrics stores a request of the context's tenant.
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

// badMetricsError is the sender's mistake.
type badMetricsError struct{ error }

// InvalidSpans says that sending the same again does not help.
func (badMetricsError) InvalidSpans() bool { return true }

// metricsNotReadyError says that the metrics storage is not open.
type metricsNotReadyError struct{ why error }

func (e metricsNotReadyError) Error() string {
	return fmt.Sprintf("metrics cannot be stored yet: %v", e.why)
}

// RetryAfter is when the storage is likely to be open.
func (metricsNotReadyError) RetryAfter() time.Duration { return time.Second }

// Unavailable says that the load is not the reason.
func (metricsNotReadyError) Unavailable() bool { return true }
