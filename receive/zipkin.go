package receive

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// serveZipkin takes Zipkin v2 JSON by POST at any path, as Tempo does
// (customary: /api/v2/spans).
func (in *intake) serveZipkin(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		in.stats.refuse(Zipkin, unsupported)
		plain(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 %s is not possible here: send spans by POST to /api/v2/spans", r.Method))
		return
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == typeProtobuf || strings.HasSuffix(media, "thrift") {
		in.stats.refuse(Zipkin, unsupported)
		plain(w, http.StatusUnsupportedMediaType, fmt.Sprintf("415 Content-Type %q is not supported: send Zipkin v2 as %s", media, typeJSON))
		return
	}
	err := in.take(w, r, func(ctx context.Context, b []byte) error {
		payload, err := zipkinToOTLP(b, in.limits.Spans)
		if err != nil {
			return err
		}
		return in.submit(ctx, Zipkin, payload)
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
