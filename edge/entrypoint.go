package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// entryPoint is the handler of the entry point web.
type entryPoint struct {
	table     atomic.Pointer[table]
	forwarder *forwarder
	tracing   *tracing
	stats     *traffic
	log       *slog.Logger
	accessLog bool
	favicons  []string     // hosts; see Options.FaviconHosts
	refused   atomic.Int64 // requests with an invalid path or target; see path.go
	running   atomic.Int64 // running requests, including those with upgraded connections
}

// ServeHTTP serves one request: path, route, SERVER span, CLIENT span, forward. It reads the table once, so
// that a reload in between changes nothing.
func (e *entryPoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.running.Add(1)
	defer e.running.Add(-1)
	x := &exchange{Context: r.Context(), answer: recorder{ResponseWriter: w}, start: time.Now(), target: *r.URL}
	r = r.WithContext(x)
	r.URL = &x.target
	refused := cleanTarget(&x.target, r.Method, r.Host)
	e.forwarder.clean(r)
	routes := e.table.Load()
	if x.queries = routes.queries; refused == nil {
		x.route = routes.find(r)
	}
	if e.answersFavicon(r, x.route) {
		serveFavicon(w, r)
		return
	}
	x.entryName = entryName(x.route, r)
	e.stats.begin()
	e.tracing.begin(x, r)
	defer e.finish(x, r)
	switch {
	case refused != nil:
		e.refused.Add(1)
		plainText(&x.answer, http.StatusBadRequest, fmt.Sprintf("400 Bad Request: %v\n", refused))
	case x.route == nil:
		routes.notFound(&x.answer, r)
	default:
		e.forward(x, r)
	}
}

// finish ends the SERVER span and counts the request, also after a panic of the handler. It recovers the panic,
// so it must be the deferred function itself.
func (e *entryPoint) finish(x *exchange, r *http.Request) {
	broken := recover()
	x.status, x.end = finalStatus(x, &x.answer, broken), time.Now()
	took := x.end.Sub(x.start)
	e.tracing.end(x, r)
	e.stats.end(x.end, labelsOf(r, x.status), x.answer.bytes, took)
	if e.accessLog {
		e.logRequest(r, x, took)
	}
	if broken != nil {
		if broken != http.ErrAbortHandler {
			e.log.Error("panic while serving a request", "host", shownHost(r.Host), "path", shownURL(r.URL, e.tracing.wholeURLs), "panic", broken)
		}
		panic(http.ErrAbortHandler) // the server cuts the connection, so the client sees a broken answer
	}
}

// answersFavicon reports whether the request is for the icon of one of the favicon hosts, or of a name of this
// machine that no router serves.
func (e *entryPoint) answersFavicon(r *http.Request, rt *route) bool {
	if r.URL.Path != "/favicon.ico" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	host := hostName(r.Host)
	return slices.Contains(e.favicons, host) || rt == nil && len(e.favicons) > 0 && slices.Contains(knownNames, host)
}

// forward passes the request to the route's service. ReverseProxy panics when an answer breaks off, and forward
// does not recover this panic.
func (e *entryPoint) forward(x *exchange, r *http.Request) {
	rt := x.route
	rt.stats.begin()
	rt.service.stats.begin()
	x.forwardStart = time.Now()
	defer func() {
		broken := recover()
		status := finalStatus(x, &x.answer, broken)
		if broken != nil && status != statusClientGone {
			x.fail(errBrokeOff)
		}
		x.forwardEnd = time.Now()
		took, l := x.forwardEnd.Sub(x.start), labelsOf(r, status)
		rt.stats.end(x.forwardEnd, l, x.answer.bytes, took)
		rt.service.stats.end(x.forwardEnd, l, x.answer.bytes, took)
		if broken != nil {
			panic(broken)
		}
	}()
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// The answer may begin before the request's body is complete. The error means
		// that the writer is not an HTTP/1 connection, and does not matter.
		_ = http.NewResponseController(&x.answer).EnableFullDuplex()
	}
	rt.service.proxy.ServeHTTP(&x.answer, r)
}

// finalStatus is the status for spans and statistics. An answer that broke off after its header was sent counts
// as 499 when the client left, and as 502 when the server failed.
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

func (e *entryPoint) logRequest(r *http.Request, x *exchange, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("client", clientIP(r.RemoteAddr)),
		slog.String("method", printable(r.Method)), slog.String("host", shownHost(r.Host)), slog.String("path", shownURL(r.URL, e.tracing.wholeURLs)),
		slog.Int("status", x.status), slog.Int64("bytes", x.answer.bytes), slog.Duration("took", took),
	}
	if x.route != nil {
		attrs = append(attrs, slog.String("router", x.route.name), slog.String("service", x.route.service.name))
	}
	if x.traced {
		attrs = append(attrs, slog.String("trace", x.trace.String()))
	}
	e.log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// recorder passes an answer through and records its status.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the answer begins
	bytes  int64
}

// WriteHeader records the final status, not the 1xx before it. 101 is final too, but ReverseProxy sends it
// without WriteHeader; see Hijack.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Hijack is called only for a protocol upgrade.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach flushing and full duplex.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
