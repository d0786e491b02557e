// Package uservice1 answers with a page, after a mock Redis command and a call to uservice2. It has no tracing.
package uservice1

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
var terminalControl = regexp.MustCompile(`[^\P{C}\n\t]|\x{2028}|\x{2029}`)
var client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 30 * time.Second}

type service struct {
	stdout io.Writer             // each message is one Write, so that two requests never share a line
	redis  func(context.Context) // the mock command: takes its time, or returns as ctx ends
	next   *http.Request         // the call to the other service, cloned for each request
}

// Run serves until ctx is cancelled, gives the requests in flight a second to finish, and returns nil.
func Run(ctx context.Context, env func(string) string, stdout io.Writer) error {
	redis, redisErr := newMock(cmp.Or(env("ETUDE_MOCK_REDIS"), "100ms-199ms"))
	next, nextErr := http.NewRequest(http.MethodGet, cmp.Or(env("ETUDE_NEXT_URL"), "http://127.0.0.1:8082/"), nil)
	listener, listenErr := net.Listen("tcp", cmp.Or(env("ETUDE_LISTEN_ADDR"), "127.0.0.1:8081"))
	if err := errors.Join(redisErr, nextErr, listenErr); err != nil { // every mistake at once
		return fmt.Errorf("start uservice1 (settings: ETUDE_MOCK_REDIS, ETUDE_NEXT_URL): %w", err)
	}
	s := &service{stdout, redis, next}
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
	if err := s.redisCall(r.Context()); err != nil {
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

func (s *service) redisCall(ctx context.Context) error {
	s.redis(ctx)
	return s.otherUserviceCall(ctx)
}

func (s *service) otherUserviceCall(ctx context.Context) error {
	request := s.next.Clone(ctx)
	fmt.Fprintf(s.stdout, "Calling %s\n", request.URL.Redacted())
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("call uservice2 (is it running? start it, or set ETUDE_NEXT_URL): %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	text := terminalControl.ReplaceAllString(strings.ToValidUTF8(string(body), "?"), "?")
	fmt.Fprintf(s.stdout, "Got response!\nStatus: %d %s\nBody: %s",
		response.StatusCode, http.StatusText(response.StatusCode), text)
	return err
}

func newMock(text string) (func(context.Context), error) { // text: "100ms-199ms", ends included, or "0"
	from, to, _ := strings.Cut(text, "-")
	low, lowErr := time.ParseDuration(from)
	high, highErr := time.ParseDuration(cmp.Or(to, from))
	if lowErr != nil || highErr != nil || low > high || high > time.Hour {
		return nil, fmt.Errorf("want a range such as 100ms-199ms, or 0, got %q", text)
	}
	return func(ctx context.Context) {
		ctx, stop := context.WithTimeout(ctx, low+rand.N(high-low+1))
		defer stop()
		<-ctx.Done()
	}, nil
}
