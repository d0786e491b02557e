package prometheus

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func (p *Prometheus) routes() http.Handler {
	mux := http.NewServeMux()
	gather := client.GathererFunc(p.gather)
	mux.Handle("GET /metrics", p.own.instrument("/metrics", promhttp.HandlerFor(gather, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP))
	mux.HandleFunc("/api/v1/", p.serveAPI)
	mux.HandleFunc("GET /federate", p.whenReady(p.federate))
	mux.HandleFunc("GET /-/healthy", text("Prometheus Server is Healthy.\n"))
	mux.HandleFunc("GET /-/ready", p.whenReady(text("Prometheus Server is Ready.\n")))
	mux.HandleFunc("/-/reload", p.serveReload)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, version()) })
	if p.options.UI != nil {
		mux.Handle("/", p.options.UI)
	} else {
		mux.Handle("GET /{$}", text(endpoints))
	}
	return mux
}

const endpoints = `Prometheus, inside etude.

/api/v1/query?query=up     PromQL, and the rest of Prometheus' HTTP API
/api/v1/targets            what is scraped
/metrics                   its own metrics
/federate?match[]=up       the newest samples
/-/ready  /-/healthy       its state
`

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

// serveAPI passes requests to the server's API. Before the server runs, it answers only with the progress of
// the start.
func (p *Prometheus) serveAPI(w http.ResponseWriter, r *http.Request) {
	writes := r.URL.Path == writePath || r.URL.Path == otlpPath
	most := int64(maxQueryBody)
	if writes {
		most = maxRequestBody
	}
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, most)
	}
	if !writes {
		if err := boundTexts(r); err != nil {
			answer(w, http.StatusBadRequest, map[string]string{"status": "error", "errorType": "bad_data", "error": err.Error()})
			return
		}
	}
	if s := p.running.Load(); s != nil {
		if writes {
			s.receiver.ServeHTTP(w, r)
		} else {
			s.api.ServeHTTP(w, r)
		}
		return
	}
	if r.URL.Path == "/api/v1/status/walreplay" {
		now := p.walReplay()
		answer(w, http.StatusOK, map[string]any{"status": "success", "data": map[string]int{"min": now.Min, "max": now.Max, "current": now.Current}})
		return
	}
	err := p.Ready()
	if err == nil { // it has become ready meanwhile
		err = fmt.Errorf("starting")
	}
	answer(w, http.StatusServiceUnavailable, map[string]string{"status": "error", "errorType": "unavailable", "error": err.Error()})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// whenReady answers 503 with the reason until everything runs.
func (p *Prometheus) whenReady(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := p.Ready(); err != nil {
			w.Header().Set("X-Prometheus-Stopping", fmt.Sprint(p.stopping.Load()))
			http.Error(w, "Service Unavailable: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		h(w, r)
	}
}

func (p *Prometheus) serveReload(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		http.Error(w, "Only POST or PUT requests allowed", http.StatusMethodNotAllowed)
	case !p.options.Lifecycle:
		http.Error(w, "Lifecycle API is not enabled.", http.StatusForbidden)
	default:
		if err := p.Reload(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}
