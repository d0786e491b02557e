package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"etude/query"
	"etude/tenant"
)

// Options configure the API.
type Options struct {
	Engine *query.Engine

	// Multitenancy requires each query to name its tenants by X-Scope-OrgID. Without it, the header is ignored.
	Multitenancy bool

	// Ready returns nil when the backend can answer, otherwise the reason. A nil Ready means always ready.
	Ready func() error

	// Status returns lines for /status about problems with the data; nil for none.
	Status func() []string

	// ProgressInterval is the minimum time between messages of a stream while its query runs; default 500 ms.
	ProgressInterval time.Duration

	// Stall is the maximum time a client may take to read a 32 KiB piece of an answer. A slower client is
	// disconnected, because its answer holds memory. Default 10 s.
	Stall time.Duration

	// Version and the following fields are shown by /api/status/buildinfo.
	Version, Revision, Branch, BuildUser, BuildDate string

	// Logger receives failures that the client did not cause; nil for slog's default.
	Logger *slog.Logger
}

// New returns the handler of all routes. It also serves gRPC if its http.Server accepts unencrypted HTTP/2.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.ProgressInterval <= 0 {
		o.ProgressInterval = progressInterval
	}
	if o.Stall <= 0 {
		o.Stall = 10 * time.Second
	}
	s := &server{Options: o, told: limitsTold{last: map[error]time.Time{}}}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/traces/{id}", s.query(s.traceV1))
	mux.HandleFunc("/api/v2/traces/{id}", s.query(s.traceV2))
	mux.HandleFunc("/api/search", s.query(s.search))
	mux.HandleFunc(linesPath, s.query(s.searchLines))
	mux.HandleFunc("/api/search/tags", s.query(s.tagsV1))
	mux.HandleFunc("/api/v2/search/tags", s.query(s.tagsV2))
	mux.HandleFunc(valuesV1Path+"{rest...}", s.query(s.valuesV1))
	mux.HandleFunc(valuesV2Path+"{rest...}", s.query(s.valuesV2))
	mux.HandleFunc("/api/metrics/query_range", s.query(s.metricsRange))
	mux.HandleFunc("/api/metrics/query", s.query(s.metricsInstant))
	mux.HandleFunc(comparePath, s.query(s.compare))
	mux.HandleFunc("/api/echo", s.echo)
	mux.HandleFunc("GET /ready", s.ready)
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /api/status/buildinfo", s.buildInfo)
	return s.withGRPC(mux)
}

type server struct {
	Options
	told limitsTold
}

// query turns a function that answers or fails into a handler.
func (s *server) query(f func(*http.Request, *out) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		r, err := s.ofTenants(r)
		if err == nil {
			err = readable(r.URL.RawQuery)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		o := &out{s: s, w: w, r: r}
		defer o.end()
		if err = f(r, o); err == nil {
			err = o.finish()
		}
		switch {
		case err == nil:
		case o.begun:
			o.cut(err)
		default:
			o.end() // the query is over; the client may read the reason later
			s.fail(w, r, err)
		}
	}
}

// statusClientGone is the status that proxies log for a client that left before the answer.
const statusClientGone = 499

func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := s.statusOf(r.URL.Path, err)
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	text(w, status, err.Error())
}

// statusOf returns the status code of an error. It logs the error if the client did not cause it.
func (s *server) statusOf(path string, err error) int {
	var input *query.InputError
	var badTenant *tenant.InvalidError
	s.tellLimit(path, err)
	switch {
	case errors.As(err, &input), errors.As(err, &badTenant):
		return http.StatusBadRequest
	case errors.Is(err, errTraceSize):
		return http.StatusUnprocessableEntity
	case errors.Is(err, tenant.ErrMissing):
		return http.StatusUnauthorized
	case errors.Is(err, query.ErrTimeLimit):
		return http.StatusGatewayTimeout
	case errors.Is(err, query.ErrMemoryLimit):
		return http.StatusUnprocessableEntity
	case errors.Is(err, query.ErrBusy), errors.Is(err, query.ErrMemoryBusy):
		return http.StatusTooManyRequests
	case errors.Is(err, context.Canceled), errors.Is(err, errGone):
		return statusClientGone
	}
	s.Logger.Error("answer query", "path", path, "error", err)
	return http.StatusInternalServerError
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone
}
