package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// spellings are names that servers hand on as the same variable.
func aliases(name string) []string {
	return []string{
		strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
		strings.ToLower(strings.ReplaceAll(name, "-", "_")), strings.Replace(name, "-", "_", 1), strings.ReplaceAll(name, "-", "~"),
		strings.ReplaceAll(name, "-", "+"), strings.ReplaceAll(name, "-", "'"),
	}
}

var claimNames = []string{
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-Method",
	"X-Forwarded-Prefix", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-User",
	"X-Forwarded", "Forwarded", "X-Real-Ip", "Client-Ip", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip", "Cf-Connecting-Ip",
	"X-Original-Url", "X-Rewrite-Url", "X-Original-Forwarded-For", "X-Original-Host", "Remote-User", "Front-End-Https",
}

// send passes headers through the proxy as a raw HTTP/1 request would, and
// returns those that the service gets.
func send(t testing.TB, trusted bool, header http.Header) http.Header {
	t.Helper()
	f := &forwarder{server: "edge", log: slog.New(slog.DiscardHandler)}
	if trusted {
		f.trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}
	var got http.Header
	proxy := &httputil.ReverseProxy{Rewrite: f.set, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r.Header
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
	})}
	r := httptest.NewRequest(http.MethodGet, "http://asked.localhost/", nil)
	r.RemoteAddr, r.Header = "192.0.2.7:1234", header
	f.clean(r)
	proxy.ServeHTTP(httptest.NewRecorder(), r)
	return got
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClaimsOfStrangersAreDropped(t *testing.T) {
	t.Parallel()
	for _, name := range claimNames {
		for _, spelling := range append(aliases(name), name) {
			spelling = http.CanonicalHeaderKey(spelling)
			for _, connection := range []string{"", name, spelling} {
				got := send(t, false, http.Header{spelling: {"evil"}, "Connection": {connection}, "X-Kept": {"yes"}})
				for key, values := range got {
					if slices.Contains(values, "evil") {
						t.Errorf("%s: the service got %s: %s", spelling, key, values)
					}
				}
				if got.Get("X-Forwarded-For") != "192.0.2.7" || got.Get("X-Real-Ip") != "192.0.2.7" || got.Get("X-Forwarded-Host") != "asked.localhost" ||
					got.Get("X-Forwarded-Proto") != "http" || got.Get("X-Forwarded-Port") != "80" || got.Get("X-Kept") != "yes" {
					t.Errorf("%s, Connection: %s: the service got %v", spelling, connection, got)
				}
			}
		}
	}
}

func TestClaimsOfTrustedProxiesAreKept(t *testing.T) {
	t.Parallel()
	for _, name := range claimNames {
		for _, connection := range []string{"", name} {
			got := send(t, true, http.Header{name: {"true"}, "Connection": {connection}})
			want := "true"
			if name == "X-Forwarded-For" {
				want = "true, 192.0.2.7"
			}
			if got.Get(name) != want {
				t.Errorf("%s, Connection: %s: the service got %q", name, connection, got.Get(name))
			}
		}
		for _, alias := range aliases(name) {
			if alias = http.CanonicalHeaderKey(alias); alias == name {
				continue
			}
			for key, values := range send(t, true, http.Header{alias: {"evil"}}) {
				if slices.Contains(values, "evil") {
					t.Errorf("%s from behind a trusted proxy: the service got %s: %s", alias, key, values)
				}
			}
		}
	}
}

// TestRulesSeeNoClaims: a stranger cannot choose a route by a header that says who
// asked.
func TestRulesSeeNoClaims(t *testing.T) {
	t.Parallel()
	service := serve(t, func(http.ResponseWriter, *http.Request) {})
	text := configFor("Header(`X-Forwarded-Proto`, `https`) || HeaderRegexp(`X-Real-Ip`, `.`)", service.URL)
	for _, tt := range []struct {
		trusted []netip.Prefix
		want    int
	}{{nil, http.StatusNotFound}, {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, http.StatusOK}} {
		e := start(t, Options{ConfigText: text, TrustedIPs: tt.trusted})
		if status, _ := get(t, e.web, "a", "/", "X-Forwarded-Proto", "https", "X-Real-Ip", "1.2.3.4"); status != tt.want {
			t.Errorf("trusted %v: status %d, want %d", tt.trusted, status, tt.want)
		}
	}
}

// TestDroppedHeadersAreCounted: each kind has its count, and the first claim is
// explained to the user, once.
func TestDroppedHeadersAreCounted(t *testing.T) {
	t.Parallel()
	service := serve(t, func(http.ResponseWriter, *http.Request) {})
	e := start(t, Options{ConfigText: configFor(everything, service.URL)})
	for range 2 {
		get(t, e.web, "a", "/", "X-Forwarded-For", "1.2.3.4", "X_Real_Ip", "1.2.3.4", "Proxy", "x", "Connection", "authorization, upgrade", "Upgrade", "h2c")
		ask(t, e.web, "GET /..;/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}
	want := []string{`etude_edge_dropped_headers_total{reason="alias"} 4`, `etude_edge_dropped_headers_total{reason="claim"} 2`,
		`etude_edge_dropped_headers_total{reason="connection"} 2`, `etude_edge_dropped_headers_total{reason="upgrade"} 2`, "etude_edge_refused_paths_total 2"}
	eventually(t, func() bool {
		return slices.Equal(append(series(t, e, "etude_edge_dropped"), series(t, e, "etude_edge_refused")...), want)
	})
	if n := strings.Count(e.log.String(), "--trusted-ips"); n != 1 || !strings.Contains(e.log.String(), "header=X-Forwarded-For from=127.0.0.1") {
		t.Errorf("the log advises %d times:\n%s", n, e.log)
	}
}

// TestRulesAndServiceSeeOneQuery: where rules decide by the query, the service gets
// no parameter that they could not read.
func TestRulesAndServiceSeeOneQuery(t *testing.T) {
	t.Parallel()
	var query string
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) { query = r.URL.RawQuery })
	for rule, want := range map[string]string{"!Query(`role`, `admin`)": "a=1&b=%20", everything: "a=1&x;role=admin&b=%20&%zz=1"} {
		e := start(t, Options{ConfigText: configFor(rule, service.URL)})
		if get(t, e.web, "a", "/?a=1&x;role=admin&b=%20&%zz=1"); query != want {
			t.Errorf("%s: the service got %s, want %s", rule, query, want)
		}
	}
}

// TestAliasesOfFramingAreDropped: a server that hands headers on as variables
// must not find a second Transfer-Encoding, Authorization or trace.
func TestAliasesOfFramingAreDropped(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection",
		"Content-Type", "Uber-Trace-Id", "X-B3-Traceid"} {
		for _, alias := range aliases(name) {
			if alias = http.CanonicalHeaderKey(alias); alias == name {
				continue
			}
			if got := send(t, false, http.Header{alias: {"evil"}}); len(got[alias]) > 0 {
				t.Errorf("%s reached the service", alias)
			}
		}
	}
	if got := send(t, true, http.Header{"Proxy": {"http://evil"}, "X-Under_score": {"fine"}, "X.dot": {"fine"}}); got["Proxy"] != nil || got["X-Under_score"] == nil || got["X.dot"] == nil {
		t.Errorf("the service got %v", got)
	}
}

// TestConnectionCannotRemoveHeaders: Connection may name headers of the hop, and
// unknown names, but none by which a service decides.
func TestConnectionCannotRemoveHeaders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Authorization", "Cookie", "Origin", "Referer", "Content-Type", "Sec-Fetch-Site", "X-Csrf-Token", "X-Auth-Request-User", "X-Api-Key",
		"Uber-Trace-Id", "Traceparent", "Tracestate", "Baggage", "B3", "X-B3-Traceid", "Uberctx-User", "If-Match", "Cache-Control"} {
		for _, connection := range []string{name, strings.ToLower(name), "close, " + name, " , " + strings.ToUpper(name) + " ,", "keep-alive,x-other;" + name + "," + name} {
			if got := send(t, false, http.Header{name: {"kept"}, "Connection": {"close", connection}}); got.Get(name) != "kept" {
				t.Errorf("Connection: %q removed %s", connection, name)
			}
		}
	}
	got := send(t, false, http.Header{"X-Hop": {"1"}, "Keep-Alive": {"5"}, "X-Other": {"1"}, "Connection": {"X-Hop, Authorization", "keep-alive"}})
	if got["X-Hop"] != nil || got["Keep-Alive"] != nil || got["Connection"] != nil || got["X-Other"] == nil {
		t.Errorf("headers of the hop: %v", got)
	}
}

func TestH2CUpgradeIsNotForwarded(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"h2c", "H2C", "websocket, h2c", " h2c ", "h2", "HTTP/2.0", "TLS/1.2"} {
		h := http.Header{"Upgrade": {value}, "Http2-Settings": {"AAMAAABkAARAAAAAAAIAAAAA"}}
		if refuseH2C(h); len(h) > 0 {
			t.Errorf("Upgrade: %s was kept: %v", value, h)
		}
	}
	h := http.Header{"Upgrade": {"websocket"}, "Http2-Settings": {"x"}}
	if refuseH2C(h); len(h) != 2 {
		t.Errorf("of an upgrade to WebSocket only %v is left", h)
	}
}

// rawServer keeps the bytes that it is sent, and answers each request that it
// can read from them.
type rawServer struct {
	mu   sync.Mutex
	sent bytes.Buffer
	url  string
	n    int
}

func newRawServer(t testing.TB) *rawServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &rawServer{url: "http://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *rawServer) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(io.TeeReader(conn, s))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		s.mu.Lock()
		s.n++
		s.mu.Unlock()
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func (s *rawServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.Write(p)
}

// TestSmuggling sends requests whose end two servers may see in two places. The
// service gets at most the requests that the edge has routed, each with one
// framing, and never the one that is hidden in a body.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	const hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
	for _, tt := range []struct{ name, head, body string }{
		{"both framings", "Content-Length: 4\r\nTransfer-Encoding: chunked", chunked},
		{"both, the other way", "Transfer-Encoding: chunked\r\nContent-Length: 4", chunked},
		{"two lengths", "Content-Length: 0\r\nContent-Length: 36", hidden},
		{"a list of lengths", "Content-Length: 0, 36", hidden},
		{"signed length", "Content-Length: +0", hidden},
		{"hexadecimal length", "Content-Length: 0x0", hidden},
		{"blank in the name", "Content-Length : 36\r\nX: y", hidden},
		{"blank before the name", "X: y\r\n Content-Length: 36", hidden},
		{"folded header", "Transfer-Encoding:\r\n chunked", chunked},
		{"other encoding", "Transfer-Encoding: xchunked", chunked},
		{"two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunked},
		{"list of encodings", "Transfer-Encoding: identity, chunked", chunked},
		{"chunked twice", "Transfer-Encoding: chunked, chunked", chunked},
		{"vertical tab", "Transfer-Encoding:\vchunked", chunked},
		{"quoted", "Transfer-Encoding: \"chunked\"", chunked},
		{"alias of the framing", "Transfer_Encoding: chunked\r\nContent-Length: 0", hidden},
		{"alias of the length", "Content_Length: 36\r\nContent-Length: 0", hidden},
		{"NUL in a value", "X: a\x00b\r\nContent-Length: 36", hidden},
		{"bare CR in a value", "X: a\rContent-Length: 36", hidden},
		{"bare LF", "X: a\nContent-Length: 36", hidden},
		{"framing named by Connection", "Connection: Content-Length\r\nContent-Length: 36", hidden},
		{"encoding named by Connection", "Connection: Transfer-Encoding, close\r\nTransfer-Encoding: chunked", chunked},
		{"bad chunk size", "Transfer-Encoding: chunked", "0x24\r\n" + hidden + "\r\n0\r\n\r\n"},
		{"negative chunk size", "Transfer-Encoding: chunked", "-1\r\n" + hidden},
		{"huge chunk size", "Transfer-Encoding: chunked", "ffffffffffffffff1\r\n" + hidden},
		{"chunk without CRLF", "Transfer-Encoding: chunked", "1\r\nxx0\r\n\r\n" + hidden},
		{"chunk ended by LF", "Transfer-Encoding: chunked", "0\n\n" + hidden},
		{"chunk extension", "Transfer-Encoding: chunked", "0;x=\r\n y\r\n\r\n" + hidden},
		{"second Host", "Host: other\r\nContent-Length: 36", hidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := newRawServer(t)
			e := start(t, Options{ConfigText: configFor("Path(`/asked`)", service.url)})
			conn, err := net.Dial("tcp", e.web)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintf(conn, "POST /asked HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n%s", tt.head, tt.body)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			if err := e.stop(); err != nil {
				t.Fatal(err)
			}
			service.mu.Lock()
			defer service.mu.Unlock()
			sent := service.sent.String()
			if service.n > 1 {
				t.Errorf("the service read %d requests:\n%q", service.n, sent)
			}
			head, _, _ := strings.Cut(sent, "\r\n\r\n")
			lower := strings.ToLower(head)
			if framings := strings.Count(lower, "\r\ncontent-length:") + strings.Count(lower, "\r\ntransfer-encoding:"); framings > 1 {
				t.Errorf("the request has %d framings:\n%s", framings, head)
			}
			for _, bad := range []string{"transfer_encoding", "content_length", "xchunked", "identity", "\x00"} {
				if strings.Contains(lower, bad) {
					t.Errorf("%q reached the service:\n%s", bad, head)
				}
			}
		})
	}
}

func FuzzHeaderName(f *testing.F) {
	for _, seed := range []string{"X_Forwarded_For", "x.real.ip", "FORWARDED", "X-Forwarded-" + strings.Repeat("x", 100), "", "X", "Proxy", "é"} {
		f.Add(seed, "close, x-y")
	}
	f.Fuzz(func(t *testing.T, name, connection string) {
		kind, alias := kindOf(name)
		upper, upperAlias := kindOf(strings.ToUpper(name))
		if ascii := strings.IndexFunc(name, func(r rune) bool { return r >= 0x80 }) < 0; ascii && (kind != upper || alias != upperAlias) {
			t.Errorf("%q: %v %v, in capitals %v %v", name, kind, alias, upper, upperAlias)
		}
		if folded := strings.NewReplacer("_", "-", ".", "-").Replace(name); kind == ordinary {
			if k, _ := kindOf(folded); k != ordinary {
				t.Errorf("%q is ordinary, %q is not", name, folded)
			}
		}
		h := http.Header{"Connection": {connection}, "X-Real-Ip": {"1"}}
		keepFromConnection(h)
		if strings.Contains(strings.ToLower(h.Get("Connection")), "x-real-ip,") || strings.EqualFold(h.Get("Connection"), "x-real-ip") {
			t.Errorf("Connection %q became %q", connection, h.Get("Connection"))
		}
	})
}
