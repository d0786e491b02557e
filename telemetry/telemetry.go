package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Telemetry has the backend's metrics about itself: the samples of a [Source], its own histograms, and metrics
// of the Go runtime and the process. Its methods are safe for concurrent use.
type Telemetry struct {
	source                                   Source
	registry                                 *prometheus.Registry
	acknowledged, applied, synced, seal, cut prometheus.Histogram
	queries                                  queries
}

// New returns a Telemetry that exports the samples of source.
func New(source Source) *Telemetry {
	t := &Telemetry{
		source:   source,
		registry: prometheus.NewRegistry(),
		acknowledged: histogram("etude_store_append_duration_seconds",
			"Time from a request's spans being handed to the storage until they were acknowledged: validated, on disk, visible to queries.", diskBuckets),
		applied: histogram("etude_store_apply_duration_seconds",
			"Time to add the payloads of one log write to memory.", workBuckets),
		synced: histogram("etude_store_sync_duration_seconds",
			"Time of one sync of the write-ahead log, which serves all waiting requests.", diskBuckets),
		cut: histogram("etude_store_cut_duration_seconds",
			"Time to write the oldest tables to a block, including pauses.", cutBuckets),
		seal: histogram("etude_store_seal_duration_seconds",
			"Time to seal a full table, in the background.", workBuckets),
		queries: newQueries(),
	}
	t.registry.MustRegister(collector{source}, t.acknowledged, t.applied, t.synced, t.seal, t.cut, t.queries.durations, t.queries.answered, t.queries.running, t.queries.spans,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return t
}

// Buckets of histograms, in seconds, each twice the one before.
var (
	diskBuckets  = prometheus.ExponentialBuckets(50e-6, 2, 16)  // 50 us to 1.6 s
	workBuckets  = prometheus.ExponentialBuckets(1e-3, 2, 12)   // 1 ms to 2 s
	cutBuckets   = prometheus.ExponentialBuckets(10e-3, 2, 14)  // 10 ms to 82 s
	queryBuckets = prometheus.ExponentialBuckets(250e-6, 2, 18) // 250 us to 33 s, past the time limit of a query
)

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(histogramOpts(name, help, buckets))
}

// histogramOpts returns the options of a histogram of both kinds. Prometheus' text format shows the classic
// buckets; its protobuf format also shows the native ones, which are 4.4 % apart.
func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.05, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour}
}

// Acknowledged records the duration of an acknowledged append. Every payload calls it and Synced; a call takes
// some tens of nanoseconds and allocates nothing.
func (t *Telemetry) Acknowledged(d time.Duration) { t.acknowledged.Observe(d.Seconds()) }

// Applied records the time to add the payloads of one log write to memory.
func (t *Telemetry) Applied(d time.Duration) { t.applied.Observe(d.Seconds()) }

// Synced records the duration of a sync of the log.
func (t *Telemetry) Synced(d time.Duration) { t.synced.Observe(d.Seconds()) }

// Sealed records the duration of sealing a table.
func (t *Telemetry) Sealed(d time.Duration) { t.seal.Observe(d.Seconds()) }

// Cut records the time to write a block.
func (t *Telemetry) Cut(d time.Duration) { t.cut.Observe(d.Seconds()) }

// Metrics serves /metrics in Prometheus' formats.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Handler serves /metrics, /-/ready and /-/healthy as Prometheus does, and a page with the current values at /.
func (t *Telemetry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", t.Metrics())
	mux.HandleFunc("GET /-/ready", text("etude is ready.\n"))
	mux.HandleFunc("GET /-/healthy", text("etude is healthy.\n"))
	mux.HandleFunc("GET /{$}", startPage(t.source))
	return mux
}
