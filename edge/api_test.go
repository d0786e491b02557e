package edge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	built "etude/page"
)

func decode(t *testing.T, address, path string, into any) {
	t.Helper()
	status, body := get(t, address, "", path)
	if status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	var config strings.Builder
	config.WriteString("http:\n  services:\n    s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}\n  routers:\n")
	for i := range 5 {
		fmt.Fprintf(&config, "    r%d: {rule: 'Path(`/%d`)', service: s}\n", i, i)
	}
	config.WriteString("    lost: {rule: 'Path(`/lost`)', service: s, entryPoints: [websecure]}\n")
	e := start(t, Options{ConfigText: []byte(config.String()), Version: "1.2.3"})

	var router map[string]any
	decode(t, e.dashboard, "/api/http/routers/r3@file", &router)
	if got, want := fmt.Sprint(router), "map[entryPoints:[web] name:r3@file priority:10 provider:file rule:Path(`/3`) service:s status:enabled using:[web]]"; got != want {
		t.Errorf("router:\n got %s\nwant %s", got, want)
	}
	var service map[string]any
	decode(t, e.dashboard, "/api/http/services/s@file", &service)
	want := "map[loadBalancer:map[passHostHeader:true responseForwarding:map[flushInterval:100ms] servers:[map[url:http://127.0.0.1:1]]] name:s@file provider:file " +
		"serverStatus:map[http://127.0.0.1:1:UP] status:enabled type:loadbalancer usedBy:[lost@file r0@file r1@file r2@file r3@file r4@file]]"
	if got := fmt.Sprint(service); got != want {
		t.Errorf("service:\n got %s\nwant %s", got, want)
	}
	var entry struct{ Name, Address string }
	decode(t, e.dashboard, "/api/entrypoints/web", &entry)
	if entry.Name != "web" || entry.Address != e.web {
		t.Errorf("entry point %+v", entry)
	}
	var version struct{ Version string }
	decode(t, e.dashboard, "/api/version", &version)
	if version.Version != "1.2.3" {
		t.Errorf("version %+v", version)
	}
	var overview struct {
		HTTP     map[string]countView
		Features map[string]any
	}
	decode(t, e.dashboard, "/api/overview", &overview)
	if overview.HTTP["routers"] != (countView{Total: 6, Errors: 1}) || overview.HTTP["services"].Total != 1 {
		t.Errorf("overview %+v", overview)
	}
	var raw struct{ Routers, Services map[string]any }
	decode(t, e.dashboard, "/api/rawdata", &raw)
	if len(raw.Routers) != 6 || raw.Services["s@file"] == nil {
		t.Errorf("raw data %+v", raw)
	}
	for query, want := range map[string]string{
		"":                     "lost@file r0@file r1@file r2@file r3@file r4@file",
		"?search=R1":           "r1@file",
		"?search=/4":           "r4@file",
		"?status=disabled":     "lost@file",
		"?per_page=4&page=2":   "r3@file r4@file",
		"?per_page=3&page=2":   "r2@file r3@file r4@file",
		"?search=nothing":      "",
		"?per_page=100&page=1": "lost@file r0@file r1@file r2@file r3@file r4@file",
	} {
		var list []struct{ Name string }
		decode(t, e.dashboard, "/api/http/routers"+query, &list)
		var names []string
		for _, r := range list {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("routers%s: %s, want %s", query, got, want)
		}
	}
	for path, want := range map[string]int{
		"/api/http/routers/none": 404, "/api/http/services/none": 404, "/api/none": 404, "/none": 404,
		"/api/http/routers?page=9": 400, "/api/http/routers?page=x": 400, "/api/http/routers?per_page=0": 400,
	} {
		if status, body := get(t, e.dashboard, "", path); status != want || !strings.Contains(body, `"message":`) {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
	resp, err := visitor.Post("http://"+e.dashboard+"/api/rawdata", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", resp.StatusCode)
	}
}

func TestDashboardPages(t *testing.T) {
	t.Parallel()
	e := start(t, Options{ConfigText: configFor(everything), Dashboard: built.EdgeDashboard(DashboardPath)})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"/", "/dashboard"} {
		resp, err := client.Get("http://" + e.dashboard + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/dashboard/" {
			t.Errorf("%s: %d to %s", path, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	if _, body := get(t, e.dashboard, "", "/ping"); body != "OK" {
		t.Errorf("ping: %q", body)
	}
	_, index := get(t, e.dashboard, "", "/dashboard/")
	kinds := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "": "text/html"}
	seen := map[string]bool{}
	for _, name := range append([][]string{{"", ""}}, regexp.MustCompile(`="\./([^"]+)"`).FindAllStringSubmatch(index, -1)...) {
		path, kind := name[1], kinds[filepath.Ext(name[1])]
		seen[kind] = true
		resp, err := client.Get("http://" + e.dashboard + "/dashboard/" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || kind == "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), kind) {
			t.Errorf("%q: status %d, type %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%q has no content policy", path)
		}
		if kind == "image/svg+xml" && string(body) != string(icon) {
			t.Errorf("%q is another icon than the edge's own", path)
		}
		// Svelte's messages of errors name pages of its site; a browser shows them and asks nothing.
		if text := strings.ReplaceAll(string(body), "https://svelte.dev/e/", ""); kind != "image/svg+xml" && strings.Contains(text, "https://") {
			t.Errorf("%q names another site", path)
		}
	}
	if len(seen) != len(kinds) {
		t.Errorf("the dashboard has files of the kinds %v, want all of %v", seen, kinds)
	}
}

// TestNoDashboard: an edge without one has its API.
func TestNoDashboard(t *testing.T) {
	t.Parallel()
	e := start(t, Options{ConfigText: configFor(everything)})
	for path, want := range map[string]int{"/": http.StatusNotFound, "/dashboard/": http.StatusNotFound, "/api/overview": http.StatusOK} {
		if status, body := get(t, e.dashboard, "", path); status != want {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	release, arrived := make(chan struct{}), make(chan struct{})
	service := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			close(arrived)
			<-release
		case "/fail":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	e := start(t, Options{ConfigText: configFor("Host(`a`)", service.URL)})
	for _, path := range []string{"/", "/", "/fail"} {
		get(t, e.web, "a", path)
	}
	get(t, e.web, "unknown", "/")
	waiting, err := http.NewRequest(http.MethodGet, "http://"+e.web+"/wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	waiting.Host = "a"
	go func() {
		if resp, err := visitor.Do(waiting); err == nil {
			resp.Body.Close()
		}
	}()
	<-arrived
	var v statsView
	// The last count of a request comes after its answer.
	eventually(t, func() bool {
		v = statsView{}
		decode(t, e.dashboard, "/api/stats", &v)
		return v.EntryPoints["web"].Requests == 4
	})
	close(release)
	web, router, s := v.EntryPoints["web"], v.Routers["all@file"], v.Services["s@file"]
	if web.StatusClasses["2xx"] != 2 || web.StatusClasses["4xx"] != 1 || web.StatusClasses["5xx"] != 1 || web.InFlight != 1 {
		t.Errorf("entry point %+v", web)
	}
	if router.Requests != 3 || s.Requests != 3 || router.InFlight != 1 || s.StatusClasses["5xx"] != 1 {
		t.Errorf("router %+v, service %+v", router, s)
	}
	if m := router.LastMinute; m.Requests != 3 || m.Errors != 1 || m.Latency.Max <= 0 || m.Latency.P50 > m.Latency.P99 {
		t.Errorf("last minute %+v", m)
	}
	if v.Tracing.Exporter != "none" || v.Config.Warnings == nil {
		t.Errorf("tracing %+v, configuration %+v", v.Tracing, v.Config)
	}
}

func TestTrafficForgetsAfterAMinute(t *testing.T) {
	t.Parallel()
	tr := newTraffic()
	at := time.Unix(1_000_000, 0)
	for i := range 120 {
		tr.begin()
		tr.end(at.Add(time.Duration(i)*time.Second), labels{200, "GET", "http"}, 1, time.Millisecond)
	}
	now := at.Add(119 * time.Second)
	if v := tr.view(now, time.Hour); v.Requests != 120 || v.LastMinute.Requests != 60 || v.LastMinute.PerSecond[0] != 1 {
		t.Errorf("%+v", v)
	}
	if v := tr.view(now.Add(time.Hour), time.Hour); v.Requests != 120 || v.LastMinute.Requests != 0 || v.LastMinute.Latency.Max != 0 {
		t.Errorf("an hour later: %+v", v.LastMinute)
	}
}

// TestRatesOfAYoungEdge: rates are over the time that the edge has been running,
// and counts are beside them.
func TestRatesOfAYoungEdge(t *testing.T) {
	t.Parallel()
	tr := newTraffic()
	start := time.Unix(1_000_000, 0)
	for i := range 20 {
		tr.begin()
		tr.end(start.Add(time.Duration(i)*time.Second/2), labels{200, "GET", "http"}, 1, time.Millisecond)
	}
	for age, want := range map[time.Duration]float64{10 * time.Second: 2, 20 * time.Second: 1, time.Hour: 20. / 60} {
		if m := tr.view(start.Add(10*time.Second), age).LastMinute; m.Rate != want || m.Requests != 20 || m.Latency.Count != 20 {
			t.Errorf("%v after the start: %v requests a second, %d requests; want %v", age, m.Rate, m.Requests, want)
		}
	}
}

// TestDashboardQuantiles: within 5 % of the truth, and not above the maximum, for
// latencies such as the demo's.
func TestDashboardQuantiles(t *testing.T) {
	t.Parallel()
	tr, now := newTraffic(), time.Unix(1_000_000, 0)
	var all []float64
	for i := range 300 {
		ms := 1100 + float64((i*7919)%300)*4.4
		all = append(all, ms)
		tr.begin()
		tr.end(now, labels{200, "GET", "http"}, 1, time.Duration(ms*float64(time.Millisecond)))
	}
	slices.Sort(all)
	v := tr.view(now, time.Minute)
	for _, l := range []latencyView{v.Latency, v.LastMinute.Latency} {
		for q, got := range map[float64]float64{0.5: l.P50, 0.9: l.P90, 0.95: l.P95, 0.99: l.P99, 1: l.Max} {
			want := all[int(q*300)-1]
			if got < want*0.95 || got > want*1.05 || got > all[299] {
				t.Errorf("quantile %v is %v ms, want %v, at most %v", q, got, want, all[299])
			}
		}
	}
}
