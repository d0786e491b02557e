package receive

import (
	"net/http"
	"net/url"
	"strings"
)

// localOrigins are the default origins: pages of this machine.
var localOrigins = []string{
	"http://localhost:*", "https://localhost:*",
	"http://*.localhost:*", "https://*.localhost:*",
	"http://127.0.0.1:*", "https://127.0.0.1:*",
	"http://[::1]:*", "https://[::1]:*",
}

// origins decides which web pages may send (WHATWG Fetch, "CORS protocol"). Programs send no Origin, so it does
// not affect them.
type origins []string

func newOrigins(allowed []string) origins {
	if allowed == nil {
		return localOrigins
	}
	return allowed
}

// handle sets the CORS headers. It answers a preflight completely, and then returns true.
func (o origins) handle(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	ok := o.allow(origin)
	if ok {
		h.Set("Access-Control-Allow-Origin", origin)
		// navigator.sendBeacon, which browsers' SDKs use when the user leaves a page, always sends credentials.
		// This server reads no cookies.
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", "Retry-After")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Add("Vary", "Access-Control-Request-Method")
	h.Add("Vary", "Access-Control-Request-Headers")
	if ok {
		h.Set("Access-Control-Allow-Methods", http.MethodPost)
		// Exporters add their own headers. None of them has an effect here.
		if want := r.Header.Get("Access-Control-Request-Headers"); want != "" {
			h.Set("Access-Control-Allow-Headers", want)
		}
		h.Set("Access-Control-Max-Age", "7200")
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (o origins) allow(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	for _, pattern := range o {
		if pattern == "*" || pattern == origin || matchOrigin(pattern, u) {
			return true
		}
	}
	return false
}

// matchOrigin supports ":*" for any port and a leading "*." for any subdomain.
func matchOrigin(pattern string, u *url.URL) bool {
	scheme, host, ok := strings.Cut(pattern, "://")
	if !ok || scheme != u.Scheme {
		return false
	}
	have := u.Host
	if h, anyPort := strings.CutSuffix(host, ":*"); anyPort {
		host, have = h, strings.TrimSuffix(have, ":"+u.Port())
	}
	if suffix, anyName := strings.CutPrefix(host, "*"); anyName {
		return strings.HasSuffix(have, suffix) && len(have) > len(suffix)
	}
	return have == host
}
