package bench

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// Access has the credentials of a run. The zero value trusts the system's certificates and
// shows nothing.
type Access struct {
	TLS           *tls.Config `kong:"-"` // for https:// and grpcs://
	Authorization string      `kong:"-"` // header of each request, "" for none
}

// dial connects to a target, by TLS if its scheme says so. protocol is what the
// client is going to speak, as ALPN names it.
func (t target) dial(ctx context.Context, protocol string) (net.Conn, error) {
	if !t.secure {
		return loopback.DialContext(ctx, "tcp", t.addr)
	}
	config := &tls.Config{}
	if t.access.TLS != nil {
		config = t.access.TLS.Clone()
	}
	config.NextProtos = []string{protocol}
	return (&tls.Dialer{NetDialer: &loopback, Config: config}).DialContext(ctx, "tcp", t.addr)
}

// authorized shows the API the caller's token.
type authorized struct {
	http.RoundTripper
	authorization string
}

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.authorization != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", a.authorization)
	}
	return a.RoundTripper.RoundTrip(r)
}
