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
	API http.Handler // answers below /api/; nil answers 404 there
	// Prometheus answers Prometheus' HTTP API, with paths that begin with
	// /api/v1/. The page reaches what queries need of it below /prometheus/. nil
	// answers 404 there, and the page computes what it can from traces.
	Prometheus http.Handler
	// Teach answers below /api/etude/, also what the walk and the labs ask; nil leaves
	// that to API. Walk says whether it can send requests through the demo.
	Teach http.Handler
	Walk  bool
	Info  Info
}

// policy lets the page load its own files and nothing else: no inline script
// or style, no frames, no other host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const (
	forever = "public, max-age=31536000, immutable" // the name holds a hash of the contents
	recheck = "no-cache"                            // ask every time; the ETag makes the answer short
)

// indexName and prometheusName are the two pages of dist/; all else in it is
// for both.
const (
	indexName      = "index.html"
	prometheusName = "prometheus.html"
)

// Handler serves the page. The views /, /explore, /services/{name},
// /trace/{id}, /compare, /walk/{step} and /labs/{name} are all index.html, which reads the address itself; any other path
// that is not a file is 404, so that a mistyped address is noticed. A browser gets index.html with that status: it says so
// in the page's own look, and where to go.
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

// PrometheusUI serves the start page of the embedded Prometheus: an expression
// with its table and graph, targets, status. The caller serves Prometheus' HTTP
// API on the same origin, below /api/v1/. Links.Page of info, where it is
// known, is where exemplars lead.
func PrometheusUI(info Info) http.Handler {
	return serve(prometheusName, []string{"/{$}", "/graph", "/query", "/targets", "/status"}, answer{Info: info, Metrics: true})
}

// answer is what etude.json says.
type answer struct {
	Info
	Metrics bool `json:"metrics"` // whether PromQL is answered
	Walk    bool `json:"walk"`    // whether requests can be sent through the demo
}

// built are the files of dist/, for both pages.
var built = sync.OnceValue(func() map[string]*asset {
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return loadAssets(root)
})

// serve answers views with one page of dist/, and every file with itself.
func serve(page string, views []string, about answer) *http.ServeMux {
	files := built()
	info, err := json.Marshal(about)
	if err != nil {
		panic(err) // it holds only strings and bools
	}
	mux := http.NewServeMux()
	for _, view := range views {
		mux.Handle("GET "+view, secured(files[page]))
	}
	mux.HandleFunc("GET /etude.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(info)
	})
	for name, file := range files {
		if path.Ext(name) != ".html" || name == page {
			mux.Handle("GET /"+name, secured(file))
		}
	}
	return mux
}

// mountQueries lets the page read from Prometheus and nothing else: what
// writes, deletes or shows configuration is on Prometheus' own port only.
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

// cacheControl depends on the folder: the build names what it puts in assets/
// after its contents.
func cacheControl(name string) string {
	if strings.HasPrefix(name, "assets/") {
		return forever
	}
	return recheck
}

// contentTypes are written down because mime.TypeByExtension asks the system,
// and systems differ (on Windows the registry may call .js text/plain).
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
