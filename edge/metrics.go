package edge

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The names, labels and meanings are those of Traefik's Prometheus metrics (see
// its documentation, "Metrics"), so that dashboards and alerts serve both; what
// has no counterpart there begins with etude_edge_.

// latencyBuckets are in seconds. Traefik's default, 0.1 0.3 1.2 5, would put most
// of the demo into one; conf/traefik gives Traefik these.
var latencyBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.25, 1.5, 1.75, 2, 2.5, 5, 10}

// instruments are the metrics that are counted as requests pass.
type instruments struct {
	registry          *prometheus.Registry
	entryPoint        *requestMetrics // labels code, method, protocol, entrypoint
	service           *requestMetrics // labels code, method, protocol, service
	open              *prometheus.GaugeVec
	reloads           prometheus.Counter
	lastReloadSuccess prometheus.Gauge
}

// requestMetrics count the requests of one kind of thing. The series of each
// combination of labels are looked up together, in a map of their own: one hash
// instead of three, and no memory.
type requestMetrics struct {
	total     *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	responses *prometheus.CounterVec

	mu     sync.RWMutex
	series map[requestLabels]*requestSeries
}

// requestLabels are bounded: see codeLabel, methodLabel, protocolLabel; names are
// those of the configuration.
type requestLabels struct {
	code                   int
	method, protocol, name string
}

type requestSeries struct {
	total, responses prometheus.Counter
	duration         prometheus.Observer
}

func newRequestMetrics(prefix, what, label string) *requestMetrics {
	labels := []string{"code", "method", "protocol", label}
	return &requestMetrics{
		series: map[requestLabels]*requestSeries{},
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "_requests_total", Help: "Requests " + what + ".",
		}, labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "_request_duration_seconds", Help: "Time to answer requests " + what + ".", Buckets: latencyBuckets,
		}, labels),
		responses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "_responses_bytes_total", Help: "Bytes of the bodies of answers to requests " + what + ".",
		}, labels),
	}
}

func newInstruments() *instruments {
	in := &instruments{
		registry:   prometheus.NewRegistry(),
		entryPoint: newRequestMetrics("traefik_entrypoint", "that an entry point has had", "entrypoint"),
		service:    newRequestMetrics("traefik_service", "that a service has had", "service"),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "traefik_open_connections", Help: "Connections that are open, taken over by upgrades or not.",
		}, []string{"entrypoint", "protocol"}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "traefik_config_reloads_total", Help: "Configurations put into service, the first one included.",
		}),
		lastReloadSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "traefik_config_last_reload_success", Help: "When a configuration was last put into service, in Unix seconds.",
		}),
	}
	in.registry.MustRegister(in.open, in.reloads, in.lastReloadSuccess,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, m := range []*requestMetrics{in.entryPoint, in.service} {
		in.registry.MustRegister(m.total, m.duration, m.responses)
	}
	return in
}

func (in *instruments) handler() http.Handler {
	return promhttp.HandlerFor(in.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// reloaded counts a configuration put into service.
func (in *instruments) reloaded() {
	in.reloads.Inc()
	in.lastReloadSuccess.SetToCurrentTime()
}

// observe counts a request that has ended.
func (m *requestMetrics) observe(r *http.Request, name string, status int, bytes int64, took time.Duration) {
	s := m.of(requestLabels{codeLabel(status), methodLabel(r.Method), protocolLabel(r), name})
	s.total.Inc()
	s.duration.Observe(took.Seconds())
	s.responses.Add(float64(bytes))
}

func (m *requestMetrics) of(l requestLabels) *requestSeries {
	m.mu.RLock()
	s := m.series[l]
	m.mu.RUnlock()
	if s != nil { // Fast path: nearly always.
		return s
	}
	code := strconv.Itoa(l.code)
	s = &requestSeries{
		total:     m.total.WithLabelValues(code, l.method, l.protocol, l.name),
		duration:  m.duration.WithLabelValues(code, l.method, l.protocol, l.name),
		responses: m.responses.WithLabelValues(code, l.method, l.protocol, l.name),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.series[l] = s // the same as another's who came first
	return s
}

// codeLabel bounds the values: a service may answer any number.
func codeLabel(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status
}

// methodLabel bounds the values: a client may send any word.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "EXTENSION_METHOD"
}

func protocolLabel(r *http.Request) string {
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return "websocket"
	case r.Header.Get("Accept") == "text/event-stream":
		return "sse"
	}
	return "http"
}

// counted is a listener whose open connections are counted.
type counted struct {
	net.Listener
	open prometheus.Gauge
}

// count wraps the listener of an entry point.
func (in *instruments) count(l net.Listener, entryPoint string) net.Listener {
	return &counted{l, in.open.WithLabelValues(entryPoint, "TCP")}
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Inc()
	return &countedConn{Conn: c, closed: sync.OnceFunc(l.open.Dec)}, nil
}

// countedConn is open until its first Close, whoever has taken it over.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// CloseWrite lets an upgraded connection end in one direction.
func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// state yields at each scrape what the edge knows anyway: whether servers are up,
// and how its spans fare.
type state struct{ *edge }

var (
	serverUp = prometheus.NewDesc("traefik_service_server_up",
		"Whether a server of a service is in rotation: 1, or 0 when it refused connections.", []string{"service", "url"}, nil)
	spansTotal = prometheus.NewDesc("etude_edge_spans_total",
		"Spans of the edge: sent, dropped for want of room, or refused by the backend.", []string{"outcome"}, nil)
	spansQueued = prometheus.NewDesc("etude_edge_queued_spans", "Spans that wait to be sent.", nil, nil)
)

func (state) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{serverUp, spansTotal, spansQueued} {
		out <- d
	}
}

func (s state) Collect(out chan<- prometheus.Metric) {
	for name, service := range s.entry.table.Load().services {
		seen := map[string]bool{} // a server may have several turns
		for _, turn := range service.balancer.turns {
			if url := turn.server.text; !seen[url] {
				seen[url] = true
				up := 0.0
				if turn.health.up() {
					up = 1
				}
				out <- prometheus.MustNewConstMetric(serverUp, prometheus.GaugeValue, up, name, url)
			}
		}
	}
	q := s.entry.tracing.queue
	if q == nil {
		return
	}
	for outcome, n := range map[string]int64{"sent": q.exported.Load(), "dropped": q.dropped.Load(), "refused": q.failed.Load()} {
		out <- prometheus.MustNewConstMetric(spansTotal, prometheus.CounterValue, float64(n), outcome)
	}
	out <- prometheus.MustNewConstMetric(spansQueued, prometheus.GaugeValue, float64(q.length()))
}
