package page

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// Options say what the page is served with.
type Options struct {
	API  http.Handler // answers below /api/; nil answers 404 there
	Info Info
}

// policy lets the page load its own files and nothing else: no inline script
// or style, no frames, no other host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const (
	forever = "public, max-age=31536000, immutable" // the name holds a hash of the contents
	recheck = "no-cache"                            // ask every time; the ETag makes the answer short
)

// Handler serves the page. The views /, /explore and /trace/{id} are all
// index.html, which reads the address itself; any other path that is not a
// file is 404, so that a mistyped address is noticed.
func Handler(o Options) http.Handler {
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	files := loadAssets(root)
	info, err := json.Marshal(o.Info)
	if err != nil {
		panic(err) // Info holds only strings
	}
	index := secured(files["index.html"])

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", index)
	mux.Handle("GET /explore", index)
	mux.Handle("GET /explore/{$}", index)
	mux.Handle("GET /trace/{id}", index)
	mux.HandleFunc("GET /etude.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(info)
	})
	for name, file := range files {
		mux.Handle("GET /"+name, secured(file))
	}
	if o.API != nil {
		mux.Handle("/api/", o.API)
	}
	return mux
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
