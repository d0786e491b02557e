package door

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func guarded(t *testing.T, g Guard) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/found", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "inside") })
	mux.HandleFunc("/own", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		fmt.Fprint(w, "inside")
	})
	return g.Handler(mux)
}

func strict(t *testing.T) Guard {
	t.Helper()
	hosts, err := NewHosts(nil)
	if err != nil {
		t.Fatal(err)
	}
	origins, err := NewOrigins([]string{"https://app.example", "https://*.shop.example", "http://dev.localhost:*"})
	if err != nil {
		t.Fatal(err)
	}
	return Guard{Hosts: hosts, Origins: origins, Role: Query}
}

// ask sends a request; headers alternate names and values, Host included.
func ask(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "localhost:3200"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestGuardRefusesOtherHosts(t *testing.T) {
	t.Parallel()
	h := guarded(t, strict(t))
	if w := ask(h, "GET", "/found"); w.Code != 200 || w.Body.String() != "inside" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := ask(h, "GET", "/found", "Host", "evil.example:3200", "X-Forwarded-Host", "localhost", "Forwarded", "host=localhost")
	if w.Code != http.StatusMisdirectedRequest || !strings.Contains(w.Body.String(), "--allowed-hosts") || !strings.Contains(w.Body.String(), "evil.example") {
		t.Errorf("another host: %d %s", w.Code, w.Body)
	}
	w = ask(h, "POST", "/found", "Host", "evil.example", "Content-Type", "application/grpc")
	if w.Code != 200 || w.Header().Get("Grpc-Status") != "7" || !strings.Contains(w.Header().Get("Grpc-Message"), "--allowed-hosts") {
		t.Errorf("gRPC by another host: %d %v", w.Code, w.Header())
	}
	if w := ask(h, "GET", "/found", "Host", strings.Repeat("x", 100000)); w.Body.Len() > 1000 {
		t.Errorf("the answer has %d bytes", w.Body.Len())
	}
}

func TestGuardRefusesOtherSites(t *testing.T) {
	t.Parallel()
	h := guarded(t, strict(t))
	for _, c := range []struct {
		name, method string
		headers      []string
		status       int
		shared       string // Access-Control-Allow-Origin
	}{
		{"a program", "POST", nil, 200, ""},
		{"the page itself", "POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:3200"}, 200, ""},
		{"typed by a person", "GET", []string{"Sec-Fetch-Site", "none"}, 200, ""},
		{"a link", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200, ""},
		{"a frame", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, ""},
		{"an image", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, ""},
		{"a form", "POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", "https://evil.example"}, 403, ""},
		{"a fetch", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Origin", "https://evil.example"}, 403, ""},
		{"another port of this machine", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://localhost:8081"}, 403, ""},
		{"an old browser's form", "POST", []string{"Origin", "https://evil.example"}, 403, ""},
		{"a file", "POST", []string{"Origin", "null"}, 403, ""},
		{"an old browser's own page", "POST", []string{"Origin", "http://LOCALHOST:3200"}, 200, ""},
		{"a preflight", "OPTIONS", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403, ""},
		{"an allowed page", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, 200, "https://app.example"},
		{"its preflight", "OPTIONS", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example", "Access-Control-Request-Method", "POST"}, 204, "https://app.example"},
		{"by pattern", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://a.b.shop.example"}, 200, "https://a.b.shop.example"},
		{"by any port", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://dev.localhost:5173"}, 200, "http://dev.localhost:5173"},
		{"another scheme", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://app.example"}, 403, ""},
		{"another port", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example:8443"}, 403, ""},
		{"the default port", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example:443"}, 200, "https://app.example:443"},
		{"a longer name", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.evil"}, 403, ""},
		{"a name that ends alike", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evilshop.example"}, 403, ""},
		{"a user before the host", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example@evil.example"}, 403, ""},
	} {
		w := ask(h, c.method, "/found", c.headers...)
		if shared := w.Header().Get("Access-Control-Allow-Origin"); w.Code != c.status || shared != c.shared {
			t.Errorf("%s: %d, readable by %q, want %d, %q: %s", c.name, w.Code, shared, c.status, c.shared, w.Body)
		}
		if w.Code == 403 && !strings.Contains(w.Body.String(), "--allowed-origins") {
			t.Errorf("%s: the refusal does not name --allowed-origins: %s", c.name, w.Body)
		}
	}
}

func TestNewOriginsRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"*", "", "app.example", "ftp://x.example", "https://", "https://x/path", "https://*", "https://*.", "https://a.*.b", "https://u@x", "null", "https://x?y"} {
		if _, err := NewOrigins([]string{text}); err == nil {
			t.Errorf("%q is taken for an origin", text)
		}
	}
}

// TestGuardSetsHeaders: refusals, and what is not found, have them as well.
func TestGuardSetsHeaders(t *testing.T) {
	t.Parallel()
	h := guarded(t, strict(t))
	for _, c := range [][]string{{"/found"}, {"/missing"}, {"/found", "Host", "evil"}, {"/found", "Sec-Fetch-Site", "cross-site"}} {
		got := ask(h, "GET", c[0], c[1:]...).Header()
		if got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Referrer-Policy") != "no-referrer" ||
			!strings.Contains(got.Get("Content-Security-Policy"), "frame-ancestors 'none'") || got.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%v: %v", c, got)
		}
	}
	if got := ask(h, "GET", "/own").Header().Get("Content-Security-Policy"); got != "default-src 'self'" {
		t.Errorf("a handler's own policy became %q", got)
	}
}
