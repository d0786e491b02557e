package edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestForwardedHeaders(t *testing.T) {
	t.Parallel()
	var got http.Header
	var host, query string
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) { got, host, query = r.Header, r.Host, r.URL.RawQuery })
	send := []string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "evil", "X-Real-Ip", "6.6.6.6", "X-Forwarded-Prefix", "/evil",
		"Connection", "X-Hop", "X-Hop", "1", "Te", "trailers", "Proxy-Authorization", "x", "X-Kept", "yes"}
	e := start(t, Options{ConfigText: configFor(everything, service.URL)})
	get(t, e.web, "all.localhost:81", "/?a=1;b&%zz", send...)
	want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "all.localhost:81", "X-Forwarded-Port": "81", "X-Forwarded-Proto": "http",
		"X-Forwarded-Server": hostname(), "X-Real-Ip": "127.0.0.1", "X-Kept": "yes", "X-Hop": "", "X-Forwarded-Prefix": "", "Proxy-Authorization": ""}
	for key, value := range want {
		if got.Get(key) != value {
			t.Errorf("%s: %q, want %q", key, got.Values(key), value)
		}
	}
	if host != "all.localhost:81" || query != "a=1;b&%zz" {
		t.Errorf("host %q, query %q", host, query)
	}

	trusting := start(t, Options{ConfigText: configFor(everything, service.URL), TrustedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	get(t, trusting.web, "all.localhost", "/", send...)
	for key, value := range map[string]string{"X-Forwarded-For": "6.6.6.6, 127.0.0.1", "X-Forwarded-Host": "evil", "X-Real-Ip": "6.6.6.6", "X-Forwarded-Port": "80"} {
		if got.Get(key) != value {
			t.Errorf("trusted %s: %q, want %q", key, got.Values(key), value)
		}
	}
}

func TestHostHeaderCanBeReplaced(t *testing.T) {
	t.Parallel()
	var host, path string
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) { host, path = r.Host, r.URL.Path })
	text := strings.Replace(string(configFor(everything, service.URL+"/base")), "servers:", "passHostHeader: false\n        servers:", 1) + "            preservePath: true\n"
	e := start(t, Options{ConfigText: []byte(text)})
	get(t, e.web, "all.localhost", "/x")
	if want := strings.TrimPrefix(service.URL, "http://"); host != want || path != "/base/x" {
		t.Errorf("host %q, path %q; want %q, /base/x", host, path, want)
	}
}

// TestStreamsBothWays sends a line only after the answer to the one before has
// come back: neither direction may be held up for the other.
func TestStreamsBothWays(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "h2c"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				_ = control.EnableFullDuplex() // HTTP/2 has it anyway
				w.Header().Set("Trailer", "X-Sum")
				w.WriteHeader(http.StatusOK)
				_ = control.Flush()
				lines := bufio.NewScanner(r.Body)
				n := 0
				for ; lines.Scan(); n++ {
					fmt.Fprintf(w, "echo %s\n", lines.Text())
					_ = control.Flush()
				}
				w.Header().Set("X-Sum", fmt.Sprint(n, " ", r.Proto))
			}))
			protocols := new(http.Protocols)
			protocols.SetHTTP1(true)
			protocols.SetUnencryptedHTTP2(true)
			service.Config.Protocols = protocols
			service.Start()
			t.Cleanup(service.Close)
			url, proto, client := service.URL, "HTTP/1.1", &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
			if protocol == "h2c" {
				url, proto = strings.Replace(url, "http", "h2c", 1), "HTTP/2.0"
				only := new(http.Protocols)
				only.SetUnencryptedHTTP2(true)
				client.Transport = &http.Transport{Protocols: only}
			}
			t.Cleanup(client.CloseIdleConnections)
			e := start(t, Options{ConfigText: configFor(everything, url)})
			body, feed := io.Pipe()
			defer feed.Close()
			resp, err := client.Post("http://"+e.web+"/", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.Proto != proto {
				t.Errorf("answer came over %s", resp.Proto)
			}
			answers := bufio.NewReader(resp.Body)
			for i := range 3 {
				fmt.Fprintf(feed, "line %d\n", i)
				line, err := answers.ReadString('\n')
				if err != nil || line != fmt.Sprintf("echo line %d\n", i) {
					t.Fatalf("got %q, %v", line, err)
				}
			}
			feed.Close()
			if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
				t.Errorf("rest %q, %v", rest, err)
			}
			if got := resp.Trailer.Get("X-Sum"); got != "3 "+proto {
				t.Errorf("trailer %q", got)
			}
		})
	}
}

// TestEarlyAnswer: the service refuses an upload that is still under way, and
// the client, which sends no more until it hears something, gets to know.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	service := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	e := start(t, Options{ConfigText: configFor(everything, service.URL)})
	conn, err := net.Dial("tcp", e.web)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("%v, %v", resp, err)
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	service := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	c := newCollector(t)
	e := start(t, Options{AccessLog: true, JaegerEndpoint: c.URL, ConfigText: configFor("Host(`a`)", service.URL)})
	get(t, e.web, "a", "/x?y=z")
	get(t, e.web, "b", "/")
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	trace := fmt.Sprintf("trace=%032x", uint64(c.spans()[0].TraceIdLow))
	for _, want := range []string{"method=GET host=a path=\"/x?y=z\" status=200 bytes=5", "router=all@file service=s@file", trace, "host=b path=/ status=404"} {
		if !strings.Contains(e.log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, e.log)
		}
	}
}

// TestFavicon: the edge has the icon of the demo's hosts, and leaves no trace of it.
func TestFavicon(t *testing.T) {
	t.Parallel()
	service := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "from the service") })
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, FaviconHosts: []string{"demo.localhost"}, ConfigText: configFor("Host(`demo.localhost`, `other.localhost`)", service.URL)})
	for _, tt := range []struct{ host, path, want string }{
		{"demo.localhost", "/favicon.ico", "<svg"}, {"Demo.localhost:8000", "/x/../favicon.ico?v=2", "<svg"}, {"localhost:8000", "/favicon.ico", "<svg"}, {"127.0.0.1", "/favicon.ico", "<svg"},
		{"other.localhost", "/favicon.ico", "from the service"}, {"demo.localhost", "/favicon.icon", "from the service"}, {"unknown.localhost", "/favicon.ico", "404 Not Found"},
	} {
		if _, body := get(t, e.web, tt.host, tt.path); !strings.HasPrefix(body, tt.want) {
			t.Errorf("%s%s: %q, want %q", tt.host, tt.path, body, tt.want)
		}
	}
	resp, err := visitor.Get("http://" + e.web + "/favicon.ico")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age") {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	for _, span := range c.spans() {
		if host := tags(span.Tags)["http.host"]; host != "other.localhost" && host != "unknown.localhost" && tags(span.Tags)["http.url"] != "/favicon.icon" {
			t.Errorf("span %s of %s%s", span.OperationName, host, tags(span.Tags)["http.url"])
		}
	}
	if n := len(c.spans()); n != 5 {
		t.Errorf("%d spans, want 5", n)
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	service := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("X-Forwarded-Proto") != "ws" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	})
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor(everything, service.URL)})
	conn, err := net.Dial("tcp", e.web)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	for _, text := range []string{"ping\n", "pong\n"} {
		fmt.Fprint(conn, text)
		if line, err := r.ReadString('\n'); err != nil || line != text {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	conn.Close()
	for _, span := range c.await(t, 2) {
		if got := tags(span.Tags)["http.status_code"]; got != "long 101" {
			t.Errorf("%s: status %s", span.OperationName, got)
		}
	}
}

func TestClientGoneCancelsUpstream(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		t.Run(fmt.Sprint("answer begun: ", begun), func(t *testing.T) {
			t.Parallel()
			arrived, cancelled := make(chan struct{}), make(chan struct{})
			service := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if begun {
					_, _ = w.Write([]byte("first"))
					_ = http.NewResponseController(w).Flush()
				}
				close(arrived)
				<-r.Context().Done()
				close(cancelled)
			})
			c := newCollector(t)
			e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor(everything, service.URL)})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.web+"/", nil)
			go func() {
				<-arrived
				cancel()
			}()
			if resp, err := visitor.Do(req); err == nil {
				if _, err := io.ReadAll(resp.Body); err == nil {
					t.Error("the client got a whole answer")
				}
				resp.Body.Close()
			}
			<-cancelled
			for _, span := range c.await(t, 2) {
				got := tags(span.Tags)
				if got["http.status_code"] != "long 499" || got["error"] != "" {
					t.Errorf("tags of %s: %v", span.OperationName, got)
				}
			}
		})
	}
}

func TestBrokenAnswerBreaksTheClientsToo(t *testing.T) {
	t.Parallel()
	service := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor(everything, service.URL)})
	resp, err := visitor.Get("http://" + e.web)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("the client took half an answer for a whole one")
	}
	for _, span := range c.await(t, 2) {
		if got := tags(span.Tags); got["http.status_code"] != "long 502" || got["error"] != "bool true" {
			t.Errorf("tags of %s: %v", span.OperationName, got)
		}
	}
}

// TestEjection: one of two servers is dead. No request fails, the dead one is
// taken out, and comes back when it lives again.
func TestEjection(t *testing.T) {
	t.Parallel()
	var alive, revived atomic.Int64
	good := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		alive.Add(1)
	})
	dead := deadAddress()
	e := start(t, Options{ConfigText: configFor(everything, dead, good.URL)})
	for range 20 {
		resp, err := visitor.Post("http://"+e.web, "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	if alive.Load() != 20 {
		t.Errorf("%d of 20 requests reached the live server", alive.Load())
	}
	if n := strings.Count(e.log.String(), "server out of rotation"); n != 1 {
		t.Errorf("%d log lines about the ejection:\n%s", n, e.log)
	}
	if _, body := get(t, e.dashboard, "", "/api/http/services/s@file"); !strings.Contains(body, `"`+dead+`":"DOWN"`) || !strings.Contains(body, `"`+good.URL+`":"UP"`) {
		t.Errorf("service: %s", body)
	}
	l, err := net.Listen("tcp", strings.TrimPrefix(dead, "http://"))
	if err != nil {
		t.Skipf("the port was taken by another: %v", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { revived.Add(1) })}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	eventually(t, func() bool {
		get(t, e.web, "a", "/")
		return revived.Load() > 2
	})
	if n := strings.Count(e.log.String(), "server back in rotation"); n != 1 {
		t.Errorf("%d log lines about the recovery:\n%s", n, e.log)
	}
}

func TestBalancerWeights(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	b := &balancer{now: func() time.Time { return now }}
	for _, weight := range []int{3, 1, 0} {
		b.turns = append(b.turns, turn{server: serverConfig{weight: weight}, health: &health{}})
	}
	var got []int
	for range 8 {
		got = append(got, b.next(nil))
	}
	if want := []int{0, 0, 1, 0, 0, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("turns %v, want %v", got, want)
	}
	if i := b.next([]int{0, 1}); i != -1 {
		t.Errorf("all tried, yet got %d", i)
	}
}

func TestHealthRetriesOneAtATime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := &health{}
	for i := range ejectAfter {
		if ejection := h.fail(now); (ejection == minEjection) != (i == ejectAfter-1) {
			t.Errorf("failure %d: ejection %v", i, ejection)
		}
	}
	if h.fail(now) != 0 || h.outUntil(now) != now.Add(minEjection) {
		t.Error("a last resort that fails must change nothing")
	}
	now = now.Add(minEjection)
	if !h.outUntil(now).IsZero() {
		t.Error("still out after the ejection")
	}
	h.claim(now)
	if h.outUntil(now).IsZero() {
		t.Error("a second request may retry at the same time")
	}
	h.fail(now)
	if got := h.outUntil(now); got != now.Add(2*minEjection) {
		t.Errorf("out until %v after the retry failed", got.Sub(now))
	}
	if !h.recover() || !h.up() || h.recover() {
		t.Error("recovery")
	}
}

// TestStopLetsRequestsFinish: a request in flight gets its answer, one that
// takes too long is cut, and the spans of both are sent.
func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		wait := release
		if r.URL.Path == "/forever" {
			wait = nil
		}
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	})
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, StopTimeout: 300 * time.Millisecond, ConfigText: configFor(everything, service.URL)})
	statuses := make(chan int, 2)
	for _, path := range []string{"/soon", "/forever"} {
		go func() {
			resp, err := visitor.Get("http://" + e.web + path)
			if err != nil {
				statuses <- 0
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		}()
		<-arrived
	}
	ended := make(chan error)
	go func() { ended <- e.stop() }()
	eventually(t, func() bool { // the listener is closed first
		conn, err := net.Dial("tcp", e.web)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(release)
	if status := <-statuses; status != http.StatusOK {
		t.Errorf("the request in flight got %d", status)
	}
	if err := <-ended; err != nil {
		t.Errorf("stop: %v", err)
	}
	<-statuses
	if n := len(c.spans()); n != 4 {
		t.Errorf("%d spans after the stop, want 4", n)
	}
}

// TestStopCutsStuckConnections: an upload that stalls and an upgrade that stays
// open hold the end up only for the grace.
func TestStopCutsStuckConnections(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 2)
	service := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			arrived <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, conn)
	})
	c := newCollector(t)
	e := start(t, Options{JaegerEndpoint: c.URL, StopTimeout: 50 * time.Millisecond, ConfigText: configFor(everything, service.URL)})
	for _, head := range []string{"Content-Length: 1000000\r\n\r\nsome", "Connection: Upgrade\r\nUpgrade: x\r\n\r\n"} {
		conn, err := net.Dial("tcp", e.web)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+head)
		<-arrived
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(e.log.String(), "left behind") {
		t.Errorf("log:\n%s", e.log)
	}
	if n := len(c.spans()); n != 4 {
		t.Errorf("%d spans, want 4", n)
	}
}

// TestAnswersThatAreNone: what no client could read becomes a 502 with the reason.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]string{
		"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n": "answered with the status 099",
		"HTTP/1.1 000 \r\nContent-Length: 0\r\n\r\n":    "answered with the status 000",
		"HTTP/1.1 1000 High\r\n\r\n":                    "malformed HTTP status code",
		"\x00garbage\r\n\r\n":                           "malformed HTTP response",
		"":                                              "closed the connection",
	} {
		service := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, head)
		})
		e := start(t, Options{ConfigText: configFor(everything, service.URL)})
		if status, body := get(t, e.web, "a", "/"); status != http.StatusBadGateway || !strings.Contains(body, want) {
			t.Errorf("%q: %d %s; want 502 with %q", head, status, body, want)
		}
		if log := e.log.String(); strings.Contains(log, "panic") {
			t.Errorf("%q: %s", head, log)
		}
	}
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Run(context.Background(), Options{EdgeAddr: l.Addr().String(), DashboardAddr: "127.0.0.1:0", ConfigText: configFor(everything), Getenv: noEnv})
	if err == nil || !strings.Contains(err.Error(), "listen for requests: listen tcp "+l.Addr().String()) {
		t.Fatalf("got %v", err)
	}
}
