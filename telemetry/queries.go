package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// queries are the measurements of the query API.
type queries struct {
	durations *prometheus.HistogramVec
	answered  *prometheus.CounterVec
	running   *prometheus.GaugeVec
	spans     prometheus.Counter
}

func newQueries() queries {
	return queries{
		durations: prometheus.NewHistogramVec(histogramOpts("etude_query_duration_seconds", "Time to answer a query, by kind and protocol.", queryBuckets), []string{"kind", "protocol"}),
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "etude_queries_total", Help: "Queries that have ended, by outcome.",
		}, []string{"kind", "protocol", "outcome"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "etude_queries_in_flight", Help: "Queries that run or wait.",
		}, []string{"kind", "protocol"}),
		spans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "etude_query_inspected_spans_total", Help: "Spans that searches and metrics queries read.",
		}),
	}
}

// Expect creates the series of a kind of query with value 0 before the first query, because a rate needs a
// value to rise from.
func (t *Telemetry) Expect(kind string) {
	for _, protocol := range []string{"http", "grpc"} {
		t.queries.durations.WithLabelValues(kind, protocol)
		t.queries.running.WithLabelValues(kind, protocol)
		for _, outcome := range outcomes {
			t.queries.answered.WithLabelValues(kind, protocol, outcome)
		}
	}
}

// Query counts the beginning of a query; the returned function counts its end. status is an HTTP status code.
// traceID is the trace of the query itself, or "". It becomes the exemplar of the query's duration, under
// Tempo's label name.
func (t *Telemetry) Query(kind string, grpc bool) (end func(status int, traceID string)) {
	protocol := "http"
	if grpc {
		protocol = "grpc"
	}
	began, running := time.Now(), t.queries.running.WithLabelValues(kind, protocol)
	running.Inc()
	return func(status int, traceID string) {
		running.Dec()
		took, durations := time.Since(began).Seconds(), t.queries.durations.WithLabelValues(kind, protocol)
		if traceID == "" {
			durations.Observe(took)
		} else {
			durations.(prometheus.ExemplarObserver).ObserveWithExemplar(took, prometheus.Labels{"traceID": traceID})
		}
		t.queries.answered.WithLabelValues(kind, protocol, outcomeOf(status)).Inc()
	}
}

// Inspected counts the spans that a query read.
func (t *Telemetry) Inspected(spans int) { t.queries.spans.Add(float64(spans)) }

// outcomes are the possible ends of a query.
var outcomes = []string{"ok", "not_found", "refused", "canceled", "timed_out", "failed"}

const statusClientGone = 499 // the client left before the answer

func outcomeOf(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "ok"
	case status == http.StatusNotFound:
		return "not_found"
	case status == statusClientGone:
		return "canceled"
	case status == http.StatusGatewayTimeout:
		return "timed_out"
	case status < http.StatusInternalServerError:
		return "refused"
	}
	return "failed"
}
