// Package uservice2 answers with a page, after a mock database query. It has no tracing.
package uservice2

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed hello-world.html
var page []byte
var secretHeader = regexp.MustCompile(`(?i)auth|cookie|credential|key|passw|secret|session|signature|token`)

type service struct {
	stdout   io.Writer             // each message is one Write, so that two requests never share a line
	database func(context.Context) // the mock query: takes its time, or returns as ctx ends
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, env func(string) string, stdout io.Writer) error {
	database, databaseErr := newMock(cmp.Or(env("ETUDE_MOCK_DATABASE"), "1000ms-1999ms"))
	listener, listenErr := net.Listen("tcp", cmp.Or(env("ETUDE_LISTEN_ADDR"), "127.0.0.1:8082"))
	if err := errors.Join(databaseErr, listenErr); err != nil { // every mistake at once
		return fmt.Errorf("start uservice2 (settings: ETUDE_MOCK_DATABASE): %w", err)
	}
	s := &service{stdout, database}
	fmt.Fprintf(stdout, "Listening on %s\n", listener.Addr())
	return serve(ctx, listener, s.handleIncomingCall)
}

func serve(ctx context.Context, listener net.Listener, handler http.HandlerFunc) error { // until ctx is cancelled
	requests, cutShort := context.WithCancel(context.Background())
	server := &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return requests }}
	go server.Serve(listener) // ends with Shutdown
	<-ctx.Done()
	time.AfterFunc(600*time.Millisecond, cutShort) // the requests in flight answer with an error
	time.AfterFunc(time.Second, func() { server.Close() })
	return server.Shutdown(context.Background())
}

func (s *service) handleIncomingCall(w http.ResponseWriter, r *http.Request) {
	s.printRequest(r)
	if err := s.databaseCall(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(page)
}

// printRequest prints the headers, sorted, one a line. %+q escapes characters that a terminal would execute.
func (s *service) printRequest(r *http.Request) {
	lines := []string{fmt.Sprintf("    \"host\": %+q,\n", r.Host)}
	for name, values := range r.Header {
		value := strings.Join(values, ", ")
		if secretHeader.MatchString(name) {
			value = "[redacted]"
		}
		lines = append(lines, fmt.Sprintf("    %+q: %+q,\n", strings.ToLower(name), value))
	}
	slices.Sort(lines)
	fmt.Fprintf(s.stdout, "Request: {\n%s}\n", strings.Join(lines, ""))
}

func (s *service) databaseCall(ctx context.Context) error {
	s.database(ctx)
	return ctx.Err() // not nil when the client has gone
}

func newMock(text string) (func(context.Context), error) { // text: "1000ms-1999ms", ends included, or "0"
	from, to, _ := strings.Cut(text, "-")
	low, lowErr := time.ParseDuration(from)
	high, highErr := time.ParseDuration(cmp.Or(to, from))
	if lowErr != nil || highErr != nil || low > high || high > time.Hour {
		return nil, fmt.Errorf("want a range such as 1000ms-1999ms, or 0, got %q", text)
	}
	return func(ctx context.Context) {
		ctx, stop := context.WithTimeout(ctx, low+rand.N(high-low+1))
		defer stop()
		<-ctx.Done()
	}, nil
}
