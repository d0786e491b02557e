// Package control connects `up` and the backend that it has started. The backend forwards requests of the page
// that only `up` can answer.
package control

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// The backend serves the page. Its parent `up` has the output of the parts and can replace parts, and the walk
// needs both. So `up` listens on a free port of the loopback interface, and passes the address and a token to
// the backend alone, in an environment variable. The backend forwards requests below /api/etude/ after the
// access checks of the page's listener. `up` refuses requests without the token, so that neither a web page nor
// another user of this machine can bypass those checks.
//
// Rejected: lines over the backend's standard input (its end means stop, and a full pipe would block every
// part); a socket in the file system (it differs between systems).

// controlEnv passes [Info] from `up` to the backend.
const controlEnv = "ETUDE_CONTROL"

// Info is the backend's knowledge of its parent.
type Info struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	Edge  string `json:"edge"` // URL of the edge's entry point
}

// Listener is the listener of `up`.
type Listener struct {
	info   Info
	server *http.Server
	cancel context.CancelFunc // ends the streams
}

// Open opens the listener. handler answers the backend; edge is the URL of the edge's entry point.
func Open(ctx context.Context, edge string, handler http.Handler, log *slog.Logger) (*Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the backend's requests: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Listener{Info{"http://" + l.Addr().String(), rand.Text(), edge}, nil, cancel}
	c.server = &http.Server{Handler: c.guard(handler), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = c.server.Serve(l) }() // ends with close
	return c, nil
}

// Env is the variable that passes [Info] to the backend.
func (c *Listener) Env() string {
	text, _ := json.Marshal(c.info) // strings only
	return controlEnv + "=" + string(text)
}

// Close ends all streams, so that the backend does not wait for their readers.
func (c *Listener) Close() {
	c.cancel()
	_ = c.server.Close()
}

func (c *Listener) guard(next http.Handler) http.Handler {
	want := []byte("Bearer " + c.info.Token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "only the backend that etude up started may send requests here", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Parent returns the [Info] that `up` passed to this backend, or nil when `up` did not start it.
func Parent() *Info {
	var info Info
	if json.Unmarshal([]byte(os.Getenv(controlEnv)), &info) != nil || info.URL == "" {
		return nil
	}
	return &info
}

// Proxy forwards requests to `up`. It replaces the browser's credentials by the token.
func (i *Info) Proxy(log *slog.Logger) (http.Handler, error) {
	target, err := url.Parse(i.URL)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", controlEnv, err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header = http.Header{"Authorization": {"Bearer " + i.Token}, "Content-Type": r.In.Header["Content-Type"], "Accept": r.In.Header["Accept"]}
		},
		Transport: &http.Transport{}, // no proxy: `up` runs on this machine
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				http.Error(w, "etude up does not answer: "+err.Error(), http.StatusBadGateway)
			}
		},
	}, nil
}
