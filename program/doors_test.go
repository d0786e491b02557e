package program

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"etude/program/access"
	"etude/program/listen"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"etude/internal/door"
	"etude/internal/testkit"
)

const (
	sendToken = "send-0123456789abcdef"
	readToken = "read-0123456789abcdef"
)

// secured are the flags of TLS and tokens, with files of their own.
func secured(t *testing.T) (flags []string, trust *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	cert, key := testkit.Certificate(t, dir, 1, "localhost")
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("ingest "+sendToken+"\nquery "+readToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	trust, err := door.ClientConfig(cert)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--tls-cert", cert, "--tls-key", key, "--auth-token-file", tokens}, trust
}

// TestUpBehindTLSAndTokens: the demo as a whole works when every listener wants
// both: the edge and the services send, Prometheus scrapes, up sees its parts get
// ready, the backend traces itself.
func TestUpBehindTLSAndTokens(t *testing.T) {
	t.Parallel()
	flags, trust := secured(t)
	d := startDemo(t, append(flags, "--self-trace", "--metrics.interval=1s", "--metrics.config", quickScrapes(t))...)
	reader := &http.Client{Transport: access.Authorized{RoundTripper: &http.Transport{TLSClientConfig: trust}, Header: "Bearer " + readToken}}
	at := func(port int, path string) string { return fmt.Sprintf("https://localhost:%d%s", port+d.offset, path) }
	d.through("uservice3.localhost")
	eventually(t, "find the spans of edge, services and backend", func() error {
		for _, service := range []string{"edge", "uservice3", "uservice4", "etude-backend"} {
			body := fetch(t, reader, at(listen.PortAPI, "/api/search?q="+url.QueryEscape(`{resource.service.name="`+service+`"}`)))
			if !strings.Contains(body, "traceID") {
				return fmt.Errorf("%s: %s", service, body)
			}
		}
		return nil
	})
	started, err := reader.Post(at(listen.PortPage, "/api/etude/labs/2/start"), "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(started.Body)
	if err := errors.Join(err, started.Body.Close()); err != nil || started.StatusCode != http.StatusOK {
		t.Fatalf("start a lab: %d %s, %v", started.StatusCode, said, err)
	}
	if body := fetch(t, reader, at(listen.PortAPI, "/api/search?q="+url.QueryEscape(`{resource.lab=~"02-.*" && resource.service.name="uservice4"}`))); !strings.Contains(body, "traceID") {
		t.Errorf("the spans of a lab's services did not come: %s", body)
	}
	eventually(t, "every target is scraped", func() error {
		if body := fetch(t, reader, at(listen.PortPrometheus, "/api/v1/query?query=sum(up)")); !strings.Contains(body, `"3"]`) {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
	for _, read := range []string{at(listen.PortAPI, "/api/search"), at(listen.PortPage, "/"), at(listen.PortPage, "/prometheus/api/v1/query?query=up"), at(listen.PortPrometheus, "/metrics"), at(listen.PortDashboard, "/dashboard/")} {
		for _, c := range []struct {
			client *http.Client
			want   int
		}{
			{&http.Client{Transport: &http.Transport{TLSClientConfig: trust}}, 401},
			{&http.Client{Transport: access.Authorized{RoundTripper: &http.Transport{TLSClientConfig: trust}, Header: "Bearer " + sendToken}}, 401},
			{reader, 200},
		} {
			resp, err := c.client.Get(read)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("GET %s: %s, want %d", read, resp.Status, c.want)
			}
		}
	}
	d.checkIngestTokens(t, trust)
	d.checkBench(flags[1], flags[5])
	if bad := regexp.MustCompile(`level=(WARN|ERROR).*|traces export.*|.*(tls|TLS):.*`).FindString(d.out.String()); bad != "" {
		t.Errorf("it complains: %s", bad)
	}
	d.interrupt()
}

// checkBench measures a little, through TLS and with a token.
func (d *demo) checkBench(cert, tokens string) {
	d.t.Helper()
	address := func(scheme string, port int) string { return fmt.Sprintf("%s://localhost:%d", scheme, port+d.offset) }
	for _, args := range [][]string{
		{"ingest", "--spans=400", "--warmup=0", "--target", address("grpcs", listen.PortOTLPGRPC)},
		{"ingest", "--spans=400", "--warmup=0", "--target", address("https", listen.PortOTLPHTTP)},
		{"query", "--count=1", "--warmup=0", "--api", address("https", listen.PortAPI)},
	} {
		b := start(d.t, nil, append(append([]string{"bench"}, args...), "--ca-file", cert, "--token-file", tokens)...)
		if code := b.ended(); code != 0 || strings.Contains(b.out.String(), "401") || strings.Contains(b.out.String(), "UNAUTHENTICATED") {
			d.t.Errorf("bench %q: exit status %d: %s", args, code, b.out)
		}
	}
	for _, args := range [][]string{{"health", address("https", listen.PortAPI) + "/ready"}, {"health", address("https", listen.PortPage)}} {
		h := start(d.t, nil, append(args, "--ca-file", cert, "--token-file", tokens)...)
		if code := h.ended(); code != 0 || !strings.Contains(h.out.String(), "200") {
			d.t.Errorf("%q: exit status %d: %s", args, code, h.out)
		}
	}
}

func (d *demo) checkIngestTokens(t *testing.T, trust *tls.Config) {
	t.Helper()
	for _, c := range []struct {
		port int
		path string
	}{{listen.PortOTLPHTTP, "/v1/traces"}, {listen.PortOTLPGRPC, "/v1/traces"}, {listen.PortZipkin, "/api/v2/spans"}, {listen.PortJaeger, "/api/traces?format=jaeger.thrift"}} {
		for token, want := range map[string]int{"": 401, readToken: 401, sendToken: 200} {
			client := &http.Client{Transport: access.Authorized{RoundTripper: &http.Transport{TLSClientConfig: trust}, Header: access.Bearer(token)}}
			body, contentType := "{}", "application/json"
			switch c.port {
			case listen.PortZipkin:
				body = "[]"
			case listen.PortJaeger:
				contentType = "application/vnd.apache.thrift.binary"
			}
			resp, err := client.Post(fmt.Sprintf("https://localhost:%d%s", c.port+d.offset, c.path), contentType, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if denied := resp.StatusCode == 401; denied != (want == 401) {
				t.Errorf("POST to port %d with token %q: %s, want %d", c.port, token, resp.Status, want)
			}
			if resp.StatusCode == 401 && resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("port %d: 401 without WWW-Authenticate", c.port)
			}
		}
	}
	for token, want := range map[string]codes.Code{"": codes.Unauthenticated, readToken: codes.Unauthenticated, sendToken: codes.OK} {
		conn, err := grpc.NewClient(fmt.Sprintf("localhost:%d", listen.PortOTLPGRPC+d.offset), grpc.WithTransportCredentials(credentials.NewTLS(trust)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err = tracepb.NewTraceServiceClient(conn).Export(metadata.AppendToOutgoingContext(ctx, "authorization", access.Bearer(token)), &tracepb.ExportTraceServiceRequest{})
		cancel()
		_ = conn.Close()
		if status.Code(err) != want {
			t.Errorf("gRPC with token %q: %v, want %s", token, err, want)
		}
	}
}

// quickScrapes is the built-in configuration of metrics, scraped twice a second.
func quickScrapes(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metrics.yaml")
	text := "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n"
	for job, target := range map[string]string{"prometheus": "localhost:9090", "tempo": "tempo:3200", "traefik": "traefik:8080"} {
		text += fmt.Sprintf("- {job_name: %s, static_configs: [{targets: ['%s']}]}\n", job, target)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func fetch(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestEveryReaderChecksHostAndOrigin asks each listener that is read from, by names
// that are not its own and for pages of other sites.
func TestEveryReaderChecksHostAndOrigin(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--allowed-hosts", "etude.lan", "--allowed-origins", "https://app.example")
	for _, at := range []string{d.url(listen.PortAPI, "/api/search"), d.url(listen.PortAPI, "/api/mcp"), d.url(listen.PortAPI, "/nothing"), d.url(listen.PortPage, "/"), d.url(listen.PortPage, "/api/search"),
		d.url(listen.PortPage, "/prometheus/api/v1/query?query=up"), d.url(listen.PortPrometheus, "/api/v1/query?query=up"), d.url(listen.PortDashboard, "/dashboard/"), d.url(listen.PortDashboard, "/nothing")} {
		for _, c := range []struct {
			host    string
			headers map[string]string
			refused int // 0: it is not
		}{
			{"", nil, 0},
			{"localhost:1", nil, 0},
			{"host.docker.internal:1", nil, 0},
			{"etude.lan", nil, 0},
			{"evil.example", nil, 421},
			{"evil.example:3200", map[string]string{"X-Forwarded-Host": "localhost"}, 421},
			{"", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
			{"", map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403},
			{"", map[string]string{"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}, 0},
		} {
			req, err := http.NewRequest(http.MethodPost, at, strings.NewReader("q=1"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Host = c.host
			for name, value := range c.headers {
				req.Header.Set(name, value)
			}
			resp, err := visitor.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if got := resp.StatusCode; got != c.refused && (c.refused != 0 || got == 421) {
				t.Errorf("POST %s, Host %q, %v: %s %s, want %d", at, c.host, c.headers, resp.Status, text, c.refused)
			}
			if c.refused == 421 && !strings.Contains(string(text), "--allowed-hosts") {
				t.Errorf("%s does not name --allowed-hosts: %s", at, text)
			}
			if origin := c.headers["Origin"]; resp.Header.Get("Access-Control-Allow-Origin") == "*" || c.refused != 0 && resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s may be read by %q: %v", at, origin, resp.Header)
			}
			checkHeaders(t, at, resp.Header)
		}
	}
	d.checkAuthority(t)
	for _, port := range []int{listen.PortOTLPHTTP, listen.PortZipkin, listen.PortJaeger} { // containers use many names
		req, _ := http.NewRequest(http.MethodGet, d.url(port, "/"), nil)
		req.Host = "some.container"
		if code, body := do(t, req); code == 421 {
			t.Errorf("the ingest port %d checks the Host: %s", port, body)
		}
	}
}

func checkHeaders(t *testing.T, at string, h http.Header) {
	t.Helper()
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%s: headers %v", at, h)
	}
}

// checkAuthority asks the API by gRPC, whose Host is :authority, and by HTTP/1 with
// an absolute target and without a Host.
func (d *demo) checkAuthority(t *testing.T) {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", listen.PortAPI+d.offset)
	for authority, want := range map[string]codes.Code{"": codes.OK, "evil.example": codes.PermissionDenied} {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(authority))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err = conn.Invoke(ctx, "/grpc.health.v1.Health/Check", &tracepb.ExportTraceServiceRequest{}, &tracepb.ExportTraceServiceResponse{})
		cancel()
		_ = conn.Close()
		if status.Code(err) != want {
			t.Errorf("gRPC for %q: %v, want %s", authority, err, want)
		}
	}
	for request, want := range map[string]string{
		"GET http://evil.example/api/search HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": "421",
		"GET http://localhost/api/search HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n":    "200",
		"GET /api/search HTTP/1.0\r\n\r\n": "421",
		"GET /api/search HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n": "400",
	} {
		if got := raw(t, addr, request); !strings.HasPrefix(got, "HTTP/1.1 "+want) && !strings.HasPrefix(got, "HTTP/1.0 "+want) {
			t.Errorf("%q: %.200s, want %s", request, got, want)
		}
	}
}

func raw(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// TestListenersByBothFamilies: a client that knows [::1] alone finds every listener.
func TestListenersByBothFamilies(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no [::1]")
	}
	_ = l.Close()
	d := startDemo(t)
	for _, port := range []int{listen.PortEdge, listen.PortDashboard, listen.PortPage, listen.PortAPI, listen.PortOTLPGRPC, listen.PortOTLPHTTP, listen.PortJaeger, listen.PortJaegerGRPC, listen.PortZipkin, listen.PortPrometheus} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, fmt.Sprint(port+d.offset)), patience)
			if err != nil {
				t.Error(err)
				continue
			}
			_ = conn.Close()
		}
	}
}

// TestOpenListenersAreWarnedOf: one line, that names the listeners and the flags.
func TestOpenListenersAreWarnedOf(t *testing.T) {
	t.Parallel()
	flags, _ := secured(t)
	tokens := flags[4:]
	for _, c := range []struct {
		name string
		args []string
		want string // "" for no warning
	}{
		{"loopback", nil, ""},
		{"bare", []string{"--api-addr", "0.0.0.0:0", "--zipkin-addr", "0.0.0.0:0"}, `without TLS and without a token; see --tls-cert and --auth-token-file, or listen on localhost" listeners="zipkin, api"`},
		{"token", append([]string{"--api-addr", ":0"}, tokens...), `cross the network unencrypted; see --tls-cert" listeners=api`},
		{"both", append([]string{"--api-addr", ":0"}, flags...), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, nil, append([]string{"backend", "--data-dir", t.TempDir(), "--port-offset", fmt.Sprint(freeOffset(t))}, c.args...)...)
			b.says("backend is ready")
			warnings := regexp.MustCompile(`.*other machines.*|.*unencrypted.*`).FindAllString(b.out.String(), -1)
			if c.want == "" && len(warnings) > 0 || c.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], c.want)) {
				t.Errorf("it warns %q, want %q", warnings, c.want)
			}
		})
	}
}

func TestDoorFlagsAreChecked(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--tls-cert x":                     "--tls-cert and --tls-key: set both",
		"--tls-cert x --tls-key y":         "--tls-cert, --tls-key: read certificate",
		"--tls-listeners apis":             "--tls-listeners apis: want all, or some of",
		"--auth-listeners edge":            "--auth-listeners edge: want all, or some of",
		"--auth-token-file /nonexistent/x": "--auth-token-file: read tokens",
		"--allowed-hosts http://x":         `--allowed-hosts: "http://x" is not a host`,
		"--allowed-origins *":              `--allowed-origins: "*" would admit every web page`,
		"--api-addr 3200":                  `address "3200": want HOST:PORT`,
	} {
		for _, command := range []string{"up", "backend"} {
			p := start(t, nil, append([]string{command, "--port-offset", fmt.Sprint(freeOffset(t)), "--data-dir", t.TempDir()}, strings.Fields(args)...)...)
			if code := p.ended(); code == 0 || !strings.Contains(p.out.String(), want) {
				t.Errorf("%s %s: exit status %d, %s; want %q", command, args, code, p.out, want)
			}
		}
	}
}
