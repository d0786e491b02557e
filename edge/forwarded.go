package edge

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// forwarder writes the headers that describe the client to a service: its address, and the host and the scheme
// of its request.
//
// Services trust these headers, so a client must not set them. The edge drops them, in every spelling, unless
// the client's address is trusted. From trusted proxies it keeps only the usual spelling, because a proxy that
// sets X-Forwarded-For may pass on its own client's X_Forwarded_For.
type forwarder struct {
	trusted []netip.Prefix
	server  string
	log     *slog.Logger

	// Numbers of dropped parts, for metrics.
	claims, aliases, options, upgrades atomic.Int64
	advised                            sync.Once
}

// hostname is this machine's name, determined once.
var hostname = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
})

// headerKind is the treatment of a client's header.
type headerKind int

const (
	ordinary   headerKind = iota
	claim                 // about the client or its request: kept from trusted clients only
	framing               // of the connection, of credentials or of a trace: aliases are dropped
	neverKept             // dropped in every spelling
	maxKeyName = 64       // longer names are known by their beginning
)

// headerKinds has names in the form of fold. Names that begin with x-forwarded are claims too.
var headerKinds = map[string]headerKind{
	"forwarded": claim, "x-real-ip": claim,
	"client-ip": claim, "x-client-ip": claim, "true-client-ip": claim, "x-cluster-client-ip": claim, "x-remote-ip": claim,
	"x-remote-addr": claim, "remote-addr": claim, "remote-user": claim, "x-remote-user": claim, "x-originating-ip": claim, "x-proxyuser-ip": claim,
	"cf-connecting-ip": claim, "cf-connecting-ipv6": claim, "fastly-client-ip": claim, "fly-client-ip": claim,
	"x-appengine-user-ip": claim, "x-azure-clientip": claim, "x-azure-socketip": claim, "x-envoy-external-address": claim,
	"x-host": claim, "x-scheme": claim, "x-url-scheme": claim, "front-end-https": claim,
	"x-original-forwarded-for": claim, "x-original-host": claim, "x-original-url": claim, "x-original-uri": claim,
	"x-original-method": claim, "x-rewrite-url": claim, "ssl-client-cert": claim, "x-ssl-client-cert": claim, "x-client-cert": claim,

	"connection": framing, "content-length": framing, "expect": framing, "host": framing, "keep-alive": framing,
	"proxy-authenticate": framing, "proxy-authorization": framing, "proxy-connection": framing, "te": framing,
	"trailer": framing, "transfer-encoding": framing, "upgrade": framing,
	"authorization": framing, "cookie": framing, "content-type": framing, "content-encoding": framing,
	"uber-trace-id": framing, "traceparent": framing, "tracestate": framing, "baggage": framing, "b3": framing,
	"x-b3-traceid": framing, "x-b3-spanid": framing, "x-b3-parentspanid": framing, "x-b3-sampled": framing, "x-b3-flags": framing,
	"x-amzn-trace-id": framing,

	"proxy": neverKept, // CGI makes it HTTP_PROXY, which clients obey
}

// fold maps names that become the same variable in CGI, WSGI or PHP to one name:
// letters in lower case, a dash for every other character. alias reports whether the
// name contained such another character. The result is in buf.
func fold(name string, buf *[maxKeyName]byte) (folded []byte, alias bool) {
	n := min(len(name), maxKeyName)
	for i := range n {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			buf[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-':
			buf[i] = c
		default:
			buf[i], alias = '-', true
		}
	}
	return buf[:n], alias
}

// kindOf returns the kind of a header, and whether the name is an alias of the header with this kind.
func kindOf(name string) (kind headerKind, alias bool) {
	var buf [maxKeyName]byte
	folded, alias := fold(name, &buf)
	if kind := headerKinds[string(folded)]; kind != ordinary {
		return kind, alias
	}
	if strings.HasPrefix(string(folded), "x-forwarded") {
		return claim, alias
	}
	return ordinary, alias
}

// clean drops the headers that this client may not set. It runs before the rules, so that rules decide by the
// headers that the service gets.
func (f *forwarder) clean(r *http.Request) {
	f.options.Add(keepFromConnection(r.Header))
	if refuseH2C(r.Header) {
		f.upgrades.Add(1)
	}
	f.dropClaims(r.Header, r.RemoteAddr, within(f.trusted, r.RemoteAddr))
	f.dropClaims(r.Trailer, r.RemoteAddr, false) // a trailer comes too late to be true
}

// set adds the edge's own values to the headers of trusted proxies.
func (f *forwarder) set(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out.Header
	if len(f.trusted) > 0 {
		// ReverseProxy has dropped some claims; clean has left those that count.
		for name, values := range in.Header {
			if kind, _ := kindOf(name); kind == claim {
				out[name] = values
			}
		}
	}
	client := clientIP(in.RemoteAddr)
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

// dropClaims drops the headers that no client may send, and claims unless the client is trusted.
func (f *forwarder) dropClaims(h http.Header, client string, trusted bool) {
	for name := range h {
		switch kind, alias := kindOf(name); {
		case kind == ordinary:
		case alias || kind == neverKept:
			delete(h, name)
			f.aliases.Add(1)
		case kind == claim && !trusted:
			delete(h, name)
			f.claims.Add(1)
			f.advise(name, client)
		}
	}
}

// advise logs once that the edge drops headers that a proxy before it may have sent.
func (f *forwarder) advise(name, client string) {
	f.advised.Do(func() {
		f.log.Info("dropped a header about the client; if a proxy of yours sends it, name that proxy with --trusted-ips",
			"header", printable(name), "from", clientIP(client))
	})
}

// keepFromConnection removes the names of end-to-end headers from the Connection
// header. A proxy deletes the headers that Connection names, so a client could
// otherwise make the edge delete headers that a proxy before it has added, such as
// the client's address.
// It returns how many names it removed.
func keepFromConnection(h http.Header) (removed int64) {
	values := h["Connection"]
	if len(values) == 0 || len(values) == 1 && harmless(values[0]) { // Fast path
		return 0
	}
	var kept []string
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			switch option = strings.TrimSpace(option); {
			case option == "":
			case endToEnd(option):
				removed++
			default:
				kept = append(kept, option)
			}
		}
	}
	delete(h, "Connection")
	if len(kept) > 0 {
		h["Connection"] = []string{strings.Join(kept, ", ")}
	}
	return removed
}

func harmless(value string) bool {
	return strings.EqualFold(value, "keep-alive") || strings.EqualFold(value, "close") || strings.EqualFold(value, "upgrade")
}

// hopByHop are the headers that Connection may name (RFC 9110, 7.6.1).
var hopByHop = []string{"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"}

// endToEnd reports whether a header is for the service, even if Connection names it. Unknown names are not.
func endToEnd(name string) bool {
	lower := strings.ToLower(name)
	if slices.Contains(hopByHop, lower) {
		return false
	}
	if kind, _ := kindOf(name); kind != ordinary {
		return true
	}
	return slices.ContainsFunc(endToEndPrefixes, func(prefix string) bool { return strings.HasPrefix(lower, prefix) })
}

// endToEndPrefixes are the beginnings of names of end-to-end headers.
var endToEndPrefixes = []string{
	"accept", "access-control-", "cache-", "content-", "cookie", "if-", "origin", "range", "referer", "sec-", "signature", "uberctx-", "user-agent", "via",
	"x-api-key", "x-auth", "x-csrf", "x-requested-with", "x-request-id", "x-user", "x-xsrf",
}

// refuseH2C drops an offer to switch to HTTP/2 or TLS on the same connection. If the service accepted it, the
// edge would no longer see the requests.
func refuseH2C(h http.Header) bool {
	for _, value := range h["Upgrade"] {
		for protocol := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(protocol)), "/")
			if name == "h2c" || name == "h2" || name == "http" || name == "tls" {
				delete(h, "Upgrade")
				delete(h, "Http2-Settings")
				return true
			}
		}
	}
	return false
}

// scheme is the scheme that the client used; ws for WebSockets, as in Traefik.
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

// forwardedPort is the port that the client connected to, according to its request.
func forwardedPort(host, proto string) string {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "" {
		return port
	}
	if proto == "https" || proto == "wss" {
		return "443"
	}
	return "80"
}
