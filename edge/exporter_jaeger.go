package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// jaegerExporter posts messages to a Jaeger collector, Content-Type
// application/x-thrift.
type jaegerExporter struct {
	endpoint string
	shown    string // the endpoint without a password
	headers  map[string]string
	client   *http.Client
}

func newJaegerExporter(endpoint string, headers map[string]string, trust *tls.Config) (*jaegerExporter, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read the Jaeger endpoint %q: %w", redactAddress(endpoint), innerError(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the Jaeger endpoint %q is no http address: write for example http://127.0.0.1:14268/api/traces?format=jaeger.thrift", redactAddress(endpoint))
	}
	return &jaegerExporter{
		endpoint: endpoint,
		shown:    redactAddress(endpoint),
		headers:  headers,
		client:   &http.Client{Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}},
	}, nil
}

// processTags are those of Jaeger's clients, and what the user adds with
// OTEL_RESOURCE_ATTRIBUTES.
func processTags(version string, res *resource.Resource) []attribute.KeyValue {
	tags := []attribute.KeyValue{
		attribute.String("jaeger.version", "etude-"+version),
		attribute.String("hostname", hostname()),
		attribute.String("ip", ownAddress()),
		attribute.String("client-uuid", fmt.Sprintf("%016x", randomID())),
	}
	for _, kv := range res.Attributes() {
		switch key := string(kv.Key); {
		case key == "service.name", key == "host.name", strings.HasPrefix(key, "telemetry.sdk."):
		default:
			tags = append(tags, kv)
		}
	}
	return tags
}

// ownAddress is the first address of this machine that is not loopback.
func ownAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
				return ip.IP.String()
			}
		}
	}
	return "127.0.0.1"
}

// send posts one message. An answer of the 4xx class other than 408 and 429 is
// permanent: the same bytes will not be taken later either.
func (e *jaegerExporter) send(ctx context.Context, message []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(message))
	if err != nil {
		return permanentError{fmt.Errorf("send spans to %s: %w", e.shown, innerError(err))}
	}
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-thrift")
	resp, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("send spans to %s: %w", e.shown, innerError(err))
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // only for the message
	if resp.StatusCode < 300 {
		return nil
	}
	err = fmt.Errorf("send spans to %s: %s: %s", e.shown, resp.Status, bytes.TrimSpace(text))
	switch {
	case resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooManyRequests:
	case resp.StatusCode < 500:
		return permanentError{err}
	}
	return err
}

// close closes the connection.
func (e *jaegerExporter) close(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}
