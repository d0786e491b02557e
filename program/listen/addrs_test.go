package listen

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBrowserURL(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"127.0.0.1:80":             "http://localhost",
		"0.0.0.0:3000":             "http://localhost:3000",
		":3000":                    "http://localhost:3000",
		"[::]:3000":                "http://localhost:3000",
		"10.1.2.3:3000":            "http://10.1.2.3:3000",
		"example.org:8080":         "http://example.org:8080",
		"localhost:80":             "http://localhost",
		"127.0.0.1:443":            "http://localhost:443",
		"10.1.2.3:3000,[::1]:3000": "http://10.1.2.3:3000",
	} {
		if got := BrowserURL("http", addr); got != want {
			t.Errorf("browserURL(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestHolderNamesThisProcess(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	if err := CheckFree(addr, "api-addr"); err == nil || !strings.Contains(err.Error(), "is in use by") {
		t.Errorf("checkFree(%s) = %v, want that it is in use", addr, err)
	}
}
