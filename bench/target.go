package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// target is an OTLP receiver on this machine.
type target struct {
	grpc   bool
	secure bool   // TLS
	addr   string // host:port
	url    string // for HTTP
	access Access
}

func parseTarget(text string, access Access) (target, error) {
	u, err := localURL("--target", text)
	if err != nil {
		return target{}, err
	}
	switch {
	case (u.Scheme == "grpc" || u.Scheme == "grpcs") && strings.Trim(u.Path, "/") == "":
		return target{grpc: true, secure: u.Scheme == "grpcs", addr: u.Host, access: access}, nil
	case u.Scheme == "grpc" || u.Scheme == "grpcs":
		return target{}, fmt.Errorf("--target %s: gRPC has no path; want grpc://127.0.0.1:4317", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, fmt.Errorf("--target %s: want grpc://127.0.0.1:PORT or http://127.0.0.1:PORT, with TLS grpcs:// or https://", text)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces" // OTLP specification, OTLP/HTTP Request
	}
	return target{secure: u.Scheme == "https", addr: u.Host, url: u.String(), access: access}, nil
}

// localURL parses a URL with a port, and refuses other machines, so that a typing error does not send load to
// another server.
func localURL(flag, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", flag, err)
	}
	if u.Scheme == "" || u.Hostname() == "" || u.Port() == "" {
		return nil, fmt.Errorf("%s %q: want a URL with a port, such as http://127.0.0.1:4318", flag, text)
	}
	if host := u.Hostname(); !isLoopback(host) {
		return nil, fmt.Errorf("%s %s: %s is not a loopback address; bench drives only servers on this machine, use 127.0.0.1", flag, text, host)
	}
	return u, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true // the dialer checks the address it resolves to
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// loopback dials only loopback addresses, whatever a name resolves to.
var loopback = net.Dialer{Timeout: 5 * time.Second, Control: func(network, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address", address)
	}
	return nil
}}

// reach returns a clear error when nothing listens at the address, before every request of a run fails for that
// reason.
func (t target) reach(ctx context.Context) error { return reach(ctx, t.addr) }

func reach(ctx context.Context, addr string) error {
	conn, err := loopback.DialContext(ctx, "tcp", addr)
	if err == nil {
		return conn.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens on %s; start the server first", addr)
	}
	return fmt.Errorf("reach %s: %w", addr, err)
}
