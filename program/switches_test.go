package program

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"etude/program/access"
	"etude/program/listen"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// late is how much the skewed clock is.
const late = 700 * time.Millisecond

// switches are the names of all that there are.
func (d *demo) switches() (names []string) {
	d.t.Helper()
	_, answer := d.ask("GET", "/api/etude/switches", "")
	var states struct{ Switches []struct{ Name string } }
	if err := json.Unmarshal([]byte(answer), &states); err != nil || len(states.Switches) < 10 {
		d.t.Fatalf("the switches: %v in %s", err, answer)
	}
	for _, s := range states.Switches {
		names = append(names, s.Name)
	}
	return names
}

// turn sets the switches that are on, and checks that the page says so.
func (d *demo) turn(names ...string) {
	d.t.Helper()
	body, _ := json.Marshal(map[string][]string{"on": append([]string{}, names...)})
	status, answer := d.ask("POST", "/api/etude/switches", string(body))
	var states struct {
		Switches []struct {
			Name string
			On   bool
		}
	}
	if err := json.Unmarshal([]byte(answer), &states); err != nil || status != http.StatusOK {
		d.t.Fatalf("turn on %v: %d %s", names, status, answer)
	}
	var on []string
	for _, s := range states.Switches {
		if s.On {
			on = append(on, s.Name)
		}
	}
	slices.Sort(names)
	slices.Sort(on)
	if !slices.Equal(on, names) {
		d.t.Errorf("%v are on, want %v", on, names)
	}
}

// request sends one through the edge to uservice3 and returns the status.
func (d *demo) request() int {
	d.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, d.url(listen.PortEdge, "/"), nil)
	req.Host = "uservice3.localhost"
	status, _ := do(d.t, req)
	return status
}

// newTraces waits until the traces that known does not hold have so many spans
// each, and returns them. known holds them afterwards.
func (d *demo) newTraces(known map[string]bool, spans ...int) (found []*tracepb.TracesData) {
	d.t.Helper()
	api := d.url(listen.PortAPI, "")
	slices.Sort(spans)
	var fresh []string
	eventually(d.t, fmt.Sprintf("new traces of %v spans", spans), func() error {
		found, fresh = nil, nil
		var counts []int
		for _, id := range search(d.t, api, "limit=100&q="+url.QueryEscape(`{}`)) {
			if known[id] {
				continue
			}
			data := traceByID(d.t, api, id)
			found, fresh, counts = append(found, data), append(fresh, id), append(counts, spansOf(data))
		}
		slices.Sort(counts)
		if !slices.Equal(counts, spans) {
			return fmt.Errorf("they have %v", counts)
		}
		return nil
	})
	for _, id := range fresh {
		known[id] = true
	}
	return found
}

// spanOf finds the span of a service by its name.
func spanOf(t *testing.T, data *tracepb.TracesData, service, name string) *tracepb.Span {
	t.Helper()
	for _, rs := range data.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				if attr(rs.Resource.Attributes, "service.name") == service && s.Name == name {
					return s
				}
			}
		}
	}
	t.Fatalf("no span %s of %s", name, service)
	return nil
}

func took(s *tracepb.Span) time.Duration {
	return time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano)
}

// TestSwitches holds every switch to what it says that will be seen, one after
// the other in one demo, and the demo to being as before when all are put back.
func TestSwitches(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	known := map[string]bool{}
	tested := map[string]bool{}
	for _, tt := range []struct {
		name   string
		status int
		spans  []int
		check  func(t *testing.T, traces []*tracepb.TracesData)
	}{
		{"slow-redis", 200, []int{7}, func(t *testing.T, traces []*tracepb.TracesData) {
			redis, call := spanOf(t, traces[0], "uservice3", "redis_call"), spanOf(t, traces[0], "uservice3", "other_uservice_call")
			if own := took(redis) - took(call); own < 1500*time.Millisecond {
				t.Errorf("redis_call has %s of its own", own)
			}
		}},
		{"slow-database", 200, []int{7}, func(t *testing.T, traces []*tracepb.TracesData) {
			if own := took(spanOf(t, traces[0], "uservice4", "database_call")); own < 3*time.Second {
				t.Errorf("database_call takes %s", own)
			}
		}},
		{"failing-database", 502, []int{7}, checkFailure},
		{"propagation-broken", 200, []int{2, 3, 2}, nil},
		{"other-header", 200, []int{5, 2}, nil},
		{"spans-dropped", 200, []int{4}, func(t *testing.T, traces []*tracepb.TracesData) {
			orphan, forward := spanOf(t, traces[0], "uservice4", "handle_incoming_call"), spanOf(t, traces[0], "edge", "forward uservice3/uservice3@file")
			if len(orphan.ParentSpanId) == 0 || slices.Equal(orphan.ParentSpanId, forward.SpanId) {
				t.Errorf("the parent of uservice4's span is %x, want one that is not there", orphan.ParentSpanId)
			}
		}},
		{"clock-skewed", 200, []int{7}, func(t *testing.T, traces []*tracepb.TracesData) {
			call, answer := spanOf(t, traces[0], "uservice3", "other_uservice_call"), spanOf(t, traces[0], "uservice4", "handle_incoming_call")
			if early := time.Duration(call.StartTimeUnixNano - answer.StartTimeUnixNano); early < late/2 || early > late {
				t.Errorf("uservice4 begins %s before it is called, want up to %s", early, late)
			}
		}},
	} {
		tested[tt.name] = true
		d.turn(tt.name)
		if status := d.request(); status != tt.status {
			t.Errorf("%s: the request is answered with %d, want %d", tt.name, status, tt.status)
		}
		traces := d.newTraces(known, tt.spans...)
		if tt.check != nil {
			t.Run(tt.name, func(t *testing.T) { tt.check(t, traces) })
		}
	}
	for name, test := range map[string]func(*testing.T, *demo, map[string]bool){
		"half-sampled": halfSampled, "two-replicas": twoReplicas, "batch-processor": batchProcessor,
	} {
		tested[name] = true
		d.turn(name)
		t.Run(name, func(t *testing.T) { test(t, d, known) })
	}
	for _, name := range d.switches() {
		if !tested[name] {
			t.Errorf("the switch %s is not tested", name)
		}
	}
	d.turn()
	d.through("uservice3.localhost")
	compareSpans(t, describeTrace(d.newTraces(known, 7)[0]), wantSeven)
	d.interrupt()
}

// checkFailure finds the first error at the bottom, and those that pass it on.
func checkFailure(t *testing.T, traces []*tracepb.TracesData) {
	var red []string
	for _, line := range describeTrace(traces[0]) {
		if strings.Contains(line, ", ERROR ") {
			red = append(red, line)
		}
	}
	if len(red) != 5 || !strings.Contains(red[4], `uservice4: handle_incoming_call SERVER, scope "uservice4", ERROR "context canceled"`) {
		t.Errorf("red are:\n%s", strings.Join(red, "\n"))
	}
	call, cause := spanOf(t, traces[0], "uservice3", "other_uservice_call"), spanOf(t, traces[0], "uservice4", "database_call")
	if took(cause) < 400*time.Millisecond || len(call.Events) != 1 || call.Events[0].Name != "exception" {
		t.Errorf("database_call takes %s, and the call has the events %v", took(cause), call.Events)
	}
}

// halfSampled sends requests until both fates have been seen, and then counts.
func halfSampled(t *testing.T, d *demo, known map[string]bool) {
	var kept []int
	const requests = 24 // all even or all odd: once in eight million runs
	for range requests {
		d.through("uservice3.localhost")
	}
	// Spans that are left out show nowhere. The parts send what they have when they are
	// replaced, and one more request shows that all of them are back.
	d.turn()
	d.through("uservice3.localhost")
	api := d.url(listen.PortAPI, "")
	eventually(t, "half of the traces, and one more", func() error {
		kept = nil
		for _, id := range search(t, api, "limit=100&q="+url.QueryEscape(`{}`)) {
			if !known[id] {
				kept = append(kept, spansOf(traceByID(t, api, id)))
			}
		}
		if len(kept) == 0 || slices.ContainsFunc(kept, func(n int) bool { return n != 7 }) {
			return fmt.Errorf("traces of %v spans", kept)
		}
		return nil
	})
	if len(kept) < 2 || len(kept) > requests {
		t.Errorf("%d traces of %d requests, and one more, are there; want about half", len(kept), requests)
	}
	for _, id := range search(t, api, "limit=100&q="+url.QueryEscape(`{}`)) {
		known[id] = true
	}
}

// twoReplicas looks at the instances that answer.
func twoReplicas(t *testing.T, d *demo, known map[string]bool) {
	const requests = 4
	for range requests {
		d.through("uservice3.localhost")
	}
	instances, pids := map[string]int{}, map[string]bool{}
	for _, data := range d.newTraces(known, 7, 7, 7, 7) {
		for _, rs := range data.ResourceSpans {
			if attr(rs.Resource.Attributes, "service.name") == "uservice3" {
				instances[attr(rs.Resource.Attributes, "service.instance.id")]++
				pids[attr(rs.Resource.Attributes, "process.pid")] = true
			}
		}
	}
	if want := []string{"1", "2"}; !slices.Equal(slices.Sorted(maps.Keys(instances)), want) || len(pids) != 2 {
		t.Errorf("answers by the instances %v in %d processes, want %v in two", instances, len(pids), want)
	}
}

// batchProcessor finds the trace without the services' spans first.
func batchProcessor(t *testing.T, d *demo, known map[string]bool) {
	d.through("uservice3.localhost")
	api := d.url(listen.PortAPI, "")
	eventually(t, "the spans of the edge", func() error {
		for _, id := range search(t, api, "limit=100&q="+url.QueryEscape(`{}`)) {
			if n := spansOf(traceByID(t, api, id)); !known[id] && n == 2 {
				return nil
			}
		}
		return fmt.Errorf("no new trace with two spans")
	})
	d.newTraces(known, 7)
}

func TestSwitchAtTheStart(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--switch", "spans-dropped", "--switch", "two-replicas")
	d.says("Switched on, spans-dropped: The spans of uservice3 are made and never sent")
	d.through("uservice3.localhost")
	d.newTraces(map[string]bool{}, 4)
	d.turn("slow-redis", "clock-skewed", "half-sampled") // several at a time, two of them on the way of spans
	d.turn()
	d.interrupt()
}

func TestSwitchRefusals(t *testing.T) {
	t.Parallel()
	help := start(t, nil, "up", "--switch", "help")
	if status := help.ended(); status != 0 {
		t.Errorf("--switch help: exit status %d", status)
	}
	if n := strings.Count(help.out.String(), "\n  --switch "); n < 10 {
		t.Errorf("--switch help has %d switches: %s", n, help.out)
	}
	unknown := start(t, nil, "up", "--switch", "slow", "--port-offset", fmt.Sprint(freeOffset(t)), "--data-dir", t.TempDir())
	if status := unknown.ended(); status != 1 || !strings.Contains(unknown.out.String(), `no switch is called "slow": want some of slow-redis, `) {
		t.Errorf("an unknown switch: exit status %d, %s", status, unknown.out)
	}
	d := startDemo(t, "--edge-config", "../conf/traefik/dynamic.yaml")
	for _, tt := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"on":["slow-redis","fast-redis"]}`, 400, `no switch is called "fast-redis"`},
		{`{"off":["slow-redis"]}`, 400, "unknown field"},
		{`{"on":["two-replicas"]}`, 409, "--edge-config has others"},
	} {
		if status, body := d.ask("POST", "/api/etude/switches", tt.body); status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %s, want %d %s", tt.body, status, body, tt.status, tt.says)
		}
	}
	if status, body := d.ask("POST", "/api/etude/switches", `{"on":[]}`, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); status != 403 {
		t.Errorf("another site's page may switch: %d %s", status, body)
	}
	d.turn() // and everything still runs
	d.through("uservice3.localhost")
}

// TestSwitchesBehindDoors: where listeners speak TLS and want tokens, and spans
// have a tenant, what stands in between has them too.
func TestSwitchesBehindDoors(t *testing.T) {
	t.Parallel()
	flags, trust := secured(t)
	d := startDemo(t, append(flags, "--multitenancy", "--tls-listeners", "all", "--tls-listeners", "edge")...)
	reader := &http.Client{Transport: access.Authorized{RoundTripper: &http.Transport{TLSClientConfig: trust}, Header: "Bearer " + readToken}}
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	at := fmt.Sprintf("https://localhost:%d", listen.PortPage+d.offset)
	post := func(client *http.Client, path, body string) (int, string) {
		t.Helper()
		resp, err := client.Post(at+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	walk := func() {
		t.Helper()
		if status, body := post(reader, "/api/etude/walk", `{"service":"uservice3","id":"a"}`); status != 200 || !strings.Contains(body, `"status":200`) {
			t.Fatalf("a request through the edge: %d %s", status, body)
		}
	}
	whole := func() int {
		q := url.QueryEscape(`{ resource.service.name = "edge" } && { resource.service.name = "uservice4" }`)
		return strings.Count(fetch(t, reader, at+"/api/search?limit=100&q="+q), `"traceID"`)
	}
	if status, body := post(stranger, "/api/etude/switches", `{"on":[]}`); status != 401 {
		t.Errorf("without a token: %d %s", status, body)
	}
	walk()
	for _, name := range []string{"clock-skewed", "half-sampled"} {
		var before int
		eventually(t, "the trace before "+name, func() error {
			if before = whole(); before == 0 {
				return fmt.Errorf("there is none")
			}
			return nil
		})
		if status, body := post(reader, "/api/etude/switches", `{"on":["`+name+`"]}`); status != 200 {
			t.Fatalf("turn on %s: %d %s", name, status, body)
		}
		for range 20 { // with half sampled, none is there once in a million runs
			walk()
		}
		eventually(t, "a trace with "+name, func() error {
			if n := whole(); n <= before {
				return fmt.Errorf("%d traces, as before", n)
			}
			return nil
		})
	}
	d.interrupt()
}
