package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// entryPoint is the handler of the entry point web.
type entryPoint struct {
	table     atomic.Pointer[table]
	tracing   *tracing
	stats     *traffic
	metrics   *instruments
	log       *slog.Logger
	accessLog bool
	favicons  []string     // hosts, see Options.FaviconHosts
	running   atomic.Int64 // requests, also those whose connection was taken over
}

// ServeHTTP serves one request: SERVER span, route, CLIENT span, forward. The
// table is read once, so that a reload in between changes nothing.
func (e *entryPoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.running.Add(1)
	defer e.running.Add(-1)
	start := time.Now()
	target := *r.URL
	refused := cleanTarget(&target, r.Method)
	r.URL = &target
	keepFromConnection(r.Header)
	refuseH2C(r.Header)
	routes := e.table.Load()
	var rt *route
	if refused == nil {
		rt = routes.find(r)
	}
	if e.answersFavicon(r, rt) {
		serveFavicon(w, r)
		return
	}
	e.stats.begin()
	ctx, span := e.tracing.startEntry(r, entryName(rt, r))
	r = r.WithContext(ctx)
	rec := &recorder{ResponseWriter: w}
	defer func() {
		broken := recover()
		status := finalStatus(ctx, rec, broken)
		endSpan(span, status)
		now := time.Now()
		e.stats.end(now, status, now.Sub(start))
		e.metrics.entryPoint.observe(r, entryPointName, status, rec.bytes, now.Sub(start))
		if e.accessLog {
			e.logRequest(r, rt, span, rec, status, now.Sub(start))
		}
		if broken != nil {
			if broken != http.ErrAbortHandler {
				e.log.Error("panic while serving a request", "host", shownHost(r.Host), "path", shownURL(r.URL, e.tracing.wholeURLs), "panic", broken)
			}
			panic(http.ErrAbortHandler) // the server cuts the connection, so the client sees a broken answer
		}
	}()
	switch {
	case refused != nil:
		plainText(rec, http.StatusBadRequest, fmt.Sprintf("400 Bad Request: %v\n", refused))
	case rt == nil:
		routes.notFound(rec, r)
	default:
		e.forward(rec, r, rt, start)
	}
}

// answersFavicon: the request is for the icon of a host that has none. Where
// nobody takes requests for this machine's own names, the edge has the icon too.
func (e *entryPoint) answersFavicon(r *http.Request, rt *route) bool {
	if r.URL.Path != "/favicon.ico" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	host := hostName(r.Host)
	return slices.Contains(e.favicons, host) || rt == nil && len(e.favicons) > 0 && slices.Contains(knownNames, host)
}

// forward passes the request to the route's service. A panic of ReverseProxy,
// its way to say that the answer broke off half-way, passes through.
func (e *entryPoint) forward(rec *recorder, r *http.Request, rt *route, start time.Time) {
	rt.stats.begin()
	rt.service.stats.begin()
	ctx, span := e.tracing.startForward(r, rt)
	defer func() {
		broken := recover()
		status := finalStatus(ctx, rec, broken)
		if broken != nil && status != statusClientGone {
			span.RecordError(errors.New("the answer broke off"))
		}
		endSpan(span, status)
		now := time.Now()
		rt.stats.end(now, status, now.Sub(start))
		rt.service.stats.end(now, status, now.Sub(start))
		e.metrics.service.observe(r, rt.service.name, status, rec.bytes, now.Sub(start))
		if broken != nil {
			panic(broken)
		}
	}()
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// Lets the answer begin while the request's body is still coming. A
		// writer that cannot is not an HTTP/1 connection of a server.
		_ = http.NewResponseController(rec).EnableFullDuplex()
	}
	rt.service.proxy.ServeHTTP(rec, r.WithContext(ctx))
}

// finalStatus is the status for spans and statistics. An answer that broke off
// after its header was sent counts as 499 when the client went away, and as 502
// when the server did.
func finalStatus(ctx context.Context, rec *recorder, broken any) int {
	switch {
	case broken != nil && errors.Is(context.Cause(ctx), errStopping):
		return http.StatusServiceUnavailable
	case broken != nil && ctx.Err() != nil:
		return statusClientGone
	case broken != nil:
		return http.StatusBadGateway
	case rec.status == 0:
		return http.StatusOK
	default:
		return rec.status
	}
}

func (e *entryPoint) logRequest(r *http.Request, rt *route, span trace.Span, rec *recorder, status int, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("client", clientIP(r.RemoteAddr)),
		slog.String("method", printable(r.Method)), slog.String("host", shownHost(r.Host)), slog.String("path", shownURL(r.URL, e.tracing.wholeURLs)),
		slog.Int("status", status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took),
	}
	if rt != nil {
		attrs = append(attrs, slog.String("router", rt.name), slog.String("service", rt.service.name))
	}
	if sc := span.SpanContext(); sc.IsValid() {
		attrs = append(attrs, slog.String("trace", sc.TraceID().String()))
	}
	e.log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}
