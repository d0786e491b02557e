package program

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"etude/page"
	"etude/program/listen"
)

type labelSet map[string]string

// cannedPrometheus answers the page's PromQL as a Prometheus would that has
// seen the demo: it recognises a query by what it sums and by which labels. All
// exemplars are of one trace.
type cannedPrometheus struct{ trace string }

func (p cannedPrometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	query := r.FormValue("query")
	if strings.Contains(query, "(up))") {
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, map[string]any{"status": "error", "errorType": "bad_data", "error": "1:3: parse error: unexpected \")\""})
		return
	}
	var data any
	switch path {
	case "query":
		data = map[string]any{"resultType": "vector", "result": p.vector(query)}
	case "query_range":
		data = map[string]any{"resultType": "matrix", "result": p.matrix(query, r)}
	case "query_exemplars":
		end, _ := strconv.ParseFloat(r.FormValue("end"), 64)
		exemplar := map[string]any{"labels": labelSet{"traceID": strings.TrimLeft(p.trace, "0")}, "value": "1.5", "timestamp": end - 600}
		data = []any{map[string]any{"seriesLabels": labelSet{"service": "uservice3"}, "exemplars": []any{exemplar}}}
	case "targets":
		data = map[string]any{"activeTargets": []any{
			map[string]any{"scrapePool": "etude", "scrapeUrl": "http://127.0.0.1/metrics", "health": "up"},
			map[string]any{"scrapePool": "tempo", "scrapeUrl": "http://127.0.0.1:1/metrics", "health": "down", "lastError": "connection refused"},
		}}
	case "status/buildinfo":
		data = labelSet{"version": "3.16.0"}
	default: // what the editor asks for completion, and parts of the status
		data = []string{}
	}
	writeJSON(w, map[string]any{"status": "success", "data": data})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

var byLabels = regexp.MustCompile(`by \(([^)]*)\)`)

func (p cannedPrometheus) groups(query string) (sets []labelSet) {
	by := byLabels.FindStringSubmatch(query)
	switch {
	case by == nil:
		return []labelSet{{"__name__": "up", "job": "etude"}}
	case strings.HasPrefix(by[1], "client, server"):
		if strings.Contains(query, "failed") {
			return []labelSet{{"client": "edge", "server": "uservice3"}}
		}
		return []labelSet{{"client": "user", "server": "edge", "connection_type": "virtual_node"}, {"client": "edge", "server": "uservice3"}, {"client": "uservice3", "server": "uservice4"}}
	case strings.HasPrefix(by[1], "span_name"):
		return []labelSet{{"span_name": "handle_incoming_call", "span_kind": "SPAN_KIND_SERVER"}, {"span_name": "redis_call", "span_kind": "SPAN_KIND_INTERNAL"}}
	case by[1] == "le":
		for _, le := range []string{"0.512", "1.024", "2.048", "4.096", "+Inf"} {
			sets = append(sets, labelSet{"le": le})
		}
		return sets
	case strings.Contains(query, `service="uservice3"`):
		return []labelSet{{"service": "uservice3"}}
	}
	return []labelSet{{"service": "edge"}, {"service": "uservice3"}, {"service": "uservice4"}}
}

// value is 1.5 s for durations, a cumulated count for buckets, 2 a second for
// the rest.
func (p cannedPrometheus) value(query string, set labelSet) string {
	if strings.Contains(query, "histogram_quantile") {
		return "1.5"
	}
	switch set["le"] {
	case "":
		return "2"
	case "0.512":
		return "0"
	case "1.024":
		return "1"
	default:
		return "5"
	}
}

func (p cannedPrometheus) vector(query string) (result []any) {
	for _, set := range p.groups(query) {
		result = append(result, map[string]any{"metric": set, "value": []any{float64(time.Now().Unix()), p.value(query, set)}})
	}
	return result
}

func (p cannedPrometheus) matrix(query string, r *http.Request) (result []any) {
	start, _ := strconv.ParseFloat(r.FormValue("start"), 64)
	end, _ := strconv.ParseFloat(r.FormValue("end"), 64)
	step, _ := strconv.ParseFloat(r.FormValue("step"), 64)
	for _, set := range p.groups(query) {
		var values []any
		for at := start; at <= end; at += step {
			values = append(values, []any{at, p.value(query, set)})
		}
		result = append(result, map[string]any{"metric": set, "values": values})
	}
	return result
}

// drawn is true when every canvas that a selector finds has something on it.
func drawn(selector string, canvases int) string {
	return fmt.Sprintf(`(all => all.length === %d && all.every(c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some(v => v > 0)))([...document.querySelectorAll(%q)])`, canvases, selector)
}

func TestBrowserMetrics(t *testing.T) {
	t.Parallel()
	findChromium(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	trace := d.findTrace(t, "uservice4", 7)
	api, err := url.Parse(d.url(listen.PortAPI, ""))
	if err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	proxy := httputil.NewSingleHostReverseProxy(api)
	with := serve(page.Handler(page.Options{API: proxy, Prometheus: cannedPrometheus{trace}}))
	without := serve(page.Handler(page.Options{API: proxy}))
	start := http.NewServeMux()
	start.Handle("/", page.PrometheusUI(page.Info{Links: page.Links{Page: with}}))
	start.Handle("/api/v1/", cannedPrometheus{trace})
	prometheus := serve(start)

	for _, size := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		t.Run(fmt.Sprintf("%dx%d", size.width, size.height), func(t *testing.T) {
			b := openBrowser(t, size.width, size.height)
			b.seesServices(with, trace)
			b.seesGraph(with)
			b.seesGraphOfTraces(without)
			b.plotsTraceQL(with, trace)
			b.runsPromQL(prometheus)
			b.clean()
		})
	}
}

// seesServices walks from the list of services to the trace of a dot.
func (b *browser) seesServices(origin, trace string) {
	b.t.Helper()
	b.do("open the services", chromedp.Navigate(origin+"/services?from=now-15m"))
	b.shows("three services", count(id("red-row"), 3))
	b.do("open uservice3", chromedp.Click(`a[href^="/services/uservice3"]`, chromedp.NodeVisible))
	b.shows("its name", has(id("service-name"), "uservice3"))
	b.shows("rate, errors and duration", drawn(id("chart")+" canvas", 3))
	b.shows("the heat map", drawn(id("heat-map")+" canvas", 1))
	b.shows("its spans", count(id("red-row"), 2))
	b.shows("a table behind each of them", count(id("chart-table"), 4)+" && "+count(id("chart-table")+" td", 0))
	b.tabTo(id("chart-table") + " summary")
	b.do("open it by a key", chromedp.KeyEvent(kb.Enter))
	b.shows("its numbers", `[...document.querySelectorAll('[data-testid="chart-table"] td')].some(c => /\d/.test(c.innerText))`)
	b.readsHeatMap()
	b.shows("the time range in the address", `location.search === "?from=now-15m"`)
	b.shows("no sideways scrolling", "document.querySelector('main').scrollWidth <= innerWidth")
	// The dot is found by clicking everywhere: no pixel of it is promised.
	b.shows("the trace behind the dot", fmt.Sprintf(`(() => {
		const stage = document.querySelector('%s'), box = stage?.getBoundingClientRect();
		for (let y = 0; stage && y < box.height && location.pathname.startsWith("/services"); y += 6)
			for (let x = 0; x < box.width && location.pathname.startsWith("/services"); x += 6)
				stage.dispatchEvent(new MouseEvent("click", {bubbles: true, clientX: box.x + x, clientY: box.y + y}));
		return location.pathname === "/trace/%s";
	})()`, id("heat-map"), strings.TrimLeft(trace, "0")))
	b.shows("its rows", count(id("span-row"), 7))
	b.do("go back", chromedp.NavigateBack())
	b.shows("the dots as links", count(id("exemplars"), 1))
	b.do("list them", chromedp.Click(id("exemplars")+" summary", chromedp.NodeVisible))
	b.do("follow one", chromedp.Click(id("exemplar-link"), chromedp.NodeVisible))
	b.readTrace(trace)
}

// readsHeatMap opens the table behind the heat map. Four of the five spans of each step took more than
// 1.024 s, as cannedPrometheus counts, and the heat map's label says how many there are in all.
func (b *browser) readsHeatMap() {
	b.t.Helper()
	table := `document.querySelector('[data-testid="heat-map"]').closest("figure").querySelector('[data-testid="chart-table"]')`
	b.do("open the table of the heat map", chromedp.Evaluate[chromedp.Void](`void `+table+`.querySelector("summary").click()`))
	heads := `[...` + table + `.querySelectorAll("thead th")].map(th => th.innerText)`
	b.shows("its ranges of durations", `(heads => heads[0] === "From" && heads.includes("1.02 s – 2.05 s"))(`+heads+`)`)
	b.shows("the spans of each", heads+`.indexOf("1.02 s – 2.05 s") > 0 && [...`+table+`.querySelectorAll("tbody tr")].every(tr => tr.cells[`+heads+`.indexOf("1.02 s – 2.05 s")].innerText === "4")`)
	b.shows("as many as the label counts", `((sum, [, n, k]) => sum > 0 && Math.abs(sum - n * (k ? 1000 : 1)) <= sum / 200)(
		[...`+table+`.querySelectorAll("tbody td")].reduce((sum, td) => sum + Number(td.innerText), 0),
		/about ([\d.]+)(k?) spans between/.exec(document.querySelector('[data-testid="heat-map"]').ariaLabel))`)
}

// seesGraph reaches the traces of an edge by the keyboard alone, then the
// charts of a service.
func (b *browser) seesGraph(origin string) {
	b.t.Helper()
	b.do("open the service graph", chromedp.Navigate(origin+"/explore?tab=graph"))
	b.shows("the nodes", count(id("graph-node"), 4))
	b.shows("the edges", count(id("graph-edge"), 3))
	b.tabTo(id("graph-edge") + `[aria-label*="calls from edge to uservice3"]`)
	b.do("choose the edge", chromedp.KeyEvent(kb.Enter))
	for _, want := range []string{"edge → uservice3", "2/s", "100%", "1.5 s"} {
		b.shows("detail "+want, has(id("graph-details"), want))
	}
	b.tabTo(id("graph-traces"))
	b.do("go to its traces", chromedp.KeyEvent(kb.Enter))
	b.shows("the query of the edge", `new URLSearchParams(location.search).get("q") === '{ resource.service.name="edge" } > { resource.service.name="uservice3" }'`)
	b.shows("the trace", count(id("result-link"), 1))
	b.do("go back", chromedp.NavigateBack())
	b.shows("the graph again", count(id("graph-node"), 4))
	b.tabTo(id("graph-node") + `[aria-label^="uservice3:"]`)
	b.do("choose the service", chromedp.KeyEvent(kb.Enter))
	b.do("go to its charts", chromedp.Click(id("graph-red"), chromedp.NodeVisible))
	b.shows("the charts", drawn(id("chart")+" canvas", 3))
}

// seesGraphOfTraces is the graph where there is no Prometheus.
func (b *browser) seesGraphOfTraces(origin string) {
	b.t.Helper()
	b.do("open the service graph", chromedp.Navigate(origin+"/explore?tab=graph"))
	b.shows("why it is from traces", has(id("graph-reason"), "No Prometheus"))
	b.shows("the nodes", count(id("graph-node"), 3))
	b.do("open the services", chromedp.Navigate(origin+"/services"))
	b.shows("why there are none", has(id("no-metrics"), "No Prometheus"))
}

// plotsTraceQL asks the real backend.
func (b *browser) plotsTraceQL(origin, trace string) {
	b.t.Helper()
	ask := func(query, more string) {
		b.t.Helper()
		b.do("ask "+query, chromedp.Navigate(origin+"/explore?tab=traceql&from=now-5m&q="+url.QueryEscape(query)+more))
	}
	ask("{ } | rate() by (resource.service.name)", "")
	b.shows("the lines", drawn(id("chart")+" canvas", 1))
	for _, service := range []string{"edge", "uservice3", "uservice4"} {
		b.shows("the line of "+service, has(id("metrics"), service))
	}
	b.do("ask for one number", chromedp.Click(id("metrics-instant"), chromedp.NodeVisible))
	b.shows("a table of three", count(id("metrics")+" tbody tr", 3))
	ask(`{ name = "database_call" } | quantile_over_time(duration, .5, .99)`, "")
	b.shows("the quantiles", has(id("metrics"), "p99"))
	b.do("list the exemplars", chromedp.Click(id("exemplars")+" summary", chromedp.NodeVisible))
	b.do("follow one", chromedp.Click(id("exemplar-link"), chromedp.NodeVisible))
	b.shows("its trace", has(id("trace-id"), trace))
	ask("{ } | histogram_over_time(duration)", "")
	b.shows("a heat map", drawn(id("heat-map")+" canvas", 1))
	ask("{ } | compare({ status = error })", "")
	b.shows("what tells failed spans apart", has(id("compare"), "handle_incoming_call"))
	ask("{ }", "")
	b.shows("a search again", count(id("result-link"), 1))
}

// runsPromQL is the start page of Prometheus.
func (b *browser) runsPromQL(origin string) {
	b.t.Helper()
	b.do("open it", chromedp.Navigate(origin+"/"))
	b.shows("the editor", `document.querySelector('[data-testid="promql-editor"] > div')?.shadowRoot?.querySelector('[data-testid="promql-input"]')`)
	b.do("focus it", chromedp.Evaluate[chromedp.Void](`void document.querySelector('[data-testid="promql-editor"] > div').shadowRoot.querySelector('[data-testid="promql-input"]').focus()`))
	b.do("type and run", chromedp.KeyEvent("up"), chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Enter))
	b.shows("a row", count(id("sample"), 1))
	b.shows("the series", has(id("answer"), `up{job="etude"}`))
	b.do("plot a quantile", chromedp.Navigate(origin+"/graph?g0.tab=0&g0.expr="+url.QueryEscape("histogram_quantile(0.9, sum by (service, le) (rate(traces_spanmetrics_latency_bucket[1m])))")))
	b.shows("the graph", drawn(id("chart")+" canvas", 1))
	b.shows("its dot", count(id("exemplars"), 1))
	b.do("open the targets", chromedp.Click(`a[href="/targets"]`, chromedp.NodeVisible))
	b.shows("the ill target", has(id("targets"), "connection refused"))
	b.do("open the status", chromedp.Click(`a[href="/status"]`, chromedp.NodeVisible))
	b.shows("the version", has(id("status"), "3.16.0"))
}
