package program

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"etude/program/listen"
)

func TestStopLosesNoSpan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startDemo(t, "--data-dir", dir)
	const requests = 20
	for range requests {
		d.through("uservice3.localhost")
	}
	d.interrupt()
	checkTraces(t, dir, requests)
}

// TestStopWithRequestsInFlight stops while requests wait for the database: they
// are cut short, and their spans tell so.
func TestStopWithRequestsInFlight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startSlowDemo(t, "1h", "--data-dir", dir)
	const requests = 5
	for range requests {
		go func() {
			req, _ := http.NewRequest(http.MethodGet, d.url(listen.PortEdge, "/"), nil)
			req.Host = "uservice3.localhost"
			if resp, err := visitor.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
	}
	eventually(t, "all requests reach the database", func() error {
		if n := strings.Count(d.out.String(), "uservice4 | Request:"); n != requests {
			return fmt.Errorf("%d of %d", n, requests)
		}
		return nil
	})
	d.interrupt()
	checkTraces(t, dir, requests)
}

// interrupt presses Ctrl-C and waits for a clean end. Clean means that no part had
// to be killed: each stopped within the grace that up gives it.
func (d *demo) interrupt() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		d.t.Fatal(err)
	}
	status := d.ended()
	if status != 0 || !strings.Contains(d.out.String(), "Stopped cleanly") {
		d.t.Errorf("exit status %d, and not a clean stop", status)
	}
}

// checkTraces opens the data of a demo that has stopped: as many traces as there
// were requests, each with all its spans.
func checkTraces(t *testing.T, dir string, requests int) {
	t.Helper()
	b := startBackend(t, dir)
	ids := search(t, b.api, "limit=100")
	if len(ids) != requests {
		t.Errorf("%d traces after the stop, want %d", len(ids), requests)
	}
	for _, id := range ids {
		if n := spansOf(traceByID(t, b.api, id)); n != 7 {
			t.Errorf("trace %s has %d spans, want 7", id, n)
		}
	}
}

func TestUpStopsWhenAPartDies(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	d.killPart("uservice4")
	if status := d.ended(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if out := d.out.String(); !strings.Contains(out, "uservice4 has died (signal: killed)") {
		t.Error("it does not name uservice4")
	}
}

func TestKeepGoing(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--keep-going")
	d.killPart("uservice4")
	d.says("uservice4 has died")
	req, _ := http.NewRequest(http.MethodGet, d.url(listen.PortEdge, "/"), nil)
	req.Host = "uservice3.localhost"
	if status, body := do(t, req); status != http.StatusBadGateway {
		t.Errorf("uservice3 without uservice4 answers %d %q, want 502", status, body)
	}
	id := d.findTrace(t, "uservice3", 5)
	if !strings.Contains(strings.Join(describeTrace(traceByID(t, d.url(listen.PortAPI, ""), id)), "\n"), "event exception") {
		t.Error("no span of uservice3 carries the exception")
	}
}

// killPart kills a part of the demo, found by its command line.
func (d *demo) killPart(name string) {
	d.t.Helper()
	pid := d.partPid(name)
	p, err := os.FindProcess(pid)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		d.t.Fatal(err)
	}
}

// partPid learns a service's process id as a learner would: from its spans.
func (d *demo) partPid(service string) int {
	d.t.Helper()
	host := map[string]string{"uservice4": "uservice3.localhost"}[service]
	d.through(host)
	id := d.findTrace(d.t, service, 7)
	for _, rs := range traceByID(d.t, d.url(listen.PortAPI, ""), id).ResourceSpans {
		if attr(rs.Resource.Attributes, "service.name") == service {
			pid, err := strconv.Atoi(attr(rs.Resource.Attributes, "process.pid"))
			if err != nil {
				d.t.Fatal(err)
			}
			return pid
		}
	}
	d.t.Fatalf("no resource of %s", service)
	return 0
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	offset := freeOffset(t)
	l, err := net.Listen("tcp", listen.Loopback(listen.PortAPI+offset))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := start(t, nil, "up", "--port-offset", fmt.Sprint(offset), "--data-dir", t.TempDir())
	if status := p.ended(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	want := fmt.Sprintf(`address 127.0.0.1:%d \(--api-addr\) is in use by .*\n.*move all ports with --port-offset`, listen.PortAPI+offset)
	if out := p.out.String(); !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("it says %q, want %s", out, want)
	}
}

func TestEdgeFallsBack(t *testing.T) {
	t.Parallel()
	offset := freeOffset(t)
	l, err := net.Listen("tcp", listen.Loopback(listen.PortEdge+offset))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := start(t, nil, "up", "--port-offset", fmt.Sprint(offset), "--data-dir", t.TempDir())
	p.says(fmt.Sprintf("The edge listens on port %d: address 127.0.0.1:%d (--edge-addr) is in use by", listen.PortEdgeFallback+offset, listen.PortEdge+offset))
	p.says(fmt.Sprintf("http://uservice3.localhost:%d/", listen.PortEdgeFallback+offset))
}

func TestTwoSideBySide(t *testing.T) {
	t.Parallel()
	one, two := startDemo(t), startDemo(t)
	one.through("uservice3.localhost")
	one.findTrace(t, "uservice4", 7)
	if ids := search(t, two.url(listen.PortAPI, ""), "limit=10"); len(ids) != 0 {
		t.Errorf("the second demo has traces of the first: %v", ids)
	}
}

func TestDataDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startBackend(t, dir)
	p := start(t, nil, "backend", "--data-dir", dir, "--port-offset", fmt.Sprint(freeOffset(t)))
	if status := p.ended(); status != 1 || !strings.Contains(p.out.String(), dir) {
		t.Errorf("a second backend on one directory: exit status %d, %s", status, p.out)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := start(t, nil, "load", "--port-offset", fmt.Sprint(d.offset), "--count", "30", "--rate", "300")
	if status := p.ended(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, want := range []string{"30 sent", "30 answered", "p99"} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, p.out)
		}
	}
	eventually(t, "all 30 traces", func() error {
		if n := len(search(t, d.url(listen.PortAPI, ""), "limit=100")); n != 30 {
			return fmt.Errorf("%d traces", n)
		}
		return nil
	})
	dead := start(t, nil, "load", "http://127.0.0.1:1/", "--count", "3", "--rate", "300")
	if status := dead.ended(); status != 1 || !strings.Contains(dead.out.String(), "3 failed") {
		t.Errorf("load against a dead port: exit status %d\n%s", status, dead.out)
	}
}
