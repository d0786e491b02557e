package access

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"

	"etude/internal/door"
)

// Client holds the flags of a command that connects to other programs: the certificates it trusts and the token
// it sends.
type Client struct {
	CAFile    string `name:"ca-file" env:"ETUDE_CA_FILE" placeholder:"FILE" help:"File of PEM certificates to trust for https, in addition to the system's."`
	TokenFile string `name:"token-file" env:"ETUDE_TOKEN_FILE" placeholder:"FILE" help:"File with the token to send as Authorization: Bearer TOKEN. etude uses the first token in it; the file of --auth-token-file works."`
}

// ClientTLS returns the TLS settings for the connections that this process opens.
func (f *Client) ClientTLS() (*tls.Config, error) {
	config, err := door.ClientConfig(f.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	return config, nil
}

// Authorization returns the value of the Authorization header that sends the token, or "" without one. A child
// of `up` uses its parent's token when it has none of its own.
func (f *Client) Authorization(role door.Role) (string, error) {
	if f.TokenFile == "" {
		return Bearer(os.Getenv(OwnTokenEnv)), nil
	}
	token, err := door.FirstToken(f.TokenFile, role)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return Bearer(token), nil
}

// Bearer returns the value of the Authorization header that sends a token, or "" without one.
func Bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// HTTPClient returns an HTTP client that sends the token with each request. It uses transport, and sets the
// transport's TLS settings.
func (f *Client) HTTPClient(transport *http.Transport, role door.Role) (*http.Client, error) {
	var err error
	if transport.TLSClientConfig, err = f.ClientTLS(); err != nil {
		return nil, err
	}
	transport.ForceAttemptHTTP2 = true
	authorization, err := f.Authorization(role)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: Authorized{transport, authorization},
		// A redirect may lead to another server, which must not get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// Authorized is a transport that adds an Authorization header to requests without one.
type Authorized struct {
	http.RoundTripper
	Header string // "" for none
}

// RoundTrip implements [http.RoundTripper].
func (a Authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.Header != "" && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", a.Header)
	}
	return a.RoundTripper.RoundTrip(r)
}
