package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// apiClient sends requests to a server of Tempo's HTTP API on this machine.
type apiClient struct {
	client *http.Client
	base   string
}

func newAPIClient(ctx context.Context, base string, access Access, timeout time.Duration) (*apiClient, error) {
	u, err := localURL("--api", base)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--api %s: want http://127.0.0.1:PORT, with TLS https://", base)
	}
	if err := reach(ctx, u.Host); err != nil {
		return nil, err
	}
	client := localClient(16, access)
	client.Timeout = timeout
	return &apiClient{client: client, base: strings.TrimRight((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), "/")}, nil
}

// get returns the whole answer, with any status.
func (c *apiClient) get(ctx context.Context, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// localClient keeps its connections, follows no redirects, and uses no proxy.
func localClient(connections int, access Access) *http.Client {
	return &http.Client{
		Transport: authorized{&http.Transport{DialContext: loopback.DialContext, TLSClientConfig: access.TLS, MaxIdleConns: connections, MaxIdleConnsPerHost: connections,
			MaxConnsPerHost: connections, DisableCompression: true}, access.Authorization},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
