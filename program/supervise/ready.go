package supervise

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// Answers returns a check that a URL answers with status 200; trust is for https.
func Answers(url string, trust *tls.Config) func(context.Context) bool {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: trust}}
	return func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

// Accepts returns a check that an address accepts connections. It sends services no request, because each
// request would be work and a trace.
func Accepts(addr string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
}
