package switches

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// breaker is a proxy between uservice3 and uservice4 that breaks the connection when
// the answer takes too long. It changes nothing else of a request.
type breaker struct {
	url    string
	server *http.Server
}

// breakAfter is the time uservice4 may take.
const breakAfter = 500 * time.Millisecond

func openBreaker(target string, log *slog.Logger) (*breaker, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("open the proxy before uservice4: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the proxy before uservice4: %w", err)
	}
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		Transport:    &http.Transport{},
		ErrorLog:     quiet,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // net/http closes the connection
	}
	b := &breaker{url: "http://" + l.Addr().String() + "/"}
	b.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), breakAfter)
		defer cancel()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})}
	go func() { _ = b.server.Serve(l) }() // ends with close
	return b, nil
}

func (b *breaker) close() { _ = b.server.Close() }
