package program

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHelpNamesEveryListener(t *testing.T) {
	t.Parallel()
	for command, flags := range map[string][]string{
		"up":      {"--api-addr", "--otlp-grpc-addr", "--otlp-http-addr", "--jaeger-addr", "--jaeger-grpc-addr", "--zipkin-addr", "--page-addr", "--prometheus-addr", "--edge-addr", "--dashboard-addr", "--port-offset", "--data-dir", "--keep-going"},
		"backend": {"--api-addr", "--zipkin-addr", "--data-dir", "--port-offset"},
		"edge":    {"--edge-addr", "--dashboard-addr", "--config", "--port-offset"},
	} {
		p := start(t, nil, command, "--help")
		if status := p.ended(); status != 0 {
			t.Errorf("%s --help: exit status %d", command, status)
		}
		out := p.out
		for _, flag := range flags {
			if !strings.Contains(out.String(), flag) {
				t.Errorf("%s --help does not name %s", command, flag)
			}
			if env := "ETUDE_" + strings.ToUpper(strings.ReplaceAll(flag[2:], "-", "_")); strings.HasSuffix(flag, "-addr") && !strings.Contains(out.String(), "$"+env) {
				t.Errorf("%s --help does not name $%s", command, env)
			}
		}
	}
}

// TestEveryFlagHasAGroup: --help is read by topic.
func TestEveryFlagHasAGroup(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"up", "backend", "edge"} {
		for _, flag := range parse(t, command).Flags {
			if flag.Group == nil || flag.Group.Title == flag.Group.Key {
				t.Errorf("%s --%s has no group that is in flagGroups: name one in its tag", command, flag.Name)
			}
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args   string
		status int
		want   string
	}{
		{"nonsense", 2, "nonsense"},
		{"up --port-offset 60000", 1, "--port-offset 60000: want 0 to"},
		{"load ftp://x/", 1, "want http://HOST:PORT/"},
		{"load --rate 0", 1, "--rate 0"},
		{"backend --max-metrics-range 0s", 2, "--max-metrics-range 0s: want more than 0"},
		{"backend --max-metrics-range 90000h", 2, "at most 87600h"},
		{"health http://127.0.0.1:1/", 1, "check health"},
		{"health tcp://127.0.0.1:1", 1, "check health"},
		{"edge --trusted-ips nonsense", 1, `--trusted-ips: "nonsense" is neither an IP address nor a range`},
		{"up --trusted-ips 10.0.0.0/40", 1, "--trusted-ips"},
		{"edge --response-header-timeout=-1s", 1, "--response-header-timeout -1s"},
		{"edge --config /nonexistent/rules.yaml --edge-addr 127.0.0.1:0 --dashboard-addr 127.0.0.1:0", 1, "rules.yaml"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			if status := Main(strings.Fields(test.args), &out, &errs); status != test.status || !strings.Contains(errs.String(), test.want) {
				t.Errorf("exit status %d, want %d; it says %q, want %q", status, test.status, errs.String(), test.want)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for status, healthy := range map[int]bool{200: true, 404: true, 503: false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		var out bytes.Buffer
		if got := Main([]string{"health", s.URL}, &out, &out) == 0; got != healthy {
			t.Errorf("a server that answers %d is healthy: %v, want %v", status, got, healthy)
		}
		s.Close()
	}
}

// TestGrammarOfOneCommand: a command that is parsed alone reads its line, refuses
// it and explains itself as it does beside the others.
func TestGrammarOfOneCommand(t *testing.T) {
	t.Parallel()
	whole, err := newParser("", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	commands := whole.Model.Children
	if len(commands) < 14 {
		t.Fatalf("the whole grammar has %d commands", len(commands))
	}
	for _, command := range commands {
		lines := [][]string{{command.Name, "--help"}, {command.Name, "--nonsense"}, {command.Name, "non", "sense"}, {command.Name, "--port-offset=many"}}
		for _, sub := range command.Children {
			lines = append(lines, []string{command.Name, sub.Name, "--help"}, []string{command.Name, sub.Name, "--nonsense"})
		}
		for _, line := range lines {
			if got, want := parsed(t, command.Name, line), parsed(t, "", line); got != want {
				t.Errorf("%q parsed alone:\n%s\nbeside the others:\n%s", line, got, want)
			}
		}
		if alone, err := newParser(command.Name, io.Discard, io.Discard); err != nil || len(alone.Model.Children) != 1 {
			t.Errorf("%s is not parsed alone (%v)", command.Name, err)
		}
	}
}

// parsed is what the parser of a command line that begins with first prints and
// refuses.
func parsed(t *testing.T, first string, line []string) string {
	t.Helper()
	var out bytes.Buffer
	parser, err := newParser(first, &out, &out)
	if err != nil {
		t.Fatal(err)
	}
	parser.Exit = func(status int) { fmt.Fprintln(&out, "exit", status) }
	_, err = parser.Parse(line)
	return fmt.Sprint(out.String(), err)
}
