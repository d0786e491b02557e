package receive

import (
	"context"
	"fmt"
	"mime"
	"net/http"

	"etude/receive/jaeger"
	"etude/receive/spans"
)

// serveJaeger is the collector's POST /api/traces: one jaeger.Batch without an envelope. The statuses are those
// of the Jaeger receiver in Tempo. Like it, serveJaeger ignores the query string (format=jaeger.thrift).
func (in *intake) serveJaeger(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/traces" {
		plain(w, http.StatusNotFound, fmt.Sprintf("404 nothing at %s: Jaeger batches go to POST /api/traces", r.URL.Path))
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		in.stats.refuse(JaegerThrift, unsupported)
		plain(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 method %s is not allowed: send a batch by POST", r.Method))
		return
	}
	compact, err := isCompact(r.Header.Get("Content-Type"))
	if err == nil {
		err = in.receiveHTTP(w, r, func(ctx context.Context, b []byte) error {
			return in.translate(ctx, JaegerThrift, func(dst []byte, bounds spans.Bounds) ([]byte, error) {
				return jaeger.FromThrift(dst, b, compact, bounds)
			})
		})
	}
	if err != nil {
		in.refuseJaeger(w, in.refused(JaegerThrift, err))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// submitPostSpans is the collector's CollectorService/PostSpans over gRPC.
func (in *intake) submitPostSpans(ctx context.Context, b []byte) (partial, error) {
	return partial{}, in.translate(ctx, JaegerGRPC, func(dst []byte, bounds spans.Bounds) ([]byte, error) {
		return jaeger.FromProto(dst, b, bounds)
	})
}

// refuseJaeger answers 500 for a wrong tenant and 400 for wrong spans, because the real receiver does so and
// its clients rely on it.
func (in *intake) refuseJaeger(w http.ResponseWriter, r *refusal) {
	status, text := r.status(), r.text
	switch r.reason {
	case noTenant, badTenant:
		status, text = http.StatusInternalServerError, "spans were refused: "+text
	}
	if r.retry > 0 {
		w.Header().Set("Retry-After", r.retrySeconds())
	}
	plain(w, status, text)
}

// isCompact reports whether a Content-Type means thrift's compact protocol.
func isCompact(contentType string) (bool, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false, refuse(unsupported, "no usable Content-Type (%v): send application/x-thrift", err)
	}
	switch media {
	case "application/x-thrift", "application/vnd.apache.thrift.binary":
		return false, nil
	case "application/vnd.apache.thrift.compact":
		return true, nil
	}
	return false, refuse(unsupported, "Content-Type %q is not supported: send application/x-thrift", media)
}
