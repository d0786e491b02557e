package edge

import (
	_ "embed" // icon.svg
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The API is read-only and has the format of Traefik's (/api/http/routers and so on; see "API" in Traefik's
// documentation). /api/stats is etude's own.

type routerView struct {
	EntryPoints []string `json:"entryPoints"`
	Service     string   `json:"service"`
	Rule        string   `json:"rule"`
	Priority    int      `json:"priority"`
	Status      string   `json:"status"`
	Errors      []string `json:"error,omitempty"`
	Using       []string `json:"using"`
	Name        string   `json:"name"`
	Provider    string   `json:"provider"`
}

type serviceView struct {
	LoadBalancer loadBalancerView  `json:"loadBalancer"`
	Status       string            `json:"status"`
	UsedBy       []string          `json:"usedBy"`
	ServerStatus map[string]string `json:"serverStatus"`
	Name         string            `json:"name"`
	Provider     string            `json:"provider"`
	Type         string            `json:"type"`
}

type loadBalancerView struct {
	Servers            []serverView      `json:"servers"`
	PassHostHeader     bool              `json:"passHostHeader"`
	ResponseForwarding map[string]string `json:"responseForwarding"`
}

type serverView struct {
	URL          string `json:"url"`
	Weight       *int   `json:"weight,omitempty"`
	PreservePath bool   `json:"preservePath,omitempty"`
}

// DashboardPath is the path of the dashboard.
const DashboardPath = "/dashboard/"

// dashboardHandler serves everything on the dashboard's address.
func (e *edge) dashboardHandler() http.Handler {
	mux := http.NewServeMux()
	if e.options.Dashboard != nil {
		mux.Handle("GET "+DashboardPath, e.options.Dashboard)
		for _, path := range []string{"GET /{$}", "GET /dashboard"} {
			mux.Handle(path, http.RedirectHandler(DashboardPath, http.StatusFound))
		}
	}
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "OK") })
	mux.Handle("GET /metrics", e.metrics.handler())
	mux.HandleFunc("GET /api/version", e.serveVersion)
	mux.HandleFunc("GET /api/overview", e.serveOverview)
	mux.HandleFunc("GET /api/rawdata", e.serveRawData)
	mux.HandleFunc("GET /api/stats", e.serveStats)
	serveNamed(mux, "/api/entrypoints", "entry point", e.entryPointViews)
	serveNamed(mux, "/api/http/routers", "router", e.routerViews)
	serveNamed(mux, "/api/http/services", "service", e.serviceViews)
	serveNamed(mux, "/api/http/middlewares", "middleware", func() []named { return []named{} })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writeProblem(w, http.StatusMethodNotAllowed, "this API is read-only")
			return
		}
		writeProblem(w, http.StatusNotFound, "no such page: see /dashboard/ and /api/overview")
	})
	return mux
}

// named is an item of a list, with the texts that filter the list.
type named struct {
	name, status, text string
	view               any
}

// serveNamed serves a list under path, with Traefik's search, status and paging
// parameters, and each item under path/name.
func serveNamed(mux *http.ServeMux, path, what string, list func() []named) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		items, next, err := page(filter(list(), r), r)
		if err != nil {
			writeProblem(w, http.StatusBadRequest, err.Error())
			return
		}
		views := make([]any, len(items))
		for i, item := range items {
			views[i] = item.view
		}
		w.Header().Set("X-Next-Page", strconv.Itoa(next))
		writeJSON(w, http.StatusOK, views)
	})
	mux.HandleFunc("GET "+path+"/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		for _, item := range list() {
			if item.name == name {
				writeJSON(w, http.StatusOK, item.view)
				return
			}
		}
		writeProblem(w, http.StatusNotFound, fmt.Sprintf("%s not found: %s", what, name))
	})
}

func filter(items []named, r *http.Request) []named {
	search, status := strings.ToLower(r.URL.Query().Get("search")), r.URL.Query().Get("status")
	return slices.DeleteFunc(items, func(n named) bool {
		return search != "" && !strings.Contains(strings.ToLower(n.name+"\n"+n.text), search) ||
			status != "" && !strings.EqualFold(status, n.status)
	})
}

// page returns the page that the request asks for. As in Traefik, the first page is 1, a page has 100 items by
// default, and the page after the last one is 1.
func page(items []named, r *http.Request) (part []named, next int, err error) {
	number, err := positive(r, "page", 1)
	if err != nil {
		return nil, 0, err
	}
	size, err := positive(r, "per_page", 100)
	if err != nil {
		return nil, 0, err
	}
	if number > 1 && number-1 > (len(items)-1)/size {
		return nil, 0, fmt.Errorf("page %d with per_page %d is past the end of %d items", number, size, len(items))
	}
	from := (number - 1) * size
	if len(items)-from <= size {
		return items[from:], 1, nil
	}
	return items[from : from+size], number + 1, nil
}

func positive(r *http.Request, key string, otherwise int) (int, error) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s must be a number from 1, not %q", key, text)
	}
	return n, nil
}

func (e *edge) routerViews() []named {
	var list []named
	for _, rt := range e.entry.table.Load().routes {
		v := routerView{
			EntryPoints: rt.entryPoints, Service: strings.TrimSuffix(rt.service.name, "@file"), Rule: rt.rule.text,
			Priority: rt.priority, Status: "enabled", Using: rt.using, Name: rt.name, Provider: "file",
		}
		if len(rt.entryPoints) == 0 {
			v.EntryPoints = rt.using
		}
		if len(rt.using) == 0 {
			v.Status, v.Using = "disabled", []string{}
			v.Errors = []string{"no entry point of this router exists"}
		}
		list = append(list, named{rt.name, v.Status, rt.rule.text, v})
	}
	slices.SortFunc(list, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return list
}

func (e *edge) serviceViews() []named {
	t := e.entry.table.Load()
	var list []named
	for _, s := range t.services {
		v := serviceView{
			LoadBalancer: loadBalancerView{
				Servers: []serverView{}, PassHostHeader: s.config.passHostHeader,
				ResponseForwarding: map[string]string{"flushInterval": s.config.flushInterval.String()},
			},
			Status: "enabled", UsedBy: []string{}, ServerStatus: map[string]string{},
			Name: s.name, Provider: "file", Type: "loadbalancer",
		}
		for _, turn := range s.balancer.turns {
			server := serverView{URL: turn.server.text, PreservePath: turn.server.preservePath}
			if turn.server.weight != 1 {
				server.Weight = &turn.server.weight
			}
			v.LoadBalancer.Servers = append(v.LoadBalancer.Servers, server)
			v.ServerStatus[turn.server.text] = upOrDown(turn.health)
		}
		for _, rt := range t.routes {
			if rt.service == s {
				v.UsedBy = append(v.UsedBy, rt.name)
			}
		}
		slices.Sort(v.UsedBy)
		list = append(list, named{s.name, v.Status, "", v})
	}
	slices.SortFunc(list, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return list
}

func upOrDown(h *health) string {
	if h.up() {
		return "UP"
	}
	return "DOWN"
}

func (e *edge) entryPointViews() []named {
	view := map[string]any{
		"name":    entryPointName,
		"address": e.web.Addr().String(),
		"transport": map[string]any{
			"lifeCycle":          map[string]any{"graceTimeOut": e.options.StopTimeout.String()},
			"respondingTimeouts": map[string]any{"idleTimeout": keepAliveTimeout.String()},
		},
		"forwardedHeaders": map[string]any{"trustedIPs": e.options.TrustedIPs},
		"http":             map[string]any{},
	}
	return []named{{entryPointName, "enabled", "", view}}
}

func (e *edge) serveVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"Version": e.options.Version, "Codename": "etude", "GoVersion": runtime.Version(), "startDate": e.started.UTC(),
	})
}

type countView struct {
	Total    int `json:"total"`
	Warnings int `json:"warnings"`
	Errors   int `json:"errors"`
}

func (e *edge) serveOverview(w http.ResponseWriter, _ *http.Request) {
	t := e.entry.table.Load()
	routers := countView{Total: len(t.routes)}
	for _, rt := range t.routes {
		if len(rt.using) == 0 {
			routers.Errors++
		}
	}
	tracer := map[string]string{"jaeger": "Jaeger", "otlp": "OpenTelemetry", "none": ""}[e.entry.tracing.exporter]
	none := map[string]countView{"routers": {}, "services": {}}
	writeJSON(w, http.StatusOK, map[string]any{
		"http":      map[string]countView{"routers": routers, "services": {Total: len(t.services)}, "middlewares": {}},
		"tcp":       none,
		"udp":       none,
		"features":  map[string]any{"tracing": tracer, "metrics": "Prometheus", "accessLog": e.options.AccessLog},
		"providers": []string{"File"},
	})
}

func (e *edge) serveRawData(w http.ResponseWriter, _ *http.Request) {
	byName := func(items []named) map[string]any {
		m := make(map[string]any, len(items))
		for _, item := range items {
			m[item.name] = item.view
		}
		return m
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"routers": byName(e.routerViews()), "services": byName(e.serviceViews()), "middlewares": map[string]any{},
	})
}

// statsView is the answer of /api/stats: all values that change without a reload.
type statsView struct {
	Now           time.Time              `json:"now"`
	UptimeSeconds float64                `json:"uptimeSeconds"`
	EntryPoints   map[string]trafficView `json:"entryPoints"`
	Routers       map[string]trafficView `json:"routers"`
	Services      map[string]trafficView `json:"services"`
	Tracing       tracingView            `json:"tracing"`
	Config        configView             `json:"config"`
}

type tracingView struct {
	Exporter    string `json:"exporter"`
	Endpoint    string `json:"endpoint,omitempty"`
	ServiceName string `json:"serviceName"`
	Queued      int    `json:"queued"`
	Capacity    int    `json:"capacity"`
	Sent        int64  `json:"sent"`
	Dropped     int64  `json:"dropped"` // the queue was full
	Refused     int64  `json:"refused"` // the backend refused them
	LastError   string `json:"lastError,omitempty"`
}

type configView struct {
	File      string    `json:"file,omitempty"`
	Loaded    time.Time `json:"loaded"`
	Reloads   int       `json:"reloads"`
	LastError string    `json:"lastError,omitempty"`
	Warnings  []string  `json:"warnings"`
}

func (e *edge) serveStats(w http.ResponseWriter, _ *http.Request) {
	now, t := time.Now(), e.entry.table.Load()
	v := statsView{
		Now: now.UTC(), UptimeSeconds: now.Sub(e.started).Seconds(),
		EntryPoints: map[string]trafficView{entryPointName: e.entry.stats.view(now, now.Sub(e.started))},
		Routers:     make(map[string]trafficView, len(t.routes)),
		Services:    make(map[string]trafficView, len(t.services)),
		Tracing:     e.tracingView(),
		Config:      e.configView(t),
	}
	for _, rt := range t.routes {
		v.Routers[rt.name] = rt.stats.view(now, now.Sub(e.started))
	}
	for name, s := range t.services {
		v.Services[name] = s.stats.view(now, now.Sub(e.started))
	}
	writeJSON(w, http.StatusOK, v)
}

func (e *edge) tracingView() tracingView {
	t := e.entry.tracing
	v := tracingView{Exporter: t.exporter, Endpoint: t.endpoint, ServiceName: e.options.ServiceName}
	if q := t.queue; q != nil {
		v.Queued, v.Capacity = q.length(), queueCapacity
		v.Sent, v.Dropped, v.Refused, v.LastError = q.exported.Load(), q.dropped.Load(), q.failed.Load(), q.lastError()
	}
	return v
}

func (e *edge) configView(t *table) configView {
	e.config.mu.Lock()
	defer e.config.mu.Unlock()
	v := configView{File: e.config.file, Loaded: e.config.loaded.UTC(), Reloads: e.config.reloads,
		LastError: e.config.lastError, Warnings: t.warnings}
	if v.Warnings == nil {
		v.Warnings = []string{}
	}
	return v
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message":"encode answer"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone
}

func writeProblem(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"message": text})
}

//go:embed icon.svg
var icon []byte

// serveFavicon answers with the edge's icon.
func serveFavicon(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(icon) // the client may be gone
}
