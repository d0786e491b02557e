package receive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// exportRequest is a request as exporters send it; extra are more header lines.
func exportRequest(body []byte, extra ...string) string {
	head := fmt.Sprintf("POST /v1/traces HTTP/1.1\r\nHost: localhost:4318\r\nUser-Agent: OTel-Go/1.40\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n", len(body))
	for _, line := range extra {
		head += line + "\r\n"
	}
	return head + "\r\n" + string(body)
}

// converse writes pieces to a server and describes all that it answers until it
// closes the connection, or falls silent after the last of want answers.
func converse(t *testing.T, c net.Conn, pieces []string, want int) string {
	t.Helper()
	defer c.Close()
	go func() {
		for _, p := range pieces {
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
	}()
	var said strings.Builder
	r := bufio.NewReader(c)
	for range want {
		resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodPost})
		if err != nil {
			fmt.Fprintln(&said, "end")
			return said.String()
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("read answer: %v", err)
		}
		dated := resp.Header.Get("Date") != ""
		resp.Header.Del("Date")
		fmt.Fprintf(&said, "%s %v %q %d close=%v dated=%v\n", resp.Status, resp.Header, body, resp.ContentLength, resp.Close, dated)
		if resp.Close {
			_, err := r.ReadByte()
			fmt.Fprintln(&said, "then", err)
			return said.String()
		}
	}
	return said.String()
}

type retryLater struct{ error }

func (retryLater) RetryAfter() time.Duration { return 1500 * time.Millisecond }

// TestExportsAnswerLikeNetHTTP sends the same bytes to both ways, whole and in
// pieces, and wants the same answers and the same spans stored.
func TestExportsAnswerLikeNetHTTP(t *testing.T) {
	t.Parallel()
	small, large := marshal(t, request(2)), marshal(t, request(800))
	one := exportRequest(small)
	over := fmt.Errorf("stop: %w", retryLater{errors.New("too much")})
	limits := Limits{Body: 1 << 20, Spans: 1000}
	for name, test := range map[string]struct {
		send   string
		want   int
		answer error
		limits Limits
	}{
		"one":                     {send: one, want: 1},
		"three":                   {send: one + one + one, want: 3},
		"large":                   {send: exportRequest(large) + one, want: 2},
		"no spans":                {send: exportRequest(nil) + one, want: 2},
		"case of names":           {send: strings.NewReplacer("Host", "hOST", "Content-Type", "content-TYPE", "Content-Length", "CONTENT-length").Replace(one) + one, want: 2},
		"spaces":                  {send: strings.ReplaceAll(one, ": ", ":  \t ") + one, want: 2},
		"keep-alive":              {send: exportRequest(small, "Connection: keep-alive") + one, want: 2},
		"close":                   {send: exportRequest(small, "Connection: close") + one, want: 2},
		"other words":             {send: exportRequest(small, "Connection: keep-alive, x") + one, want: 2},
		"other headers":           {send: exportRequest(small, "Accept: */*", "Accept-Encoding: gzip", "Authorization: Bearer x", "X-Scope-OrgID: 1") + one, want: 2},
		"JSON":                    {send: one + "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" + one, want: 3},
		"get between":             {send: one + "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + one, want: 3},
		"other path":              {send: exportRequest(small) + strings.Replace(one, "/v1/traces", "/v1/traces2", 1) + one, want: 3},
		"query":                   {send: strings.Replace(one, "/v1/traces", "/v1/traces?a=b", 1) + one, want: 2},
		"HTTP/1.0":                {send: strings.Replace(one, "HTTP/1.1", "HTTP/1.0", 1) + one, want: 2},
		"origin":                  {send: exportRequest(small, "Origin: http://localhost:3000") + one, want: 2},
		"expect":                  {send: exportRequest(small, "Expect: 100-continue") + one, want: 3},
		"gzip that is not":        {send: exportRequest(small, "Content-Encoding: gzip") + one, want: 2},
		"identity":                {send: exportRequest(small, "Content-Encoding: identity") + one, want: 2},
		"chunked":                 {send: "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x0a\x00\r\n0\r\n\r\n" + one, want: 2},
		"chunked and length":      {send: exportRequest(small, "Transfer-Encoding: chunked"), want: 1},
		"two lengths":             {send: exportRequest(small, "Content-Length: 3"), want: 1},
		"same length twice":       {send: exportRequest(small, fmt.Sprintf("Content-Length: %d", len(small))) + one, want: 2},
		"two hosts":               {send: exportRequest(small, "Host: b"), want: 1},
		"no host":                 {send: strings.Replace(one, "Host: localhost:4318\r\n", "", 1), want: 1},
		"no length":               {send: "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n\r\n" + one, want: 2},
		"bad length":              {send: "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: +5\r\n\r\nhello", want: 1},
		"bad name":                {send: exportRequest(small, "Bad Name: 1"), want: 1},
		"space before colon":      {send: exportRequest(small, "Content-Encoding : gzip"), want: 1},
		"folded":                  {send: exportRequest(small, "X-A: 1", " folded") + one, want: 2},
		"control":                 {send: exportRequest(small, "X-A: \x01"), want: 1},
		"bare line feeds":         {send: strings.ReplaceAll(strings.TrimSuffix(exportRequest(nil), "\r\n"), "\r\n", "\n") + "\n" + one, want: 2},
		"not protobuf":            {send: exportRequest([]byte("hello")) + one, want: 2},
		"too large":               {send: exportRequest(make([]byte, 1<<20+1)), want: 1},
		"too large when unpacked": {send: exportRequest(make([]byte, 300)) + one, want: 2, limits: Limits{Decompressed: 299}},
		"too many spans":          {send: exportRequest(marshal(t, request(1001))) + one, want: 2},
		"no room":                 {send: exportRequest(large) + one, want: 2, limits: Limits{InFlight: 2000}},
		"overload":                {send: one + one, want: 2, answer: over},
		"our fault":               {send: one + one, want: 2, answer: errors.New("secret")},
		"cut short":               {send: one[:len(one)-1], want: 1, limits: Limits{RequestTimeout: 300 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.limits == (Limits{}) {
				test.limits = limits
			}
			pieces := map[string][]string{"whole": {test.send}, "halves": {test.send[:len(test.send)/2], test.send[len(test.send)/2:]}}
			if len(test.send) < 1000 {
				pieces["bytes"] = strings.Split(test.send, "")
			}
			for how, p := range pieces {
				var said, stored [2]string
				for i := range said {
					sink := &recorder{}
					if test.answer != nil {
						sink.answer = func(context.Context) error { return test.answer }
					}
					s := startPiped(t, test.limits, sink)
					client, server := net.Pipe() // each piece is read by itself
					if i == 0 {
						go s.serveHTTP(server)
					} else {
						go s.httpConns.give(server)
					}
					said[i] = converse(t, client, p, test.want)
					var all strings.Builder
					for _, r := range sink.requests() {
						all.WriteString(r.String())
					}
					stored[i] = fmt.Sprintf("%s, counted %+v", &all, s.Stats().Counts().Protocols[1])
				}
				if said[0] != said[1] {
					t.Errorf("%s: answers\n%swant\n%s", how, said[0], said[1])
				}
				if stored[0] != stored[1] {
					t.Errorf("%s: stored %s\nwant %s", how, stored[0], stored[1])
				}
			}
		})
	}
}

// startPiped runs a server without a port.
func startPiped(t *testing.T, l Limits, sink Sink) *Server {
	t.Helper()
	s, err := Listen(Config{Limits: l}, sink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestExportsDrain: an answer in progress is given, says that it is the last, and
// idle connections are closed.
func TestExportsDrain(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	sink := &recorder{answer: func(context.Context) error { entered <- struct{}{}; <-release; return nil }}
	s, err := Listen(Config{OTLPHTTPAddr: "127.0.0.1:0"}, sink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	one := exportRequest(marshal(t, request(1)))
	said := make(chan string, 1)
	idleSaid := make(chan string, 1)
	go func() { idleSaid <- converse(t, connect(t, s.Addrs().OTLPHTTP), []string{one}, 2) }()
	<-entered
	release <- struct{}{}
	eventually(t, "the first is answered", func() bool { return s.Stats().Counts().Protocols[1].Requests == 1 })
	go func() { said <- converse(t, connect(t, s.Addrs().OTLPHTTP), []string{one, one}, 2) }()
	<-entered
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	if got := <-idleSaid; strings.Count(got, "200 OK") != 1 || !strings.Contains(got, "end") {
		t.Errorf("idle connection: %s", got)
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown returned with a request in flight: %v", err)
	default:
	}
	close(release)
	if got := <-said; strings.Count(got, "200 OK") != 1 || !strings.Contains(got, "close=true") {
		t.Errorf("connection with a request: %s", got)
	}
	if err := errors.Join(<-down, <-served); err != nil {
		t.Error(err)
	}
}

// TestExportsShutdownIsBounded: a Sink that hangs, and a body that never ends.
func TestExportsShutdownIsBounded(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	sink := &recorder{answer: func(ctx context.Context) error { close(entered); <-ctx.Done(); return ctx.Err() }}
	s, err := Listen(Config{OTLPHTTPAddr: "127.0.0.1:0"}, sink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	one := exportRequest(marshal(t, request(1)))
	hanging, slow := connect(t, s.Addrs().OTLPHTTP), connect(t, s.Addrs().OTLPHTTP)
	for c, text := range map[net.Conn]string{hanging: one, slow: one[:len(one)-1]} {
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	<-entered
	eventually(t, "both in flight", func() bool { return s.Stats().Counts().InFlight == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want deadline exceeded", err)
	}
	eventually(t, "all given up", func() bool { c := s.Stats().Counts(); return c.InFlight == 0 && c.Connections == 0 })
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestSlowExportsAreCut: each says something in the form of the fast path, then
// nothing. What was read whole is answered first.
func TestSlowExportsAreCut(t *testing.T) {
	t.Parallel()
	one := exportRequest(marshal(t, request(1)))
	for name, test := range map[string]struct{ send, want string }{
		"idle":           {one, "200 OK"},
		"half a head":    {one + one[:50], "200 OK"},
		"half a body":    {one[:len(one)-5], "408 Request Timeout"},
		"a late request": {one + one[:len(one)-5], "200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			short := 30 * time.Millisecond
			s := start(t, Config{Limits: Limits{HeaderTimeout: short, RequestTimeout: short, IdleTimeout: short}}, new(recorder))
			c := connect(t, s.Addrs().OTLPHTTP)
			if _, err := io.WriteString(c, test.send); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 "+test.want) {
				t.Errorf("%q, %v; want %s and the end", got, err, test.want)
			}
			eventually(t, "no connection open", func() bool { return s.Stats().Counts().Connections == 0 })
		})
	}
}

// What the fast path takes for a plain request, net/http takes for the same.
func FuzzExportHead(f *testing.F) {
	f.Add(exportRequest(nil))
	f.Add(exportRequest(nil, "Connection: keep-alive", "Accept: */*"))
	f.Add(exportRequest(nil, "Content-Encoding: gzip"))
	f.Add(exportRequest(nil, "Transfer-Encoding: chunked"))
	f.Add("POST /v1/traces HTTP/1.1\r\nhost:[::1]:4318\r\ncontent-type:application/x-protobuf\r\ncontent-length:00000000012\r\n\r\n")
	f.Fuzz(func(t *testing.T, head string) {
		length, ok := parseExportHead([]byte(head))
		if !ok {
			return
		}
		body := bytes.Repeat([]byte{1}, int(min(length, 100)))
		r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(body))))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", head, err)
		}
		h := r.Header
		if r.Method != http.MethodPost || r.RequestURI != tracesPath || r.Host == "" || r.ContentLength != length || r.Close || r.ProtoMinor != 1 ||
			len(r.TransferEncoding) > 0 || len(h.Values("Content-Type")) != 1 || h.Get("Content-Type") != typeProtobuf ||
			h.Get("Content-Encoding")+h.Get("Expect")+h.Get("Origin")+h.Get("Upgrade")+h.Get("Trailer") != "" {
			t.Fatalf("%q is read as %+v", head, r)
		}
		if got, err := io.ReadAll(io.LimitReader(r.Body, 100)); length <= 100 && (err != nil || !bytes.Equal(got, body)) {
			t.Fatalf("%q: body %q, %v", head, got, err)
		}
	})
}
