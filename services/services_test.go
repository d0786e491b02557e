// Package services holds no code of its own: these tests ask the same of all four services.
package services

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"etude/internal/testkit"
	"etude/services/uservice1"
	"etude/services/uservice2"
	"etude/services/uservice3"
	"etude/services/uservice4"
)

var runs = map[string]func(context.Context, func(string) string, io.Writer) error{
	"uservice1": uservice1.Run, "uservice2": uservice2.Run, "uservice3": uservice3.Run, "uservice4": uservice4.Run,
}

// output is a writer that can be read while the service still writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a service started by start.
type running struct {
	URL  string
	out  *output
	stop func() error // waits until Run has returned
}

var listening = regexp.MustCompile(`(?m)^Listening on (\S+)$`)

// start runs a service on a free port without latency and without exporter, unless env says otherwise.
func start(t *testing.T, name string, env map[string]string) running {
	t.Helper()
	settings := map[string]string{"ETUDE_LISTEN_ADDR": "127.0.0.1:0", "ETUDE_MOCK_REDIS": "0", "ETUDE_MOCK_DATABASE": "0",
		"OTEL_TRACES_EXPORTER": "none"}
	for key, value := range env {
		settings[key] = value
	}
	ctx, cancel := context.WithCancel(context.Background())
	out, done := &output{}, make(chan error, 1)
	go func() { done <- runs[name](ctx, func(key string) string { return settings[key] }, out) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("%s stopped with %v", name, err)
		}
	})
	var address []string
	eventually(t, name+" listens", func() bool { address = listening.FindStringSubmatch(out.String()); return address != nil })
	return running{URL: "http://" + address[1] + "/", out: out, stop: stop}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Until(t, what, ok)
}

func send(t *testing.T, method, url string, header http.Header) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

// deadAddress is an address without a listener.
func deadAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestEveryPathAndMethodGetsThePage(t *testing.T) {
	t.Parallel()
	for name := range runs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := os.ReadFile(name + "/hello-world.html")
			if err != nil {
				t.Fatal(err)
			}
			next := start(t, "uservice2", nil)
			s := start(t, name, map[string]string{"ETUDE_NEXT_URL": next.URL})
			for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS", "HEAD", "PROPFIND"} {
				status, header, body := send(t, method, s.URL+"any/path/../at//all?x=1", nil)
				want := string(page)
				if method == "HEAD" {
					want = ""
				}
				if status != 200 || body != want || header.Get("Content-Type") != "text/html; charset=utf-8" {
					t.Errorf("%s: status %d, type %q, body %q", method, status, header.Get("Content-Type"), body)
				}
			}
		})
	}
}

func TestOutputOfOneRequest(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"uservice1", "uservice3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := start(t, "uservice2", nil)
			s := start(t, name, map[string]string{"ETUDE_NEXT_URL": next.URL})
			send(t, "GET", s.URL, http.Header{"Zebra": {"last"}, "Apple": {"first"}, "User-Agent": {"test"}, "Accept-Encoding": {"identity"}})
			host := strings.TrimSuffix(strings.TrimPrefix(s.URL, "http://"), "/")
			want := "Listening on " + host + "\nRequest: {\n    \"accept-encoding\": \"identity\",\n    \"apple\": \"first\",\n" +
				"    \"host\": \"" + host + "\",\n    \"user-agent\": \"test\",\n    \"zebra\": \"last\",\n}\n" +
				"Calling " + next.URL + "\nGot response!\nStatus: 200 OK\nBody: <!DOCTYPE html>\n"
			if got := s.out.String(); !strings.HasPrefix(got, want) {
				t.Errorf("got\n%s\nwant the beginning\n%s", got, want)
			}
		})
	}
}

// TestPrintedRequestsAreSafe: what the services print holds no credentials, and nothing that a terminal would obey, be it
// from a request or from the answer of the other service.
func TestPrintedRequestsAreSafe(t *testing.T) {
	t.Parallel()
	const secret, obeyed = "hunter2", "\x1b[2J\u009b31m\u0085\u202eabc\u2066\u2028\ufeff\x9b\x07\x00"
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 200 \u009bOK\r\nContent-Length: %d\r\n\r\n%s", len(obeyed), obeyed)
	}))
	t.Cleanup(next.Close)
	for name := range runs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, name, map[string]string{"ETUDE_NEXT_URL": strings.Replace(next.URL, "http://", "http://user:"+secret+"@", 1)})
			header := http.Header{"X-Shown": {"a\u009b31m\u202eb", "\x9b", `say "hi"\`}}
			for _, key := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "X-Auth-Token", "X-Csrf-Token", "X-Amz-Security-Token",
				"X-Client-Secret", "X-Password", "authorization", "Php-Auth-Pw", "Sessionid"} {
				header[key] = []string{"Basic " + secret, secret}
			}
			send(t, "GET", s.URL+"?token="+secret, header)
			got := s.out.String()
			if strings.Contains(got, secret) {
				t.Errorf("%s printed a secret:\n%s", name, got)
			}
			for _, want := range []string{`"authorization": "[redacted]",`, `"proxy-authorization": "[redacted]",`, `"cookie": "[redacted]",`, `"set-cookie": "[redacted]",`,
				`"x-shown": "a\u009b31m\u202eb, \x9b, say \"hi\"\\",`} {
				if !strings.Contains(got, "\n    "+want+"\n") {
					t.Errorf("%s did not print %s:\n%s", name, want, got)
				}
			}
			for _, r := range got {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Errorf("%s printed %U: %q", name, r, got)
				}
			}
			if !utf8.ValidString(got) {
				t.Errorf("%s printed bytes that are no text: %q", name, got)
			}
		})
	}
}

func TestNextServiceAway(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]string{"uservice1": "uservice2", "uservice3": "uservice4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			away := "http://" + deadAddress(t) + "/"
			s := start(t, name, map[string]string{"ETUDE_NEXT_URL": away})
			for range 3 {
				status, _, body := send(t, "GET", s.URL, nil)
				if status != 502 || !strings.Contains(body, next) || !strings.Contains(body, away) || !strings.Contains(body, "ETUDE_NEXT_URL") {
					t.Errorf("status %d, body %q: want 502 that names %s, %s and ETUDE_NEXT_URL", status, body, next, away)
				}
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ service, variable, value string }{
		{"uservice1", "ETUDE_MOCK_REDIS", "fast"},
		{"uservice1", "ETUDE_MOCK_REDIS", "2ms-1ms"},
		{"uservice3", "ETUDE_MOCK_REDIS", "-5ms"},
		{"uservice3", "ETUDE_MOCK_REDIS", "0-2562047h47m16.854775807s"},
		{"uservice2", "ETUDE_MOCK_DATABASE", "1ms-2ms-3ms"},
		{"uservice4", "ETUDE_MOCK_DATABASE", "100"},
		{"uservice1", "ETUDE_NEXT_URL", "http://[::1"},
		{"uservice3", "OTEL_TRACES_EXPORTER", "zipkin"},
		{"uservice4", "OTEL_TRACES_EXPORTER", "otlp,console"},
	} {
		t.Run(test.variable+"="+test.value, func(t *testing.T) {
			t.Parallel()
			getenv := func(key string) string {
				return map[string]string{"ETUDE_LISTEN_ADDR": "127.0.0.1:0", test.variable: test.value}[key]
			}
			err := runs[test.service](t.Context(), getenv, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.variable) {
				t.Errorf("got %v, want an error that names %s", err, test.variable)
			}
		})
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken := start(t, "uservice2", nil)
	address := strings.TrimSuffix(strings.TrimPrefix(taken.URL, "http://"), "/")
	for name, run := range runs {
		err := run(t.Context(), func(key string) string { return map[string]string{"ETUDE_LISTEN_ADDR": address}[key] }, io.Discard)
		if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names the service and %s", name, err, address)
		}
	}
}

// Stopping lets a short request finish, and cuts a long one short within a second or so.
func TestStopWithRequestsInFlight(t *testing.T) {
	t.Parallel()
	for latency, want := range map[string]int{"300ms": 200, "1h": 502} {
		for _, name := range []string{"uservice2", "uservice4"} {
			t.Run(fmt.Sprint(name, " ", latency), func(t *testing.T) {
				t.Parallel()
				s := start(t, name, map[string]string{"ETUDE_MOCK_DATABASE": latency})
				got := make(chan int, 1)
				go func() {
					response, err := http.Get(s.URL)
					if err != nil {
						got <- 0
						return
					}
					response.Body.Close()
					got <- response.StatusCode
				}()
				eventually(t, "the request has arrived", func() bool { return strings.Contains(s.out.String(), "Request: ") })
				stopped := make(chan error, 1)
				go func() { stopped <- s.stop() }()
				select {
				case err := <-stopped:
					if err != nil {
						t.Errorf("Run returned %v", err)
					}
				case <-time.After(testkit.Patience): // a request of an hour was not cut
					t.Fatal("it does not stop")
				}
				if status := <-got; status != want {
					t.Errorf("status %d, want %d", status, want)
				}
			})
		}
	}
}

func TestFilesStaySmallAndPlain(t *testing.T) {
	t.Parallel()
	for name := range runs {
		source, err := os.ReadFile(name + "/" + name + ".go")
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(source, []byte("\n")); lines > 170 {
			t.Errorf("%s has %d lines, at most 170 are allowed", name, lines)
		}
		for i, line := range strings.Split(string(source), "\n") {
			if len(line) > 120 {
				t.Errorf("%s: line %d has %d characters, at most 120 are allowed", name, i+1, len(line))
			}
		}
		traced := name == "uservice3" || name == "uservice4"
		if got := bytes.Contains(source, []byte("go.opentelemetry.io")); got != traced {
			t.Errorf("%s imports OpenTelemetry: %v, want %v", name, got, traced)
		}
		if bytes.Contains(source, []byte("\"etude/")) {
			t.Errorf("%s imports another package of this repository", name)
		}
	}
}
