package program

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"etude/program/listen"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"etude/internal/testkit"
)

// asProgram makes the test binary be the program: the tests start it, and `up`
// starts its parts, by running this very file with other arguments.
const asProgram = "ETUDE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// process is the real program, running.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output collects what the program prints and can be read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs the program; it is killed when the test ends.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startWrapped(t, nil, env, args...)
}

// startWrapped lets another command run the program, if there is one.
func startWrapped(t *testing.T, wrap, env []string, args ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append(slices.Clone(wrap), append([]string{executable}, args...)...)
	p := &process{t: t, cmd: exec.Command(line[0], line[1:]...), out: &output{}, done: make(chan struct{})}
	// A binary with the race detector would sleep a second before it exits.
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1", "HOME="+t.TempDir(), "NO_PROXY=*", "GORACE=atexit_sleep_ms=0"), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		if len(args) > 0 && args[0] == "up" {
			p.askToStop()
		}
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", strings.Join(args, " "), p.out)
		}
	})
	return p
}

// askToStop ends the parts of `up` as well: after a kill they would write for a moment
// longer, into a directory that is being removed.
func (p *process) askToStop() {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		return
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	}
}

// says waits until the program has printed a text.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, "the program says "+text, func() error {
		if strings.Contains(p.out.String(), text) {
			return nil
		}
		select {
		case <-p.done:
			if strings.Contains(p.out.String(), text) {
				return nil
			}
			p.t.Fatalf("the program ended without saying %q:\n%s", text, p.out)
		default:
		}
		return fmt.Errorf("it says:\n%s", p.out)
	})
}

// ended waits for the program to end by itself and returns its exit status.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the program did not end:\n%s", p.out)
	}
	return p.cmd.ProcessState.ExitCode()
}

const patience = testkit.Patience

// eventually polls until f succeeds.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	testkit.Eventually(t, what, f)
}

// demo is the whole demo, running on free ports with mock latencies of 0.
type demo struct {
	*process
	offset int
}

// reserved are the ports that tests of this process use or are about to.
var reserved = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freeOffset finds a port offset at which every port of the demo is free, and
// keeps other tests away from those ports.
func freeOffset(t *testing.T) int {
	t.Helper()
	reserved.Lock()
	defer reserved.Unlock()
	for range 100 {
		offset := 1000 + rand.IntN(17000) // below the ports that systems hand out to clients
		ports := []int{listen.PortEdge, listen.PortEdgeFallback, listen.PortDashboard, listen.PortPage, listen.PortAPI, listen.PortOTLPGRPC, listen.PortOTLPHTTP, listen.PortJaeger, listen.PortJaegerGRPC, listen.PortZipkin, listen.PortPrometheus}
		for i := range services {
			ports = append(ports, listen.PortService1+i)
		}
		if !slices.ContainsFunc(ports, func(port int) bool {
			return reserved.ports[port+offset] || listen.CheckFree(listen.Localhost(port+offset), "x") != nil
		}) {
			for _, port := range ports {
				reserved.ports[port+offset] = true
			}
			t.Cleanup(func() { release(offset, ports) })
			return offset
		}
	}
	t.Fatal("found no free ports in 100 tries")
	return 0
}

func release(offset int, ports []int) {
	reserved.Lock()
	defer reserved.Unlock()
	for _, port := range ports {
		delete(reserved.ports, port+offset)
	}
}

func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	return startSlowDemo(t, "0", args...)
}

// startSlowDemo lets the mock database take its time.
func startSlowDemo(t *testing.T, database string, args ...string) *demo {
	t.Helper()
	offset := freeOffset(t)
	env := []string{"ETUDE_MOCK_REDIS=0", "ETUDE_MOCK_DATABASE=" + database}
	args = append([]string{"up", "--port-offset", fmt.Sprint(offset), "--data-dir", t.TempDir()}, args...)
	d := &demo{start(t, env, args...), offset}
	d.says("etude is ready")
	return d
}

// url is a URL at one of the demo's ports.
func (d *demo) url(port int, path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", port+d.offset, path)
}

// through sends a request through the edge and returns the answer's body.
func (d *demo) through(host string, header ...string) string {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodGet, d.url(listen.PortEdge, "/"), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Host = host
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	status, body := do(d.t, req)
	if status != http.StatusOK {
		d.t.Fatalf("GET %s through the edge: %d %s", host, status, body)
	}
	return body
}

// visitor is a client of these tests alone: the default one has its idle
// connections closed whenever a test server closes, also that of another test.
var visitor = &http.Client{Transport: &http.Transport{}}

func do(t *testing.T, req *http.Request) (status int, body string) {
	t.Helper()
	resp, err := visitor.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

// traceByID asks a backend for a trace.
func traceByID(t *testing.T, api, id string) *tracepb.TracesData {
	t.Helper()
	status, body := get(t, api+"/api/v2/traces/"+id)
	var answer struct{ Trace json.RawMessage }
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil {
		t.Fatalf("trace %s: %d %s", id, status, body)
	}
	data := &tracepb.TracesData{}
	if err := protojson.Unmarshal(answer.Trace, data); err != nil {
		t.Fatalf("trace %s: %v in %s", id, err, body)
	}
	return data
}

func spansOf(data *tracepb.TracesData) (n int) {
	for _, rs := range data.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			n += len(ss.Spans)
		}
	}
	return n
}

// search returns the trace ids that a search finds.
func search(t *testing.T, api, query string) (ids []string) {
	t.Helper()
	status, body := get(t, api+"/api/search?"+query)
	var answer struct{ Traces []struct{ TraceID string } }
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil {
		t.Fatalf("search %s: %d %s", query, status, body)
	}
	for _, found := range answer.Traces {
		ids = append(ids, found.TraceID)
	}
	return ids
}
