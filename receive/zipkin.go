package receive

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

func (in *intake) zipkinHandler(allowed origins) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed.handle(w, r) {
			in.serveZipkin(w, r)
		}
	})
}

// serveZipkin takes Zipkin v2 by POST at any path, as Tempo does (customary:
// /api/v2/spans). What does not call itself protobuf is read as JSON.
func (in *intake) serveZipkin(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		in.stats.refuse(Zipkin, unsupported)
		plain(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 %s is not possible here: send spans by POST to /api/v2/spans", r.Method))
		return
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "thrift") {
		in.stats.refuse(Zipkin, unsupported)
		plain(w, http.StatusUnsupportedMediaType, fmt.Sprintf("415 Content-Type %q belongs to Zipkin v1, which is not supported: send v2 as %s or %s", media, typeJSON, typeProtobuf))
		return
	}
	err := in.take(w, r, func(ctx context.Context, b []byte) error {
		return in.translate(ctx, Zipkin, func(p *protoBuilder, limit *budget) error {
			return p.zipkin(b, media, limit)
		})
	})
	if err != nil {
		in.refuseZipkin(w, in.refused(Zipkin, err))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (p *protoBuilder) zipkin(b []byte, media string, limit *budget) (err error) {
	if media == typeProtobuf {
		_, err = p.zipkinProto(b, limit)
	} else {
		_, err = p.zipkinJSON(b, limit)
	}
	return err
}

func (in *intake) refuseZipkin(w http.ResponseWriter, r *refusal) {
	if r.retry > 0 {
		w.Header().Set("Retry-After", r.retrySeconds())
	}
	plain(w, r.status(), r.text)
}
