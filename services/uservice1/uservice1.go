// Package uservice1 answers with a page, after a mock Redis command and a call to uservice2. It has no tracing.
package uservice1

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
var client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 30 * time.Second}

type service struct {
	log       *log.Logger   // writes a message at a time: two requests never share a line
	next      *http.Request // the call to the other service, made anew for each request
	low, high time.Duration // the mock Redis command takes between low and high, ends included
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	from, to, _ := strings.Cut(cmp.Or(getenv("ETUDE_MOCK_REDIS"), "100ms-199ms"), "-")
	low, err1 := time.ParseDuration(from)
	high, err2 := time.ParseDuration(cmp.Or(to, from))
	next, err3 := http.NewRequest(http.MethodGet, cmp.Or(getenv("ETUDE_NEXT_URL"), "http://127.0.0.1:8082/"), nil)
	if cmp.Or(err1, err2, err3) != nil || low > high || high > time.Hour {
		return fmt.Errorf("want ETUDE_MOCK_REDIS=100ms-199ms (or 0) and ETUDE_NEXT_URL=URL, got %q and %v", from+"-"+to, err3)
	}
	s := &service{log: log.New(stdout, "", 0), next: next, low: low, high: high}
	listener, err := net.Listen("tcp", cmp.Or(getenv("ETUDE_LISTEN_ADDR"), "127.0.0.1:8081"))
	if err != nil {
		return fmt.Errorf("start uservice1: %w", err)
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
	if err := s.redisCall(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(page)
}

func (s *service) redisCall(ctx context.Context) error {
	command, done := context.WithTimeout(ctx, s.low+rand.N(s.high-s.low+1))
	defer done()
	<-command.Done()
	return s.otherUserviceCall(ctx)
}

func (s *service) otherUserviceCall(ctx context.Context) error {
	request := s.next.Clone(ctx)
	s.log.Printf("Calling %s", request.URL)
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("call uservice2 (is it running? start it, or set ETUDE_NEXT_URL): %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	s.log.Printf("Got response!\nStatus: %s\nBody: %s", response.Status, body)
	return err
}
