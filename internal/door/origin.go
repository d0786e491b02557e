package door

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Origins are the web origins, besides the listener's own, whose pages may read its answers.
type Origins struct{ patterns []origin }

// origin is the scheme, host and port of a pattern. A host that begins with a dot means all names below it;
// port * means any port.
type origin struct{ scheme, host, port string }

// NewOrigins parses patterns: https://app.example, https://*.example for all names below it, http://localhost:*
// for any port. No pattern allows every origin.
func NewOrigins(patterns []string) (*Origins, error) {
	o := &Origins{}
	for _, text := range patterns {
		one, err := parseOrigin(text)
		if err != nil {
			return nil, err
		}
		o.patterns = append(o.patterns, one)
	}
	return o, nil
}

func parseOrigin(text string) (o origin, err error) {
	if text == "*" {
		return o, fmt.Errorf("%q would admit every web page: list the origins", text)
	}
	plain, anyPort := strings.CutSuffix(text, ":*")
	u, err := url.Parse(plain)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return o, fmt.Errorf("%q is not a web origin: want https://HOST, https://*.HOST or http://HOST:*", text)
	}
	o = origin{u.Scheme, strings.ToLower(u.Hostname()), portOf(u)}
	if anyPort {
		o.port = "*"
	}
	if below, wild := strings.CutPrefix(o.host, "*"); wild {
		o.host = below
	}
	if strings.Contains(o.host, "*") || o.host == "" || o.host == "." {
		return o, fmt.Errorf("%q is not a web origin: * may only replace the first names, as in https://*.example.org, or the port", text)
	}
	return o, nil
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// allow reports whether a page of an origin, in the form that browsers send, may read answers.
func (o *Origins) allow(text string) bool {
	if o == nil {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	host, port := strings.ToLower(u.Hostname()), portOf(u)
	for _, p := range o.patterns {
		sameHost := p.host == host || p.host[0] == '.' && strings.HasSuffix(host, p.host) && len(host) > len(p.host)
		if p.scheme == u.Scheme && sameHost && (p.port == "*" || p.port == port) {
			return true
		}
	}
	return false
}

// fromElsewhere reports whether a browser sends the request for a page of another origin. Programs send neither
// header, so their requests never count.
//
// A person may follow a link to this server. That is a navigation by GET; the browser shows the answer, and the
// page with the link cannot read it. A navigation inside a frame does not count as one.
func fromElsewhere(r *http.Request) bool {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none":
		return false
	case "":
		// An old browser, or an address without TLS that is not this machine's. Without an Access-Control
		// header, a page cannot read the answer to a safe request.
		return !safe && r.Header.Get("Origin") != "" && !sameOrigin(r)
	}
	link := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !safe || !link
}

// sameOrigin compares the Origin with the Host. It ignores the scheme, because a proxy in front may have
// terminated TLS.
func sameOrigin(r *http.Request) bool {
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
