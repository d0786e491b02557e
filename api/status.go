package api

import (
	"net/http"
	"runtime"
	"strings"
)

// echo answers /api/echo, which Grafana requests to test the data source.
func (s *server) echo(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, "echo")
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.Ready != nil {
		if err := s.Ready(); err != nil {
			text(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
	}
	text(w, http.StatusOK, "ready\n")
}

// live answers 200 while the process runs. A full disk or a stuck applier makes a backend not ready; a restart
// would not help.
func (s *server) live(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, "live\n")
}

// status answers with lines of text for people: whether the backend is ready, and the problems with its data.
func (s *server) status(w http.ResponseWriter, _ *http.Request) {
	lines := []string{"etude " + s.Version, "ready"}
	if s.Ready != nil {
		if err := s.Ready(); err != nil {
			lines[1] = "not ready: " + err.Error()
		}
	}
	if s.Status != nil {
		lines = append(lines, s.Status()...)
	}
	text(w, http.StatusOK, strings.Join(lines, "\n")+"\n")
}

type buildInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

func (s *server) buildInfo(w http.ResponseWriter, r *http.Request) {
	o := &out{s: s, w: w, r: r, contentType: typeJSON}
	err := o.json(buildInfo{s.Version, s.Revision, s.Branch, s.BuildUser, s.BuildDate, runtime.Version()})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	_ = o.finish() // the client may be gone
}
