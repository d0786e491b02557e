package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"
)

// TestCleanPath: the path that is sent, the path that is forwarded ("" is a
// refusal), and the path that rules see when it differs from the forwarded one.
func TestCleanPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sent, forwarded, routed string }{
		// Nothing to do.
		{"/", "/", ""}, {"/a/b", "/a/b", ""}, {"/a/b/", "/a/b/", ""}, {"/a.b/..c/...", "/a.b/..c/...", ""}, {"/a;v=1/b", "/a;v=1/b", ""},
		{"/~a-b_c!$&'()*+,=:@", "/~a-b_c!$&'()*+,=:@", ""}, {"/;jsessionid=1", "/;jsessionid=1", ""}, {"/.well-known/x", "/.well-known/x", ""},
		{"/a/..hidden/.b", "/a/..hidden/.b", ""}, {"", "/", ""},

		// Dot segments and empty segments, in every spelling.
		{"/public/../admin", "/admin", ""}, {"/public/./admin", "/public/admin", ""}, {"/./admin", "/admin", ""}, {"//admin", "/admin", ""},
		{"///a////b", "/a/b", ""}, {"/a//b//", "/a/b/", ""}, {"/a/.", "/a/", ""}, {"/a/..", "/", ""}, {"/a/b/..", "/a/", ""}, {"/a/b/../", "/a/", ""},
		{"/..", "/", ""}, {"/../..", "/", ""}, {"/../../admin", "/admin", ""}, {"/public/%2e%2e/admin", "/admin", ""}, {"/public/%2E./admin", "/admin", ""},
		{"/public/.%2e/admin", "/admin", ""}, {"/public/%2e/admin", "/public/admin", ""}, {"//evil.example/../admin", "/admin", ""},
		{"/public//../admin", "/admin", ""}, {"/a/b/c/./../../g", "/a/g", ""}, {"/%2e%2e/%2e%2e/", "/", ""}, {"/a;v=1/../b", "/b", ""},

		// Characters that need no encoding lose it; the others stay as sent.
		{"/%61dmin", "/admin", ""}, {"/%7Euser/%2D%5F", "/~user/-_", ""}, {"/a%2Fb", "/a%2Fb", ""}, {"/a%2fb", "/a%2fb", "/a%2Fb"},
		{"/group%2Fproject/x", "/group%2Fproject/x", ""}, {"/a%20b", "/a%20b", "/a b"}, {"/caf%C3%A9", "/caf%C3%A9", "/café"}, {"/caf%c3%a9", "/caf%c3%a9", "/café"},
		{"/a%3Fb", "/a%3Fb", ""}, {"/a%23b", "/a%23b", ""}, {"/100%25", "/100%25", ""}, {"/a%25b", "/a%25b", ""}, {"/%2525", "/%2525", ""}, {"/a%5Cb", "/a%5Cb", ""}, {"/a%5cb", "/a%5cb", "/a%5Cb"},
		{"/a%3Bb", "/a%3Bb", ""}, {"/%22", "/%22", `/"`}, {"/a%0Ab", "/a%0Ab", ""}, {"/a%2F%2Fb", "/a%2F%2Fb", ""}, {"/a%2F", "/a%2F", ""}, {"/%E9", "/%E9", "/\xe9"},

		// Bytes that a URL must encode and some clients do not.
		{"/café", "/caf%C3%A9", "/café"}, {`/a"b<c>`, "/a%22b%3Cc%3E", `/a"b<c>`}, {"/a|b^c`d{e}", "/a%7Cb%5Ec%60d%7Be%7D", "/a|b^c`d{e}"},

		// A service may read these as another path than the edge does.
		{`/public\..\admin`, "", ""}, {`\admin`, "", ""}, {"/public/..%2fadmin", "", ""}, {"/public/..%2Fadmin", "", ""}, {"/public%2f..%2fadmin", "", ""},
		{"/public/..%5cadmin", "", ""}, {"/public%5C..%5Cadmin", "", ""}, {"/public/%2e%2e%5cadmin", "", ""}, {"/public/%2e%2e%2fadmin", "", ""},
		{"/public/..;/admin", "", ""}, {"/public/..;x=1/admin", "", ""}, {"/public/.;/admin", "", ""}, {"/public/%2e%2e;/admin", "", ""}, {"/public/..%3b/admin", "", ""},
		{"/public/..%3Bx/admin", "", ""}, {"/;/admin", "", ""}, {"/;x=1/admin", "", ""}, {"/public/;a/../admin", "", ""}, {"/%2e%2e%2f%2e%2e%2fetc", "", ""},
		{"/public/%252e%252e/admin", "", ""}, {"/public/%252e%252e%252fadmin", "", ""}, {"/public/..%252fadmin", "", ""}, {"/public/%25252e%25252e/x", "", ""},
		{"/admin%00.png", "", ""}, {"/%00", "", ""}, {"/public/..%20/admin", "", ""}, {"/public/..%09/admin", "", ""}, {"/public/.%0a./admin", "", ""},
		{"/public/..%c0%afadmin", "", ""}, {"/public/%c0%ae%c0%ae/admin", "", ""}, {"/public/..%C1%9Cadmin", "", ""}, {"/a%2500b", "", ""},
		{"/public#/../admin", "", ""}, {"/a#b", "", ""}, {"*", "", ""}, {"admin", "", ""}, {"/a%zz", "", ""}, {"/a%2", "", ""}, {"/a\x01b", "", ""}, {"/a\x7fb", "", ""}, {"/a b", "", ""},
	} {
		got, err := cleanPath(tt.sent)
		if tt.forwarded == "" {
			if err == nil {
				t.Errorf("%q became %q, want a refusal", tt.sent, got)
			}
			continue
		}
		if err != nil || got != tt.forwarded {
			t.Errorf("%q became %q, %v, want %q", tt.sent, got, err, tt.forwarded)
			continue
		}
		want := tt.routed
		if want == "" {
			want = tt.forwarded
		}
		if routed := routingPath(got); routed != want {
			t.Errorf("%q is routed as %q, want %q", tt.sent, routed, want)
		}
	}
}

// ask sends one request line as it is and returns the status of the answer.
func ask(t testing.TB, address, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestRoutedIsForwarded: a request reaches the router of the path that the
// service sees, in whatever form the client wrote the path.
func TestRoutedIsForwarded(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	service := func(name string) string {
		return serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- name + " " + r.RequestURI }).URL
	}
	e := start(t, Options{ConfigText: []byte(`http:
  routers:
    public: {rule: "PathPrefix(` + "`/public`" + `)", service: public}
    admin: {rule: "PathPrefix(` + "`/admin`" + `)", service: admin}
    encoded: {rule: "Path(` + "`/a%2Fb`" + `)", service: admin}
  services:
    public: {loadBalancer: {servers: [{url: "` + service("public") + `"}]}}
    admin: {loadBalancer: {servers: [{url: "` + service("admin") + `"}]}}
`)})
	for _, tt := range []struct{ line, want string }{
		{"GET /public/../admin", "admin /admin"},
		{"GET /public/%2e%2e/admin?x=/../y", "admin /admin?x=/../y"},
		{"GET //public/x", "public /public/x"},
		{"GET /public/x%2fy", "public /public/x%2fy"},
		{"GET http://other.example/public/../admin", "admin /admin"},
		{"GET http://user:pw@other.example//admin?", "admin /admin?"},
		{"GET /a%2fb", "admin /a%2fb"},
		{"GET /%61dmin/%C3%A9", "admin /admin/%C3%A9"},
		{"GET /nothing/../../x", "404"},
		{"GET /admin%2Fx", "admin /admin%2Fx"},
		{"GET /public%2F..%2Fadmin", "400"},
		{"GET /public/..;/admin", "400"},
		{`GET /public\..\admin`, "400"},
		{"GET http:public", "400"},
		{"GET /public/x#/../admin", "400"},
		{"GET /public/x?a=b#c", "400"},
		{"GET *", "400"},
		{"CONNECT admin:80", "400"},
		{"CONNECT /admin", "400"},
	} {
		status := ask(t, e.web, tt.line+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		seen := fmt.Sprint(status)
		select {
		case seen = <-got:
		default:
		}
		if seen != tt.want {
			t.Errorf("%s: %s, want %s", tt.line, seen, tt.want)
		}
	}
}

// TestHTTP2IsCleanedToo: paths and headers of HTTP/2 take the same way.
func TestHTTP2IsCleanedToo(t *testing.T) {
	t.Parallel()
	var got *http.Request
	service := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	e := start(t, Options{ConfigText: configFor("PathPrefix(`/admin`)", service.URL)})
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: only}}
	t.Cleanup(client.CloseIdleConnections)
	for path, want := range map[string]int{"/public/../admin": 200, "/public/%2e%2e/admin": 200, "//admin": 200, "/public/..;/admin": 400, "/public%2f..%2fadmin": 400} {
		req, err := http.NewRequest(http.MethodGet, "http://"+e.web+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"x_forwarded_for": {"6.6.6.6"}, "x-real-ip": {"6.6.6.6"}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: status %d over %s, want %d", path, resp.StatusCode, resp.Proto, want)
		}
		if want == 200 && (got.RequestURI != "/admin" || got.Header["X_forwarded_for"] != nil || got.Header.Get("X-Real-Ip") != "127.0.0.1") {
			t.Errorf("%s: the service got %s %v", path, got.RequestURI, got.Header)
		}
	}
}

// TestHostHasOneReading: a Host that a service could read as another one is refused.
func TestHostHasOneReading(t *testing.T) {
	t.Parallel()
	service := serve(t, func(http.ResponseWriter, *http.Request) {})
	e := start(t, Options{ConfigText: configFor("Host(`known.localhost`, `[::1]`, `127.0.0.1`)", service.URL)})
	for host, want := range map[string]int{
		"known.localhost": 200, "Known.localhost:8000": 200, "known.localhost.": 200, "known.localhost:": 200, "[::1]": 200, "[::1]:80": 200, "127.0.0.1:80": 200,
		"other.localhost": 404, "a_b~c": 404, "xn--bcher-kva.example": 404, "": 404,
		"known.localhost:x@other": 400, "user@known.localhost": 400, "user:pw@known.localhost": 400, "known.localhost:80@other": 400, "known.localhost:80:90": 400,
		"known.localhost:8x": 400, "known.localhost,other": 400, "known.localhost;x": 400, "known.localhost%00": 400, "known.localhost%2eother": 400,
		"[::1": 400, "[known.localhost]": 400, "::1": 400, "[::1]x": 400, "known.localhost!": 400, "(known.localhost)": 400,
	} {
		if got := ask(t, e.web, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); got != want {
			t.Errorf("Host: %s: status %d, want %d", host, got, want)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"/a/../b", "/%2e%2e/x", "//x", "/a%2fb", "/..;/x", `/\x`, "/%25%32%65", "/a/%c0%ae", "/a%", "", "*", "/é", "/a/./b/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		clean, err := cleanPath(sent)
		if err != nil {
			return
		}
		if again, err := cleanPath(clean); err != nil || again != clean {
			t.Fatalf("%q: cleaning twice gives %q, then %q, %v", sent, clean, again, err)
		}
		u := &url.URL{}
		setPath(u, clean)
		if u.EscapedPath() != clean {
			t.Fatalf("%q: %q would be forwarded as %q", sent, clean, u.EscapedPath())
		}
		// However often a service decodes, whatever it takes for a separator, the
		// path stays below where it is.
		for reading, n := clean, 0; n < 4; n++ {
			reading = strings.NewReplacer(`\`, "/", ";", "/;").Replace(reading)
			for segment := range strings.SplitSeq(reading, "/") {
				if segment == "." || segment == ".." {
					t.Fatalf("%q became %q, which may be read as %q", sent, clean, path.Clean(reading))
				}
			}
			if reading, err = url.PathUnescape(reading); err != nil {
				break
			}
		}
		if routed := routingPath(clean); routingPath(strings.ReplaceAll(clean, "%2f", "%2F")) != routed || !strings.HasPrefix(routed, "/") {
			t.Fatalf("%q is routed as %q", clean, routed)
		}
	})
}
