package prometheus

import (
	"net/http"
	"sync"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/tsdb"
)

// ownMetrics are the metrics that Prometheus' program adds to those of its packages, under the names that
// dashboards use.
type ownMetrics struct {
	requests *client.CounterVec
	duration *client.HistogramVec
	success  client.Gauge
	at       client.Gauge
	outside  *outsideCounts
	relay    *relayCounts

	mu     sync.Mutex
	ok     bool
	okTime time.Time
}

func newOwnMetrics() *ownMetrics {
	return &ownMetrics{
		requests: client.NewCounterVec(client.CounterOpts{Name: "prometheus_http_requests_total", Help: "Counter of HTTP requests."}, []string{"handler", "code"}),
		duration: client.NewHistogramVec(client.HistogramOpts{Name: "prometheus_http_request_duration_seconds", Help: "Histogram of latencies for HTTP requests.",
			Buckets: []float64{.01, .1, .4, 1, 3, 8, 20, 60, 120}}, []string{"handler"}),
		success: client.NewGauge(client.GaugeOpts{Name: "prometheus_config_last_reload_successful", Help: "Whether the last configuration reload attempt was successful."}),
		at:      client.NewGauge(client.GaugeOpts{Name: "prometheus_config_last_reload_success_timestamp_seconds", Help: "Timestamp of the last successful configuration reload."}),
		outside: newOutsideCounts(), relay: newRelayCounts(),
	}
}

// loaded records whether a configuration was applied.
func (m *ownMetrics) loaded(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ok = err == nil
	if err != nil {
		m.success.Set(0)
		return
	}
	m.okTime = time.Now().UTC()
	m.success.Set(1)
	m.at.SetToCurrentTime()
}

func (m *ownMetrics) lastLoad() (ok bool, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ok, m.okTime
}

// instrument counts the requests of a handler and measures their durations.
func (m *ownMetrics) instrument(name string, h http.HandlerFunc) http.HandlerFunc {
	labels := client.Labels{"handler": name}
	return promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(labels),
		promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(labels), h))
}

// freshRegistry replaces the registry. A failed attempt to open the storage leaves metrics in it, with which
// those of the next attempt would collide.
func (p *Prometheus) freshRegistry() *client.Registry {
	r := client.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		p.own.requests, p.own.duration, p.own.success, p.own.at, p.own.outside.taken, p.own.outside.refused, p.own.outside.series, p.own.relay.refused, p.own.relay.split,
		client.NewGaugeFunc(client.GaugeOpts{Name: "prometheus_ready", Help: "Whether Prometheus startup was fully completed and the server is ready for normal operation."},
			func() float64 {
				if p.Ready() == nil {
					return 1
				}
				return 0
			}))
	p.registry.Store(r)
	p.stats.Store(tsdb.NewDBStats())
	return r
}

func (p *Prometheus) gather() ([]*dto.MetricFamily, error) { return p.registry.Load().Gather() }
