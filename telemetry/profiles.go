package telemetry

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	rpprof "runtime/pprof"
	"slices"
)

// Profiles serves Go's profiles below /debug/pprof/. It leaves out cmdline and symbol, which net/http/pprof
// would serve too, because a command line may contain a password.
func Profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/{$}", listProfiles)
	mux.HandleFunc("GET /debug/pprof/{name}", func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(r.PathValue("name")).ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// NoProfiles answers requests below /debug/pprof/ while profiles are off.
func NoProfiles() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "profiles are off: start the backend with --pprof", http.StatusNotFound)
	})
}

// listProfiles lists the profiles, one a line.
func listProfiles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	names := []string{"profile?seconds=30", "trace?seconds=5"}
	for _, p := range rpprof.Profiles() {
		names = append(names, p.Name()+"?debug=1")
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintln(w, "/debug/pprof/"+name)
	}
}
