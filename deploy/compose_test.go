package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stack is one start of compose.etude.yaml under a project name of its own, with every port chosen
// by the engine, so that it meets neither a running demo nor another test.
type stack struct {
	t       *testing.T
	compose []string
	project string
	image   string
	env     []string
}

// TestComposeEtude starts the demo in containers, sends one request through the edge to uservice3
// and finds its seven spans, each the child of the one before, by Tempo's API.
func TestComposeEtude(t *testing.T) {
	s := newStack(t)
	s.buildImage()
	// From here on everything is started or awaited: one bound for all of it.
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s.up(ctx)

	addresses := s.addresses(ctx)
	edge, api := addresses["edge:80"], addresses["backend:3200"]
	body := poll(ctx, t, "answer of uservice3 through the edge", func() (string, error) {
		return get(ctx, "http://"+edge+"/", "uservice3.localhost")
	})
	if !strings.Contains(body, "Hello, World!") {
		t.Errorf("uservice3 answers %q", body)
	}

	want := []string{
		"edge: EntryPoint web uservice3.localhost",
		"edge: forward uservice3",
		"uservice3: handle_incoming_call",
		"uservice3: redis_call",
		"uservice3: other_uservice_call",
		"uservice4: handle_incoming_call",
		"uservice4: database_call",
	}
	got := poll(ctx, t, "trace of seven spans", func() ([]string, error) {
		chain, err := newestChain(ctx, api, "uservice4")
		if err == nil && len(chain) < len(want) {
			err = fmt.Errorf("spans so far: %q", chain)
		}
		return chain, err
	})
	// The edge's client span also names the router; which one is the edge's own affair.
	if len(got) > 1 && strings.HasPrefix(got[1], want[1]) {
		got[1] = want[1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("trace, from the root down:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	page := poll(ctx, t, "page", func() (string, error) {
		return get(ctx, "http://"+addresses["backend:3000"]+"/", "")
	})
	if !strings.Contains(strings.ToLower(page), "<!doctype html") {
		t.Errorf("page answers %q", page)
	}
	s.stopsCleanly(ctx)
}

// newStack finds an engine and compose. Where they are missing the test skips, except in CI, where
// a skipped test would look like a passed one.
func newStack(t *testing.T) *stack {
	t.Helper()
	missing := ""
	compose := findCompose()
	switch {
	case testing.Short():
		t.Skip("starts containers; not in -short")
	case compose == nil:
		missing = "neither docker compose nor docker-compose is installed"
	case !engineAnswers(t.Context()):
		missing = "no Docker engine answers (deploy/ci-dockerd.sh starts one)"
	}
	if missing != "" {
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}

	var suffix [4]byte
	_, _ = rand.Read(suffix[:]) // never fails
	project := "etude-test-" + hex.EncodeToString(suffix[:])
	s := &stack{t: t, compose: compose, project: project, image: project + ":latest"}
	s.env = append(os.Environ(), "ETUDE_IMAGE="+s.image, "ETUDE_MOCK_REDIS=0", "ETUDE_MOCK_DATABASE=0", "ETUDE_HEALTH_INTERVAL=1s")
	for _, name := range []string{
		"EDGE", "DASHBOARD", "USERVICE1", "USERVICE2", "USERVICE3", "USERVICE4",
		"PAGE", "API", "OTLP_GRPC", "OTLP_HTTP", "JAEGER", "ZIPKIN", "PROMETHEUS", "GRAFANA",
	} {
		s.env = append(s.env, "ETUDE_PORT_"+name+"=0")
	}
	return s
}

func engineAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

// buildImage wraps a binary built on the host, as deploy/prebuilt.Dockerfile describes.
func (s *stack) buildImage() {
	s.t.Helper()
	folder := s.t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "data"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 8*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(folder, "etude"), ".")
	build.Dir = repository
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		s.t.Fatalf("build etude: %v\n%s", err, output)
	}
	// The classic builder is in every engine; BuildKit needs a plug-in that Debian leaves out.
	s.env = append(s.env, "DOCKER_BUILDKIT=0")
	s.t.Cleanup(func() { s.cleanUp("docker", "image", "rm", "-f", s.image) })
	s.run(ctx, "docker", "build", "-q", "-f", "deploy/prebuilt.Dockerfile", "-t", s.image, folder)
}

// up starts the containers and returns when those that others wait for are healthy.
func (s *stack) up(ctx context.Context) {
	s.t.Helper()
	s.t.Cleanup(func() { s.cleanUp(s.composed("down", "--volumes", "--remove-orphans", "--timeout", "3")...) })
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.cleanUp(s.composed("ps")...)
			s.cleanUp(s.composed("logs", "--no-color", "--tail", "30")...)
		}
	})
	s.run(ctx, s.composed("up", "-d", "--no-build")...)
}

// addresses says where the host reaches each published port, by "service:port". It asks the engine
// itself: docker-compose takes half a second to start before it does anything.
func (s *stack) addresses(ctx context.Context) map[string]string {
	s.t.Helper()
	addresses := map[string]string{}
	lines := s.run(ctx, "docker", "ps", "--filter", s.label(),
		"--format", `{{.Label "com.docker.compose.service"}} {{.Ports}}`)
	for line := range strings.Lines(lines) {
		service, ports, _ := strings.Cut(strings.TrimSpace(line), " ")
		for port := range strings.SplitSeq(ports, ", ") {
			outside, inside, ok := strings.Cut(port, "->")
			if !ok {
				continue
			}
			if !strings.HasPrefix(outside, "127.0.0.1:") {
				s.t.Errorf("%s publishes %s beyond 127.0.0.1", service, port)
			}
			addresses[service+":"+strings.TrimSuffix(inside, "/tcp")] = outside
		}
	}
	return addresses
}

// stopsCleanly asks every part to stop and expects each to leave with status 0: an exit by signal
// would mean spans that were never flushed.
func (s *stack) stopsCleanly(ctx context.Context) {
	s.t.Helper()
	ids := strings.Fields(s.run(ctx, "docker", "ps", "-q", "--filter", s.label()))
	s.run(ctx, append([]string{"docker", "stop", "-t", "5"}, ids...)...)
	format := `{{index .Config.Labels "com.docker.compose.service"}} {{.Config.User}} {{.State.ExitCode}}`
	lines := strings.Split(strings.TrimSpace(s.run(ctx, append([]string{"docker", "inspect", "--format", format}, ids...)...)), "\n")
	slices.Sort(lines)
	var want []string
	for _, service := range []string{"backend", "edge", "uservice1", "uservice2", "uservice3", "uservice4"} {
		want = append(want, service+" 65532:65532 0")
	}
	if !slices.Equal(lines, want) {
		s.t.Errorf("service, user and exit status:\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func (s *stack) label() string { return "label=com.docker.compose.project=" + s.project }

func (s *stack) composed(arguments ...string) []string {
	return slices.Concat(s.compose, []string{"-f", "compose.etude.yaml", "-p", s.project}, arguments)
}

func (s *stack) run(ctx context.Context, arguments ...string) string {
	s.t.Helper()
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	command.Dir, command.Env = repository, s.env
	var errors strings.Builder
	command.Stderr = &errors
	began := time.Now()
	output, err := command.Output()
	s.t.Logf("%v: %.100s", time.Since(began).Round(time.Millisecond), strings.Join(arguments, " "))
	if err != nil {
		s.t.Fatalf("%s: %v\n%s%s", strings.Join(arguments, " "), err, output, errors.String())
	}
	return string(output)
}

// cleanUp runs after the test's own context has ended, so it brings one of its own.
func (s *stack) cleanUp(arguments ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	command.Dir, command.Env = repository, s.env
	output, err := command.CombinedOutput()
	if err != nil || s.t.Failed() {
		s.t.Logf("%s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

// poll repeats an attempt until it succeeds; the context is the deadline.
func poll[T any](ctx context.Context, t *testing.T, what string, attempt func() (T, error)) T {
	t.Helper()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		value, err := attempt()
		if err == nil {
			return value
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no %s: %v", what, err)
		case <-pause.C:
		}
	}
}

func get(ctx context.Context, address, host string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", address, response.Status, body)
	}
	return string(body), err
}

// traceJSON is a trace as Tempo's first API version answers it; ids are base64 text.
type traceJSON struct {
	Batches []struct {
		Resource struct {
			Attributes []struct {
				Key   string
				Value struct{ StringValue string }
			}
		}
		ScopeSpans []struct {
			Spans []struct{ SpanID, ParentSpanID, Name string }
		}
	}
}

// newestChain looks for a trace by service, opens it by id and lists its spans as "service: name",
// each followed by its child. Spans that have siblings or lost their parent break the chain and
// are left out.
func newestChain(ctx context.Context, api, service string) ([]string, error) {
	var found struct{ Traces []struct{ TraceID string } }
	query := url.Values{"tags": {"service.name=" + service}, "limit": {"1"}}
	if err := getJSON(ctx, "http://"+api+"/api/search?"+query.Encode(), &found); err != nil {
		return nil, err
	}
	if len(found.Traces) == 0 {
		return nil, fmt.Errorf("no trace with service %s", service)
	}
	var trace traceJSON
	if err := getJSON(ctx, "http://"+api+"/api/traces/"+found.Traces[0].TraceID, &trace); err != nil {
		return nil, err
	}

	type child struct{ id, name string }
	children := map[string][]child{}
	for _, batch := range trace.Batches {
		var name string
		for _, attribute := range batch.Resource.Attributes {
			if attribute.Key == "service.name" {
				name = attribute.Value.StringValue
			}
		}
		for _, scope := range batch.ScopeSpans {
			for _, span := range scope.Spans {
				children[span.ParentSpanID] = append(children[span.ParentSpanID], child{span.SpanID, name + ": " + span.Name})
			}
		}
	}
	var chain []string
	for next := children[""]; len(next) == 1; next = children[next[0].id] {
		chain = append(chain, next[0].name)
	}
	return chain, nil
}

func getJSON(ctx context.Context, address string, into any) error {
	body, err := get(ctx, address, "")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), into)
}
