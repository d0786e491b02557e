package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
)

// Kind is the kind of a request. Its text serves as a metric label.
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

// Call is a query as telemetry sees it.
type Call struct {
	Kind  Kind
	Route string // of HTTP, "/api/search"; of gRPC, "tempopb.StreamingQuerier/Search"
	GRPC  bool
}

// Observer is told of a query before anything else is done about it, and gives
// the context under which it is answered. The function that it returns is called when
// the answer has been written, with its status; that of gRPC is translated to
// HTTP's.
type Observer func(*http.Request, Call) (context.Context, func(status int))

// Observe wraps the handler of [New], so that observers see each query: the first
// one is the outermost. Other requests, such as health checks, they do not see.
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

// callOf tells which query a request is, false for none.
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

// routeKinds are the kinds of the HTTP routes.
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

// streamKinds are the kinds of the gRPC methods.
var streamKinds = map[string]Kind{
	"Search": KindSearch, "SearchTags": KindTags, "SearchTagsV2": KindTags,
	"SearchTagValues": KindValues, "SearchTagValuesV2": KindValues,
	"MetricsQueryRange": KindMetrics, "MetricsQueryInstant": KindMetrics,
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int // 0 until the answer begins
	cut    int // of an answer that has begun and was cut off; 0 for others
}

// markCut tells observers why an answer that has begun ends early.
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

// Flush is what gRPC asks of a writer.
func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// final is the status at the end. gRPC's own is in the trailer; without one
// the stream was cut before an answer.
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
