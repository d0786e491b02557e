package receive

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"etude/receive/spans"
	"etude/receive/zipkin"
)

func (in *intake) zipkinHandler(allowed origins) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed.handle(w, r) {
			in.serveZipkin(w, r)
		}
	})
}

// serveZipkin accepts Zipkin's spans by POST at any path, as Tempo does (customary: /api/v2/spans,
// /api/v1/spans). It requires the right content type: a browser lets a page of another origin send text/plain
// without a preflight, and such pages must not send spans.
func (in *intake) serveZipkin(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		in.stats.refuse(Zipkin, unsupported)
		plain(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 method %s is not allowed: send spans by POST to /api/v2/spans", r.Method))
		return
	}
	contentType := r.Header.Get("Content-Type")
	media := mediaType(contentType)
	read := zipkin.FromJSON
	switch media {
	case typeJSON:
	case typeProtobuf, "application/protobuf":
		read = zipkin.FromProto
	default:
		in.stats.refuse(Zipkin, unsupported)
		plain(w, http.StatusUnsupportedMediaType, fmt.Sprintf("415 Content-Type %q is not supported: send spans as %s or %s", contentType, typeJSON, typeProtobuf))
		return
	}
	err := in.receiveHTTP(w, r, func(ctx context.Context, b []byte) error {
		return in.translate(ctx, Zipkin, func(dst []byte, bounds spans.Bounds) ([]byte, error) {
			return read(dst, b, time.Now(), bounds)
		})
	})
	if err != nil {
		in.refuseZipkin(w, in.refused(Zipkin, err))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (in *intake) refuseZipkin(w http.ResponseWriter, r *refusal) {
	if r.retry > 0 {
		w.Header().Set("Retry-After", r.retrySeconds())
	}
	plain(w, r.status(), r.text)
}
