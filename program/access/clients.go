package access

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"

	"etude/internal/door"
)

// Client say how a command connects to others: which certificates it trusts
// and which token it sends.
type Client struct {
	CAFile    string `name:"ca-file" env:"ETUDE_CA_FILE" placeholder:"FILE" help:"Certificates in PEM to trust, besides the system's, when connecting by https."`
	TokenFile string `name:"token-file" env:"ETUDE_TOKEN_FILE" placeholder:"FILE" help:"Token to send, as Authorization: Bearer TOKEN: the first one in the file, which may be that of --auth-token-file."`
}

// ClientTLS is how this process connects by TLS.
func (f *Client) ClientTLS() (*tls.Config, error) {
	config, err := door.ClientConfig(f.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	return config, nil
}

// Authorization is the header that shows the token, "" for none. A child of `up`
// has its parent's token when it was given no other.
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

// Bearer is the header that shows a token, "" for none.
func Bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// HTTPClient returns an HTTP client over a transport, whose settings for TLS it sets,
// that shows the token with each request.
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
		// The token is for the server that was named, not for one that it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// Authorized adds an Authorization header to the requests that have none.
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
