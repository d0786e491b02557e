package control

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestControlWantsItsToken holds the listener of `up` to its token, and the
// backend's proxy to showing it instead of what a browser sent.
func TestControlWantsItsToken(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	c, err := Open(t.Context(), "http://edge", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path, r.Header.Get("Cookie"))
	}), log)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, token := range []string{"", "Bearer ", "Bearer " + c.info.Token[1:], "Basic " + c.info.Token} {
		req, _ := http.NewRequest(http.MethodGet, c.info.URL+"/lines", nil)
		req.Header.Set("Authorization", token)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("with %q: %s", token, resp.Status)
		}
	}
	proxy, err := c.info.Proxy(log)
	if err != nil {
		t.Fatal(err)
	}
	asked := func() *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/lines", nil)
		r.Header.Set("Authorization", "Basic eDp5")
		r.Header.Set("Cookie", "secret")
		proxy.ServeHTTP(w, r)
		return w
	}
	if w := asked(); w.Code != http.StatusOK || w.Body.String() != "/lines" {
		t.Errorf("by the proxy: %d %q", w.Code, w.Body)
	}
	c.Close()
	if w := asked(); w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "etude up does not answer") {
		t.Errorf("when it is gone: %d %q", w.Code, w.Body)
	}
}
