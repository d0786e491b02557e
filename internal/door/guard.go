package door

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Guard checks the requests of a listener before its handler sees them.
type Guard struct {
	Hosts   *Hosts   // nil: any Host
	Origins *Origins // nil: only the listener's own origin
	Tokens  *Tokens  // nil: no token required
	Role    Role     // the role that the token must have

	// Open lists paths that need no token, because health checks send none.
	Open []string
}

// policy is the content security policy of answers without their own: the browser may display the answer, and
// do nothing else.
const policy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Handler passes on the allowed requests. It answers the others with 421 for a wrong Host, 403 for a request of
// another site's page, and 401 without a token. gRPC calls get the corresponding codes.
func (g Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		if !g.Hosts.Allow(r.Host) {
			refuse(w, r, http.StatusMisdirectedRequest, fmt.Sprintf(
				"the Host %q is not a name of this server. If it is yours, add it to --allowed-hosts", shorten(r.Host)))
			return
		}
		if !g.admitOrigin(w, r) {
			return
		}
		if !slices.Contains(g.Open, r.URL.Path) && !g.Tokens.Allow(r.Header.Get("Authorization"), g.Role) {
			challenge(w.Header(), g.Role)
			refuse(w, r, http.StatusUnauthorized, Unauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Unauthorized is the answer to a client without a valid token.
const Unauthorized = "this server requires a token: send Authorization: Bearer TOKEN with a token of the file given by --auth-token-file"

// setHeaders is called first, so that refusals have the headers too. Handlers may replace them; the page does.
func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// admitOrigin refuses requests of other sites' pages. It answers a browser's preflight request (CORS).
func (g Guard) admitOrigin(w http.ResponseWriter, r *http.Request) bool {
	h, from := w.Header(), r.Header.Get("Origin")
	h.Add("Vary", "Origin")
	if from != "" && g.Origins.allow(from) {
		h.Set("Access-Control-Allow-Origin", from)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, X-Scope-OrgID, Mcp-Session-Id, Mcp-Protocol-Version")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return false
		}
		return true
	}
	if fromElsewhere(r) {
		refuse(w, r, http.StatusForbidden, fmt.Sprintf(
			"a page of another site (%s) may not send requests to this server. If the page is yours, add its origin to --allowed-origins", shorten(origins(from))))
		return false
	}
	return true
}

func origins(from string) string {
	if from == "" {
		return "unknown origin"
	}
	return from
}

// challenge lists the ways to send a token. For Basic, browsers prompt for a password.
func challenge(h http.Header, role Role) {
	h.Add("WWW-Authenticate", `Bearer realm="etude"`)
	if role == Query {
		h.Add("WWW-Authenticate", `Basic realm="etude: any user name, the token as password", charset="UTF-8"`)
	}
}

// grpcCodes maps the refusals to gRPC's codes.
var grpcCodes = map[int]int{
	http.StatusMisdirectedRequest: 7, // PERMISSION_DENIED
	http.StatusForbidden:          7,
	http.StatusUnauthorized:       16, // UNAUTHENTICATED
}

// refuse answers with one line of text. For a gRPC client the reason is in headers, with HTTP status 200 (gRPC
// over HTTP/2, "Responses").
func refuse(w http.ResponseWriter, r *http.Request, status int, reason string) {
	h := w.Header()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(grpcCodes[status]))
		h.Set("Grpc-Message", strings.ReplaceAll(url.PathEscape(reason), "%20", " "))
		w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%d %s: %s\n", status, http.StatusText(status), reason)
}

// shorten limits the size of an answer that repeats input.
func shorten(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
