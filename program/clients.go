package program

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"

	"etude/internal/door"
)

// clientFlags say how a command connects to others: which certificates it trusts
// and which token it sends.
type clientFlags struct {
	CAFile    string `name:"ca-file" env:"ETUDE_CA_FILE" placeholder:"FILE" help:"Certificates in PEM to trust, besides the system's, when connecting by https."`
	TokenFile string `name:"token-file" env:"ETUDE_TOKEN_FILE" placeholder:"FILE" help:"Token to send, as Authorization: Bearer TOKEN: the first one in the file, which may be that of --auth-token-file."`
}

// clientTLS is how this process connects by TLS.
func (f *clientFlags) clientTLS() (*tls.Config, error) {
	config, err := door.ClientConfig(f.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	return config, nil
}

// authorization is the header that shows the token, "" for none. A child of `up`
// has its parent's token when it was given no other.
func (f *clientFlags) authorization(role door.Role) (string, error) {
	if f.TokenFile == "" {
		return bearer(os.Getenv(ownTokenEnv)), nil
	}
	token, err := door.FirstToken(f.TokenFile, role)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return bearer(token), nil
}

func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// client returns an HTTP client over a transport, whose settings for TLS it sets,
// that shows the token with each request.
func (f *clientFlags) client(transport *http.Transport, role door.Role) (*http.Client, error) {
	var err error
	if transport.TLSClientConfig, err = f.clientTLS(); err != nil {
		return nil, err
	}
	transport.ForceAttemptHTTP2 = true
	authorization, err := f.authorization(role)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: authorized{transport, authorization},
		// The token is for the server that was named, not for one that it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// authorized adds an Authorization header to the requests that have none.
type authorized struct {
	http.RoundTripper
	authorization string
}

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.authorization != "" && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", a.authorization)
	}
	return a.RoundTripper.RoundTrip(r)
}
