package bench

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// Access has the credentials of a run. The zero value trusts the system's certificates and sends no token.
type Access struct {
	TLS           *tls.Config `kong:"-"` // for https:// and grpcs://
	Authorization string      `kong:"-"` // header of each request, or ""
}

// dial connects to a target, over TLS if its scheme requires it. protocol is the ALPN name of the client's
// protocol.
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

// authorized adds the caller's token to requests to the API.
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
