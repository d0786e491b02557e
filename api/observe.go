package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
)

// Kind is the kind of a request. It serves as a metric label.
type Kind string

// The kinds of queries.
const (
	KindTrace   Kind = "trace"
	KindSearch  Kind = "search"
	KindTags    Kind = "tags"
	KindValues  Kind = "values"
	KindMetrics Kind = "metrics"
	KindCompare Kind = "compare"
)

// Kinds are all kinds of queries.
var Kinds = []Kind{KindTrace, KindSearch, KindTags, KindValues, KindMetrics, KindCompare}

// Call describes a query for telemetry.
type Call struct {
	Kind  Kind
	Route string // the HTTP route, "/api/search", or the gRPC method, "tempopb.StreamingQuerier/Search"
	GRPC  bool
}

// Observer is called before a query is handled, and returns the context for it. The returned function is called
// with the status when the answer has been written; a gRPC status is translated to HTTP's.
type Observer func(*http.Request, Call) (context.Context, func(status int))

// Observe wraps the handler of [New], so that observers see each query. The first observer is the outermost.
// Observers do not see other requests, such as health checks.
func Observe(next http.Handler, observers ...Observer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, ok := callOf(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		ends := make([]func(int), len(observers))
		for i, o := range observers {
			var ctx context.Context
			ctx, ends[i] = o(r, call)
			r = r.WithContext(ctx)
		}
		seen := &statusWriter{ResponseWriter: w}
		defer func() {
			status := seen.final(call)
			if seen.cut != 0 {
				status = seen.cut
			}
			for i := range ends {
				ends[len(ends)-1-i](status)
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

// callOf returns the query that a request makes, and false for other requests.
func callOf(r *http.Request) (Call, bool) {
	if method, ok := strings.CutPrefix(r.URL.Path, "/"+streamingService+"/"); ok {
		kind, ok := streamKinds[method]
		return Call{kind, streamingService + "/" + method, true}, ok
	}
	for _, known := range routeKinds {
		rest, ok := strings.CutPrefix(r.URL.Path, known.prefix)
		if ok && (rest == "" || known.parameter != "") {
			return Call{known.kind, known.prefix + known.parameter, false}, true
		}
	}
	return Call{}, false
}

// routeKinds lists the HTTP routes with their kinds.
var routeKinds = []struct {
	prefix, parameter string
	kind              Kind
}{
	{"/api/traces/", "{id}", KindTrace},
	{"/api/v2/traces/", "{id}", KindTrace},
	{"/api/search", "", KindSearch},
	{linesPath, "", KindSearch},
	{"/api/search/tags", "", KindTags},
	{"/api/v2/search/tags", "", KindTags},
	{valuesV1Path, "{tag}/values", KindValues},
	{valuesV2Path, "{tag}/values", KindValues},
	{"/api/metrics/query_range", "", KindMetrics},
	{"/api/metrics/query", "", KindMetrics},
	{comparePath, "", KindCompare},
}

// streamKinds lists the gRPC methods with their kinds.
var streamKinds = map[string]Kind{
	"Search": KindSearch, "SearchTags": KindTags, "SearchTagsV2": KindTags,
	"SearchTagValues": KindValues, "SearchTagValuesV2": KindValues,
	"MetricsQueryRange": KindMetrics, "MetricsQueryInstant": KindMetrics,
}

// statusWriter records the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int // 0 until the answer begins
	cut    int // the reason why a begun answer was cut off; 0 for others
}

// markCut records for observers why a begun answer ends early.
func markCut(w http.ResponseWriter, status int) {
	for w != nil {
		if seen, ok := w.(*statusWriter); ok {
			seen.cut = status
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = inner.Unwrap()
	}
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush implements http.Flusher, which gRPC requires of its writer.
func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// final is the status at the end. gRPC's own status is in the trailer; without it, the stream was cut before an
// answer.
func (w *statusWriter) final(c Call) int {
	if !c.GRPC {
		return max(w.status, http.StatusOK)
	}
	code, err := strconv.Atoi(w.Header().Get("Grpc-Status"))
	if err != nil {
		return statusClientGone
	}
	switch codes.Code(code) {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Canceled:
		return statusClientGone
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}
