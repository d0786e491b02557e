package edge

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The names, labels and meanings are those of Traefik's Prometheus metrics (see
// "Metrics" in its documentation), so that dashboards and alerts work for both.
// Metrics that Traefik does not have begin with etude_edge_.

// latencyBuckets are in seconds. Traefik's default, 0.1 0.3 1.2 5, would put most of the demo into one bucket;
// conf/traefik gives Traefik these.
var latencyBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.25, 1.5, 1.75, 2, 2.5, 5, 10}

const bucketCount = 15 // of latencyBuckets

// instruments are the metrics of connections and reloads. The metrics of requests come
// from traffic.
type instruments struct {
	registry          *prometheus.Registry
	open              *prometheus.GaugeVec
	reloads           prometheus.Counter
	lastReloadSuccess prometheus.Gauge
}

func newInstruments(stats *registry) *instruments {
	in := &instruments{
		registry: prometheus.NewRegistry(),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "traefik_open_connections", Help: "Open connections, including upgraded ones.",
		}, []string{"entrypoint", "protocol"}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "traefik_config_reloads_total", Help: "Configurations applied, including the first one.",
		}),
		lastReloadSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "traefik_config_last_reload_success", Help: "Time when a configuration was last applied, in Unix seconds.",
		}),
	}
	in.registry.MustRegister(in.open, in.reloads, in.lastReloadSuccess,
		newRequestMetrics(stats, kindEntryPoint, "traefik_entrypoint", "received by an entry point", "entrypoint"),
		newRequestMetrics(stats, kindService, "traefik_service", "sent to a service", "service"),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return in
}

func (in *instruments) handler() http.Handler {
	return promhttp.HandlerFor(in.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// reloaded counts an applied configuration.
func (in *instruments) reloaded() {
	in.reloads.Inc()
	in.lastReloadSuccess.SetToCurrentTime()
}

// The kinds of objects whose requests are counted.
const (
	kindEntryPoint = "entryPoint"
	kindRouter     = "router"
	kindService    = "service"
)

// requestMetrics exposes the traffic of all objects of one kind.
type requestMetrics struct {
	stats                      *registry
	kind                       string
	total, duration, responses *prometheus.Desc
}

func newRequestMetrics(stats *registry, kind, prefix, which, label string) *requestMetrics {
	names := []string{"code", "method", "protocol", label}
	return &requestMetrics{
		stats: stats, kind: kind,
		total:     prometheus.NewDesc(prefix+"_requests_total", "Requests "+which+".", names, nil),
		duration:  prometheus.NewDesc(prefix+"_request_duration_seconds", "Time to answer requests "+which+".", names, nil),
		responses: prometheus.NewDesc(prefix+"_responses_bytes_total", "Bytes of the bodies of answers to requests "+which+".", names, nil),
	}
}

func (m *requestMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.total, m.duration, m.responses} {
		out <- d
	}
}

func (m *requestMetrics) Collect(out chan<- prometheus.Metric) {
	for name, t := range m.stats.all(m.kind) {
		for l, s := range t.snapshot() {
			values := []string{strconv.Itoa(l.code), l.method, l.protocol, name}
			buckets, below := make(map[float64]uint64, len(latencyBuckets)), uint64(0)
			for i, bound := range latencyBuckets {
				below += s.buckets[i]
				buckets[bound] = below
			}
			out <- prometheus.MustNewConstMetric(m.total, prometheus.CounterValue, float64(s.requests), values...)
			out <- prometheus.MustNewConstMetric(m.responses, prometheus.CounterValue, float64(s.bytes), values...)
			out <- prometheus.MustNewConstHistogram(m.duration, s.requests, s.seconds, buckets, values...)
		}
	}
}

// labelsOf returns the labels of an answered request. Each label has few values, independent of the input.
func labelsOf(r *http.Request, status int) labels {
	return labels{codeLabel(status), methodLabel(r.Method), protocolLabel(r)}
}

// codeLabel limits the values: a service may answer any number.
func codeLabel(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status
}

// methodLabel limits the values: a client may send any word.
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

// countedConn counts as open until its first Close, also after an upgrade.
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

// state exposes the state of servers and of the span queue at each scrape.
type state struct{ *edge }

var (
	serverUp = prometheus.NewDesc("traefik_service_server_up",
		"Whether a server of a service is in rotation: 1, or 0 after it refused connections.", []string{"service", "url"}, nil)
	spansTotal = prometheus.NewDesc("etude_edge_spans_total",
		"Spans of the edge: sent, dropped because the queue was full, or refused by the backend.", []string{"outcome"}, nil)
	droppedHeaders = prometheus.NewDesc("etude_edge_dropped_headers_total",
		"Dropped headers of clients: claims about the client, aliases of other headers, names in Connection, upgrades to HTTP/2.", []string{"reason"}, nil)
	refusedPaths = prometheus.NewDesc("etude_edge_refused_paths_total",
		"Requests answered with 400 because servers would interpret their path differently.", nil, nil)
	spansQueued = prometheus.NewDesc("etude_edge_queued_spans", "Spans that wait to be sent.", nil, nil)
)

func (state) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{serverUp, droppedHeaders, refusedPaths, spansTotal, spansQueued} {
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
	f := s.entry.forwarder
	for reason, n := range map[string]int64{"claim": f.claims.Load(), "alias": f.aliases.Load(), "connection": f.options.Load(), "upgrade": f.upgrades.Load()} {
		out <- prometheus.MustNewConstMetric(droppedHeaders, prometheus.CounterValue, float64(n), reason)
	}
	out <- prometheus.MustNewConstMetric(refusedPaths, prometheus.CounterValue, float64(s.entry.refused.Load()))
	q := s.entry.tracing.queue
	if q == nil {
		return
	}
	for outcome, n := range map[string]int64{"sent": q.exported.Load(), "dropped": q.dropped.Load(), "refused": q.failed.Load()} {
		out <- prometheus.MustNewConstMetric(spansTotal, prometheus.CounterValue, float64(n), outcome)
	}
	out <- prometheus.MustNewConstMetric(spansQueued, prometheus.GaugeValue, float64(q.length()))
}
