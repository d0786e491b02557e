package receive

import (
	"context"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"etude/tenant"
)

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/x-protobuf"
)

// newHTTPServer serves HTTP/1.1, and HTTP/2 without TLS to clients with prior knowledge.
func (in *intake) newHTTPServer(h http.Handler) *http.Server {
	s := &http.Server{
		Handler:           guard(h),
		ConnContext:       withConn,
		ReadHeaderTimeout: in.limits.HeaderTimeout,
		IdleTimeout:       in.limits.IdleTimeout,
		// One deadline covers the head, the body and, as in gRPC, the storing: net/http ends a request's
		// context when the read deadline passes.
		ReadTimeout:    in.limits.RequestTimeout,
		WriteTimeout:   2 * in.limits.RequestTimeout,
		MaxHeaderBytes: maxHead,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: int(in.limits.Streams)},
		ErrorLog:       slog.NewLogLogger(in.logger.Handler(), slog.LevelDebug),
		Protocols:      new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// guard sets the headers of every HTTP answer: a browser must treat it as data only.
func guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["X-Content-Type-Options"], header["Content-Security-Policy"] = nosniff, noContent
		h.ServeHTTP(w, r)
	})
}

// Constant header values are shared, so that they need no allocation.
var (
	nosniff   = []string{"nosniff"}
	noContent = []string{"default-src 'none'; frame-ancestors 'none'"}
)

// otlpHandler serves OTLP/HTTP. It also serves gRPC on connections that began with other HTTP/2 requests,
// because a proxy may mix them.
func (s *Server) otlpHandler(allowed origins) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			s.grpc.ServeHTTP(w, r)
			return
		}
		for _, sig := range signals {
			if r.URL.Path == sig.path {
				if !allowed.handle(w, r) {
					s.in.serveOTLP(w, r, sig)
				}
				return
			}
		}
		plain(w, http.StatusNotFound, otherPath(r.URL.Path))
	})
}

// plain answers with one line of text.
func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// serveOTLP handles POST to the path of a signal (OTLP specification, "OTLP/HTTP").
func (in *intake) serveOTLP(w http.ResponseWriter, r *http.Request, sig *signal) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		in.stats.refuse(OTLPHTTP, unsupported)
		plain(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 method %s is not allowed: send %s by POST", r.Method, sig.what))
		return
	}
	contentType := r.Header.Get("Content-Type")
	media := mediaType(contentType)
	if media != typeJSON && media != typeProtobuf {
		in.stats.refuse(OTLPHTTP, unsupported)
		plain(w, http.StatusUnsupportedMediaType, fmt.Sprintf("415 Content-Type %q is not supported: use %s or %s", contentType, typeProtobuf, typeJSON))
		return
	}
	left, err := in.receiveOTLP(w, r, sig, media)
	if err != nil {
		writeStatus(w, contentType, media, in.refused(OTLPHTTP, err))
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(left.answer(sig, media))
}

// mediaType returns the type without parameters, in lower case, or "".
func mediaType(contentType string) string {
	if contentType == typeProtobuf || contentType == typeJSON {
		return contentType // Fast path.
	}
	media, _, _ := mime.ParseMediaType(contentType)
	return media
}

func (in *intake) receiveOTLP(w http.ResponseWriter, r *http.Request, sig *signal, media string) (left partial, err error) {
	err = in.receiveHTTP(w, r, func(ctx context.Context, b []byte) (err error) {
		if media != typeProtobuf {
			if b, err = sig.fromJSON(b); err != nil {
				return refuse(malformed, "%v", err)
			}
		}
		left, err = sig.submit(in, ctx, OTLPHTTP, b)
		return err
	})
	return left, err
}

// receiveHTTP reads the body of an HTTP request, admits it when it is complete, and passes it to f. The bytes
// are pooled: f must not keep them.
func (in *intake) receiveHTTP(w http.ResponseWriter, r *http.Request, f func(context.Context, []byte) error) (err error) {
	if in.authorize != nil {
		if err := in.authorize(r.Header.Values("Authorization")); err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			return refuse(unauthorized, "%v", err)
		}
	}
	ctx := r.Context()
	if in.multi {
		if ctx, err = forTenant(ctx, r.Header.Values(tenant.Header)); err != nil {
			return err
		}
	}
	if in.gate.full() {
		return in.gate.tooManyRequests()
	}
	b, err := in.readBody(w, r)
	if err != nil {
		return err
	}
	defer b.Close()
	n, err := b.whole()
	if err != nil {
		return err
	}
	defer in.gate.leave(b.conn, n)
	return f(ctx, b.bytes)
}
