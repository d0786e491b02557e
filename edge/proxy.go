package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// statusClientGone is the status in spans and logs of a request whose client
	// closed the connection before the answer.
	statusClientGone = 499

	// defaultFlushInterval is the longest time that the proxy buffers a part of an answer, as in Traefik. It
	// does not buffer event streams and answers of unknown length.
	defaultFlushInterval = 100 * time.Millisecond

	idleConnections       = 512
	idleConnectionsServer = 200
	idleTimeout           = 90 * time.Second
	copyBufferSize        = 32 << 10
)

// errStopping is the cause of cancelled requests when the edge stops.
var errStopping = errors.New("edge is stopping")

// errNoServers is the error of a service without servers.
var errNoServers = errors.New("the service has no servers")

// All services share one proxyDeps, which survives reloads. Its main content is the pools of connections.
type proxyDeps struct {
	plain     *http.Transport // HTTP/1.1, and HTTP/2 over TLS
	h2c       *http.Transport // HTTP/2 without TLS
	buffers   httputil.BufferPool
	forwarder *forwarder
	tracing   *tracing
	stats     *registry
	health    healthBook
	log       *slog.Logger
}

func newTransport(dial, responseHeader time.Duration, protocols func(*http.Protocols)) *http.Transport {
	t := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dial, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:          idleConnections,
		MaxIdleConnsPerHost:   idleConnectionsServer,
		IdleConnTimeout:       idleTimeout,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: responseHeader,
		DisableCompression:    true, // bodies pass unchanged
		Protocols:             new(http.Protocols),
	}
	protocols(t.Protocols)
	return t
}

// service forwards requests to the servers of one load balancer.
type service struct {
	name     string
	config   *serviceConfig
	balancer *balancer
	deps     *proxyDeps
	proxy    *httputil.ReverseProxy
	stats    *traffic
}

func newService(c *serviceConfig, deps *proxyDeps) *service {
	s := &service{
		name: c.name, config: c, deps: deps, stats: deps.stats.of(kindService, c.name),
		balancer: &balancer{service: c.name, log: deps.log, now: time.Now},
	}
	for _, server := range c.servers {
		s.balancer.turns = append(s.balancer.turns, turn{server: server, health: deps.health.of(c.name, server.text)})
	}
	s.proxy = &httputil.ReverseProxy{
		Rewrite:       s.rewrite,
		Transport:     s,
		FlushInterval: c.flushInterval,
		BufferPool:    deps.buffers,
		ErrorHandler:  s.fail,
		ErrorLog:      slog.NewLogLogger(deps.log.Handler(), slog.LevelDebug),
	}
	return s
}

// rewrite prepares the outgoing request. It does not choose the server: RoundTrip does, because it tries the
// next one if a server refuses the connection.
func (s *service) rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In)
	// A malformed query passes unchanged, because the service may understand it. If rules read queries, the
	// service gets only the parameters that rules can read.
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	if x.queries {
		pr.Out.URL.RawQuery = readablePairs(pr.In.URL.RawQuery)
	}
	s.deps.forwarder.set(pr)
	s.deps.tracing.inject(pr.Out.Header, x)
}

// readablePairs removes from a query the parameters that url.ParseQuery rejects: parameters with a semicolon,
// which some servers treat as a separator, and parameters with a wrong encoding.
func readablePairs(query string) string {
	if _, err := url.ParseQuery(query); err == nil { // Fast path
		return query
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if _, err := url.ParseQuery(pair); err == nil {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// RoundTrip sends the request to a server. If the server refuses the connection, it got nothing, so RoundTrip
// may send a request of any method to the next server.
func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	// The transport closes the body of a request it could not send;
	// ReverseProxy closes the real one.
	body := r.Body
	if body != nil && body != http.NoBody {
		body = io.NopCloser(body)
	}
	var tried [4]int
	attempts := tried[:0]
	last := errNoServers
	for {
		i := s.balancer.next(attempts)
		if i < 0 {
			return nil, last
		}
		out := s.address(r, &s.balancer.turns[i].server)
		out.Body = body
		resp, err := s.transport(i).RoundTrip(out)
		if err == nil || !isDialError(err) {
			if err == nil {
				s.balancer.connected(i)
				return checkStatus(resp)
			}
			return nil, err
		}
		if r.Context().Err() != nil {
			return nil, err // not the server's fault
		}
		s.balancer.refused(i, err)
		attempts, last = append(attempts, i), err
	}
}

// checkStatus rejects and closes an answer with a status outside of HTTP: net/http can read such a status, but
// panics when it writes it.
func checkStatus(resp *http.Response) (*http.Response, error) {
	if resp.StatusCode >= 100 {
		return resp, nil
	}
	return nil, errors.Join(fmt.Errorf("the server answered with the status %03d", resp.StatusCode), resp.Body.Close())
}

func (s *service) transport(i int) *http.Transport {
	if s.balancer.turns[i].server.url.Scheme == "h2c" {
		return s.deps.h2c
	}
	return s.deps.plain
}

// address returns a copy of the request for a server.
func (s *service) address(r *http.Request, server *serverConfig) *http.Request {
	out := *r
	target := *r.URL
	target.Scheme, target.Host, target.User = server.url.Scheme, server.url.Host, nil
	if target.Scheme == "h2c" {
		target.Scheme = "http"
	}
	if server.preservePath {
		joined := server.url.JoinPath(r.URL.EscapedPath())
		target.Path, target.RawPath = joined.Path, joined.RawPath
	}
	out.URL = &target
	if !s.config.passHostHeader {
		out.Host = server.url.Host
	}
	return &out
}

// isDialError reports whether the dial failed.
func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// fail answers a request without an answer from a server.
func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(r.Context(), err)
	if status == statusClientGone {
		if rec, ok := w.(*recorder); ok {
			rec.status = status
		}
		return
	}
	exchangeOf(r).fail(err)
	s.deps.log.Debug("forward request", "service", s.name, "status", status, "error", err)
	plainText(w, status, fmt.Sprintf("%d %s: %s: %s\n", status, http.StatusText(status), s.name, s.plainError(err)))
}

// statusOf maps an error of forwarding to a status.
func statusOf(ctx context.Context, err error) int {
	var timeout net.Error
	switch {
	case errors.Is(context.Cause(ctx), errStopping), errors.Is(err, errNoServers):
		return http.StatusServiceUnavailable
	case ctx.Err() != nil:
		return statusClientGone
	case errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusGatewayTimeout
	default:
		return http.StatusBadGateway
	}
}

// plainError removes from an error the details that do not help an operator.
func (s *service) plainError(err error) string {
	err = innerError(err)
	if strings.Contains(err.Error(), "timeout awaiting response headers") { // HTTP/1 and HTTP/2 in net/http have different types for it
		return fmt.Sprintf("the server did not begin its answer within %s (--response-header-timeout)", s.deps.plain.ResponseHeaderTimeout)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the server closed the connection without an answer"
	}
	return err.Error()
}

// innerError removes the URL, which may contain a password, from an error.
func innerError(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// bufferPool lends the buffers through which bodies pass.
type bufferPool struct{ pool sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { return new([copyBufferSize]byte) }}}
}

func (p *bufferPool) Get() []byte { return p.pool.Get().(*[copyBufferSize]byte)[:] }

func (p *bufferPool) Put(b []byte) {
	if cap(b) >= copyBufferSize {
		p.pool.Put((*[copyBufferSize]byte)(b[:copyBufferSize]))
	}
}
