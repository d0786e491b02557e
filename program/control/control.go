// Package control is the line between `up` and the backend that it has started: what the
// page asks the backend and only `up` can answer.
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

// The page is served by the backend, and `up`, its parent, has what the walk
// needs: the output of the parts, and the power to replace one. So `up` listens
// on a port of the loopback interface that the system chooses, and tells the
// backend alone, by an environment variable, its address and a token. The backend
// passes on requests below /api/etude/, after the checks of the page's
// listener. Without the token the port answers nothing, so that a web page or
// another user of this machine cannot get past those checks.
//
// Rejected: lines by the backend's standard input (its end means stop, and a full
// pipe would hold up every part); a socket in the file system (not the same on
// every system).

// controlEnv carries [Info] from `up` to the backend.
const controlEnv = "ETUDE_CONTROL"

// Info is what the backend knows of its parent.
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

// Open listens; handler answers the backend. edge is the URL of the edge's entry point.
func Open(ctx context.Context, edge string, handler http.Handler, log *slog.Logger) (*Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the backend's questions: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Listener{Info{"http://" + l.Addr().String(), rand.Text(), edge}, nil, cancel}
	c.server = &http.Server{Handler: c.guard(handler), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = c.server.Serve(l) }() // ends with close
	return c, nil
}

// Env is the variable that tells the backend.
func (c *Listener) Env() string {
	text, _ := json.Marshal(c.info) // strings only
	return controlEnv + "=" + string(text)
}

// Close ends all streams, so that the backend need not wait for their readers.
func (c *Listener) Close() {
	c.cancel()
	_ = c.server.Close()
}

func (c *Listener) guard(next http.Handler) http.Handler {
	want := []byte("Bearer " + c.info.Token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "only the backend that etude up has started may ask here", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Parent returns what `up` has told this backend; nil when it was started alone.
func Parent() *Info {
	var info Info
	if json.Unmarshal([]byte(os.Getenv(controlEnv)), &info) != nil || info.URL == "" {
		return nil
	}
	return &info
}

// Proxy passes requests on to `up`, with the token instead of what the browser
// sent to get in.
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
		Transport: &http.Transport{}, // no proxy: it is this machine
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				http.Error(w, "etude up does not answer: "+err.Error(), http.StatusBadGateway)
			}
		},
	}, nil
}
