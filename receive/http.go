package receive

import (
	"context"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"etude/otlp"
	"etude/tenant"
)

const tracesPath = "/v1/traces"

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/x-protobuf"
)

// The answers to a request that was taken whole: partial_success is present and
// empty.
var (
	takenJSON     = []byte(`{"partialSuccess":{}}`)
	takenProtobuf = []byte{0x0a, 0x00}
)

func (in *intake) newHTTPServer(h http.Handler) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: in.limits.HeaderTimeout,
		IdleTimeout:       in.limits.IdleTimeout,
		// readBody sets the exact deadline; this one is for bodies that no
		// handler asks for, which net/http reads to their end.
		ReadTimeout: in.limits.HeaderTimeout + in.limits.RequestTimeout,
		// Reading ends by RequestTimeout; then the Sink, and the answer, which
		// is small, get as much again.
		WriteTimeout:   2 * in.limits.RequestTimeout,
		MaxHeaderBytes: maxSniff,
		ErrorLog:       slog.NewLogLogger(in.logger.Handler(), slog.LevelDebug),
		Protocols:      new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	return s
}

// otlpHandler serves OTLP/HTTP, and gRPC on connections that began with plain
// HTTP/2 requests (a proxy may mix them).
func (s *Server) otlpHandler(allowed []string) http.Handler {
	origins := newOrigins(allowed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
			s.grpc.ServeHTTP(w, r)
		case r.URL.Path != tracesPath:
			otherPath(w, r)
		case origins.handle(w, r):
		default:
			s.in.serveOTLP(w, r)
		}
	})
}

func otherPath(w http.ResponseWriter, r *http.Request) {
	text := fmt.Sprintf("404 nothing at %s: OTLP traces go to POST %s", r.URL.Path, tracesPath)
	if r.URL.Path == "/v1/metrics" || r.URL.Path == "/v1/logs" {
		text = fmt.Sprintf("404 nothing at %s: only traces are kept here, at POST %s", r.URL.Path, tracesPath)
	}
	plain(w, http.StatusNotFound, text)
}

// plain answers with one line of text.
func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// serveOTLP is POST /v1/traces (OTLP specification, "OTLP/HTTP").
func (in *intake) serveOTLP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		in.stats.refuse(OTLPHTTP, unsupported)
		plain(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 %s is not possible here: send spans by POST", r.Method))
		return
	}
	contentType := r.Header.Get("Content-Type")
	media, _, _ := mime.ParseMediaType(contentType)
	if media != typeJSON && media != typeProtobuf {
		in.stats.refuse(OTLPHTTP, unsupported)
		plain(w, http.StatusUnsupportedMediaType, fmt.Sprintf("415 Content-Type %q is not supported: use %s or %s", contentType, typeProtobuf, typeJSON))
		return
	}
	rejected, err := in.takeOTLP(w, r, media)
	if err != nil {
		writeStatus(w, contentType, media, in.refused(OTLPHTTP, err))
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(takenAnswer(media, rejected))
}

func takenAnswer(media string, rejected Rejected) []byte {
	switch {
	case media == typeJSON && rejected.Spans > 0:
		return partialJSON(rejected)
	case media == typeJSON:
		return takenJSON
	case rejected.Spans > 0:
		return partialProto(rejected)
	}
	return takenProtobuf
}

func (in *intake) takeOTLP(w http.ResponseWriter, r *http.Request, media string) (rejected Rejected, err error) {
	err = in.take(w, r, func(ctx context.Context, b []byte) (err error) {
		if media != typeProtobuf {
			if b, err = otlp.FromJSON(b); err != nil {
				return refuse(malformed, "%v", err)
			}
		}
		rejected, err = in.submit(ctx, OTLPHTTP, b)
		return err
	})
	return rejected, err
}

// take admits an HTTP request, reads its body and passes it on. The bytes are
// pooled: f must not keep them.
func (in *intake) take(w http.ResponseWriter, r *http.Request, f func(context.Context, []byte) error) error {
	if err := in.begin(); err != nil {
		return err
	}
	defer in.end()
	ctx := r.Context()
	if in.multi {
		var err error
		if ctx, err = forTenant(ctx, r.Header.Values(tenant.Header)); err != nil {
			return err
		}
	}
	b, err := in.readBody(w, r)
	if err != nil {
		return err
	}
	defer b.Close()
	return f(ctx, b.bytes)
}
