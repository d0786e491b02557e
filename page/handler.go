package page

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// Options configure the page.
type Options struct {
	API http.Handler // handles requests below /api/; nil answers 404
	// Prometheus handles Prometheus' HTTP API, with paths that begin with /api/v1/. The page reaches the query
	// routes below /prometheus/. With nil, these answer 404, and the page computes what it can from traces.
	Prometheus http.Handler
	// Teach handles requests below /api/etude/, including those of the walk and the labs; nil leaves them to
	// API. Walk reports whether Teach can send requests through the demo.
	Teach http.Handler
	Walk  bool
	Info  Info
}

// policy lets the page load only its own files: no inline script or style, no frames, no other host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const (
	forever = "public, max-age=31536000, immutable" // the name contains a hash of the content
	recheck = "no-cache"                            // ask every time; the ETag makes the answer short
)

// The pages of dist/. They share all other files.
const (
	indexName      = "index.html"
	prometheusName = "prometheus.html"
	edgeName       = "dashboard.html"
)

// Handler serves the page. The views /, /explore, /services/{name}, /trace/{id}, /compare, /walk/{step} and
// /labs/{name} are all index.html, which reads the address itself. Any other path that is not a file answers
// 404. A browser gets index.html with that status, which explains the mistake and links to the views.
func Handler(o Options) http.Handler {
	mux := serve(indexName, []string{"/{$}", "/explore", "/explore/{$}", "/services", "/services/{$}", "/services/{name}", "/trace/{id}",
		"/compare", "/compare/{$}", "/walk", "/walk/{step}", "/labs", "/labs/{name}"},
		answer{Info: o.Info, Metrics: o.Prometheus != nil, Walk: o.Walk})
	if o.API != nil {
		mux.Handle("/api/", o.API)
	}
	if o.Teach != nil {
		mux.Handle("/api/etude/", o.Teach)
	}
	if o.Prometheus != nil {
		mountQueries(mux, o.Prometheus)
	}
	missing := secured(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { built()[indexName].serve(w, r, http.StatusNotFound) }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			missing.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// PrometheusUI serves the start page of the embedded Prometheus: an expression with its table and graph,
// targets, status. The caller serves Prometheus' HTTP API on the same origin, below /api/v1/. Exemplars link to
// Links.Page of info, if set.
func PrometheusUI(info Info) http.Handler {
	return serve(prometheusName, []string{"/{$}", "/graph", "/query", "/targets", "/status"}, answer{Info: info, Metrics: true})
}

// EdgeDashboard serves the dashboard of the edge below prefix, which begins and ends with a slash. The page
// names its files relative to itself. It reads the edge's API on its own origin, below /api/.
func EdgeDashboard(prefix string) http.Handler {
	return http.StripPrefix(strings.TrimSuffix(prefix, "/"), serveFiles(edgeName, []string{"/{$}"}))
}

// answer is the content of etude.json.
type answer struct {
	Info
	Metrics bool `json:"metrics"` // whether this server answers PromQL
	Walk    bool `json:"walk"`    // whether it can send requests through the demo
}

// built has the files of dist/, for all pages.
var built = sync.OnceValue(func() map[string]*asset {
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return loadAssets(root)
})

// serve answers as serveFiles does, and says where the other parts are.
func serve(page string, views []string, about answer) *http.ServeMux {
	info, err := json.Marshal(about)
	if err != nil {
		panic(err) // it contains only strings and bools
	}
	mux := serveFiles(page, views)
	mux.HandleFunc("GET /etude.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(info)
	})
	return mux
}

// serveFiles answers views with one page of dist/, and every file with itself.
func serveFiles(page string, views []string) *http.ServeMux {
	files := built()
	mux := http.NewServeMux()
	for _, view := range views {
		mux.Handle("GET "+view, secured(files[page]))
	}
	for name, file := range files {
		if path.Ext(name) != ".html" || name == page {
			mux.Handle("GET /"+name, secured(file))
		}
	}
	return mux
}

// mountQueries gives the page read access to Prometheus. The routes that write, delete or show configuration
// are only on Prometheus' own port.
func mountQueries(mux *http.ServeMux, prometheus http.Handler) {
	queries := http.StripPrefix("/prometheus", prometheus)
	for _, path := range []string{"query", "query_range", "query_exemplars", "series", "labels"} {
		mux.Handle("GET /prometheus/api/v1/"+path, queries)
		mux.Handle("POST /prometheus/api/v1/"+path, queries)
	}
	for _, path := range []string{"label/{name}/values", "metadata", "targets"} {
		mux.Handle("GET /prometheus/api/v1/"+path, queries)
	}
}

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// cacheControl depends on the folder: the build names files in assets/ after their content.
func cacheControl(name string) string {
	if strings.HasPrefix(name, "assets/") {
		return forever
	}
	return recheck
}

// contentTypes is explicit because mime.TypeByExtension depends on the system (on Windows the registry may map
// .js to text/plain).
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

func contentType(name string) string {
	if t, ok := contentTypes[path.Ext(name)]; ok {
		return t
	}
	return "application/octet-stream"
}
