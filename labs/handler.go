package labs

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// maxAnswer is the largest body of a check, in bytes.
const maxAnswer = 256 << 10

// Handler serves the routes of an Engine, /api/etude/labs and below. Answers are JSON, errors plain text.
func Handler(e *Engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/etude/labs", func(w http.ResponseWriter, _ *http.Request) {
		all, next := e.List()
		reply(w, map[string]any{"labs": all, "next": next}, nil)
	})
	mux.HandleFunc("GET /api/etude/labs/{id}", func(w http.ResponseWriter, r *http.Request) {
		lab, err := e.Lab(r.PathValue("id"))
		reply(w, lab, err)
	})
	mux.HandleFunc("POST /api/etude/labs/{id}/start", func(w http.ResponseWriter, r *http.Request) {
		lab, err := e.Start(r.Context(), r.PathValue("id"))
		reply(w, map[string]any{"says": lab.Says, "lab": lab}, err)
	})
	mux.HandleFunc("POST /api/etude/labs/{id}/check", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Answer string `json:"answer"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAnswer)).Decode(&body); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, `want {"answer": "..."}: `+err.Error(), http.StatusBadRequest)
			return
		}
		result, err := e.Check(r.Context(), r.PathValue("id"), body.Answer)
		reply(w, result, err)
	})
	mux.HandleFunc("POST /api/etude/labs/{id}/hint", func(w http.ResponseWriter, r *http.Request) {
		hint, lab, err := e.Hint(r.PathValue("id"))
		reply(w, map[string]any{"hint": hint, "number": lab.Hints, "of": lab.OfHints, "lab": lab}, err)
	})
	mux.HandleFunc("POST /api/etude/labs/{id}/reset", func(w http.ResponseWriter, r *http.Request) {
		lab, err := e.Reset(r.PathValue("id"))
		reply(w, map[string]any{"lab": lab}, err)
	})
	return mux
}

func reply(w http.ResponseWriter, v any, err error) {
	var unknown *UnknownError
	switch {
	case errors.As(err, &unknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, errNotStarted):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(v) // the client may be gone
	}
}
