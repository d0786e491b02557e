// Package telemetry exports the backend's metrics about itself in Prometheus' text format. It owns the endpoint
// and the histograms. Every other part owns its counters. telemetry reads their values at each scrape, so that
// no event is counted in two places.
package telemetry

import (
	"fmt"
	"html"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Sample is the current value of one metric.
type Sample struct {
	Name   string // with its unit, and _total for a counter
	Help   string
	Gauge  bool // false: a counter
	Labels []Label
	Value  float64
}

// Label is one label of a Sample.
type Label struct{ Name, Value string }

// Source yields the current samples. Several goroutines may call it at once, one for each scrape.
type Source func(yield func(Sample))

// collector turns samples into constant metrics. It describes none, so the registry checks consistency at each
// scrape instead.
type collector struct{ source Source }

func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	c.source(func(s Sample) {
		names, values := make([]string, len(s.Labels)), make([]string, len(s.Labels))
		for i, l := range s.Labels {
			names[i], values[i] = l.Name, l.Value
		}
		kind := prometheus.CounterValue
		if s.Gauge {
			kind = prometheus.GaugeValue
		}
		desc := prometheus.NewDesc(s.Name, s.Help, names, nil)
		m, err := prometheus.NewConstMetric(desc, kind, s.Value, values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		out <- m
	})
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func startPage(source Source) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, pageHead)
		source(func(s Sample) {
			name := s.Name
			for i, l := range s.Labels {
				name += [2]string{"{", ", "}[min(i, 1)] + l.Name + `="` + l.Value + `"`
			}
			if len(s.Labels) > 0 {
				name += "}"
			}
			fmt.Fprintf(w, "<tr><td><code>%s</code><td>%g<td>%s\n", html.EscapeString(name), s.Value, html.EscapeString(s.Help))
		})
		fmt.Fprint(w, "</table>\n</main>\n</html>\n")
	}
}

const pageHead = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>etude: metrics of the backend</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --line: light-dark(#ddd, #333); --dim: light-dark(#555, #aaa); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; background: light-dark(#fff, #14161a); color: light-dark(#1b1f24, #e6e6e6); }
main { max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
a { color: light-dark(#0b62c4, #7ab7ff); }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
td, th { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:nth-child(2), th:nth-child(2) { text-align: right; font-variant-numeric: tabular-nums; }
td:nth-child(3) { color: var(--dim); }
</style>
<main>
<h1>Metrics of the trace backend</h1>
<p>Prometheus scrapes them at <a href="metrics">/metrics</a>. The state right now:</p>
<table>
<tr><th>metric<th>value<th>meaning
`
