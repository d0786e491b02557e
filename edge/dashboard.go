package edge

import (
	"embed"
	"net/http"
)

// The dashboard is static files that read the API once a second. They load nothing
// from other hosts; the content security policy forbids it.
//
//go:embed dashboard
var dashboardFS embed.FS

const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func dashboardFiles() http.Handler {
	files := http.FileServerFS(dashboardFS)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", dashboardPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	})
}

// serveFavicon answers with the dashboard's icon.
func serveFavicon(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, dashboardFS, "dashboard/icon.svg")
}
