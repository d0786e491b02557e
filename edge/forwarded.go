package edge

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"strings"
	"sync"
)

// forwarder writes the headers that tell a service what the proxy hides: who
// asked, for which host, over which scheme.
//
// What the client claims in these headers is dropped, unless the client's
// address is trusted; ReverseProxy has dropped the common ones already.
type forwarder struct {
	trusted []netip.Prefix
	server  string
}

// hostname is this machine's name, asked for once.
var hostname = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
})

// claims are the headers a client could use to pass for another.
var claims = []string{
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded",
	"X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-Method",
	"X-Forwarded-Prefix", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Real-Ip",
}

func (f *forwarder) set(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out.Header
	client := clientIP(in.RemoteAddr)
	trusted := within(f.trusted, in.RemoteAddr)
	for _, name := range claims {
		delete(out, name)
		if values := in.Header[name]; trusted && len(values) > 0 {
			out[name] = values
		}
	}
	chain := client
	if prior := out["X-Forwarded-For"]; len(prior) > 0 {
		chain = strings.Join(prior, ", ") + ", " + client
	}
	out["X-Forwarded-For"] = []string{chain}
	proto := scheme(in)
	unlessClaimed := func(name, value string) {
		if _, ok := out[name]; !ok {
			out[name] = []string{value}
		}
	}
	unlessClaimed("X-Forwarded-Host", in.Host)
	unlessClaimed("X-Forwarded-Proto", proto)
	unlessClaimed("X-Forwarded-Port", forwardedPort(in.Host, proto))
	unlessClaimed("X-Forwarded-Server", f.server)
	unlessClaimed("X-Real-Ip", client)
}

// scheme is what the client spoke; like Traefik, ws for WebSockets.
func scheme(r *http.Request) string {
	secure := r.TLS != nil
	switch webSocket := strings.EqualFold(r.Header.Get("Upgrade"), "websocket"); {
	case webSocket && secure:
		return "wss"
	case webSocket:
		return "ws"
	case secure:
		return "https"
	default:
		return "http"
	}
}

// forwardedPort is the port the client believes it talks to.
func forwardedPort(host, proto string) string {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "" {
		return port
	}
	if proto == "https" || proto == "wss" {
		return "443"
	}
	return "80"
}
