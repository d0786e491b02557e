// Package uservice2 answers with a page, after a mock database query. It has no tracing.
package uservice2

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

//go:embed hello-world.html
var page []byte

type service struct {
	log       *log.Logger   // writes a message at a time: two requests never share a line
	low, high time.Duration // the mock query takes between low and high, ends included
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	from, to, _ := strings.Cut(cmp.Or(getenv("ETUDE_MOCK_DATABASE"), "1000ms-1999ms"), "-")
	low, err1 := time.ParseDuration(from)
	high, err2 := time.ParseDuration(cmp.Or(to, from))
	if cmp.Or(err1, err2) != nil || low > high || high > time.Hour {
		return fmt.Errorf("want ETUDE_MOCK_DATABASE=1000ms-1999ms (or 0), got %q", from+"-"+to)
	}
	s := &service{log: log.New(stdout, "", 0), low: low, high: high}
	listener, err := net.Listen("tcp", cmp.Or(getenv("ETUDE_LISTEN_ADDR"), "127.0.0.1:8082"))
	if err != nil {
		return fmt.Errorf("start uservice2: %w", err)
	}
	s.log.Printf("Listening on %s", listener.Addr())
	requests, cutShort := context.WithCancel(context.Background())
	server := &http.Server{Handler: s, BaseContext: func(net.Listener) context.Context { return requests },
		DisableGeneralOptionsHandler: true, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener)
	<-ctx.Done()
	time.AfterFunc(800*time.Millisecond, cutShort) // a request cut short can still say so
	time.AfterFunc(time.Second, func() { server.Close() })
	return server.Shutdown(context.Background())
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) { // of every path and method
	headers, _ := httputil.DumpRequest(r, false)
	s.log.Printf("Request: \n%s", headers)
	if err := s.databaseCall(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(page)
}

func (s *service) databaseCall(ctx context.Context) error {
	query, done := context.WithTimeout(ctx, s.low+rand.N(s.high-s.low+1))
	defer done()
	<-query.Done()
	return ctx.Err()
}
