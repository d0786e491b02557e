package page

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestViewsAreTheIndex(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	index, err := dist.ReadFile("dist/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/explore", "/explore/", "/explore?orgId=1&left=%7B%7D", "/services", "/services/", "/services/a%2Fb", "/trace/771a728620b4bd35", "/index.html"} {
		r := get(t, h, path)
		if r.StatusCode != http.StatusOK || body(t, r) != string(index) {
			t.Errorf("%s: %s, not the index", path, r.Status)
		}
		if got := r.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control %q, want no-cache", path, got)
		}
		if got := r.Header.Get("Content-Security-Policy"); got != policy {
			t.Errorf("%s: Content-Security-Policy %q", path, got)
		}
	}
}

func TestOtherPathsAreNotFound(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	for _, path := range []string{"/nowhere", "/explore/more", "/services/a/b", "/trace/", "/trace/1/2", "/prometheus.html", "/prometheus/api/v1/query", "/assets/", "/assets/none.js", "/dist/index.html", "/api/search", "/favicon.ico"} {
		if r := get(t, h, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, r.Status)
		}
	}
	index, err := dist.ReadFile("dist/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/nowhere", "/assets/none.js"} {
		r := get(t, h, path, "Accept", "text/html,application/xhtml+xml,*/*;q=0.8", "If-None-Match", "*")
		if r.StatusCode != http.StatusNotFound || body(t, r) != string(index) || r.Header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s for a browser: %s, want 404 with the index", path, r.Status)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/explore", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /explore: %d, want 405", w.Code)
	}
}

func TestEveryFileIsServed(t *testing.T) {
	t.Parallel()
	handlers := map[string]http.Handler{indexName: Handler(Options{}), prometheusName: PrometheusUI(Info{}), edgeName: EdgeDashboard("/")}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		h := handlers[d.Name()]
		if h == nil {
			h = handlers[prometheusName]
		}
		want, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		r := get(t, h, strings.TrimPrefix(name, "dist"))
		if r.StatusCode != http.StatusOK || body(t, r) != string(want) {
			t.Errorf("%s: %s or other contents", name, r.Status)
		}
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/octet-stream") {
			t.Errorf("%s: no content type is known", name)
		}
		immutable := strings.Contains(r.Header.Get("Cache-Control"), "immutable")
		if immutable != strings.HasPrefix(name, "dist/assets/") {
			t.Errorf("%s: Cache-Control %q", name, r.Header.Get("Cache-Control"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGzipAndETag(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	plain := get(t, h, "/")
	packed := get(t, h, "/", "Accept-Encoding", "br, gzip;q=0.5")
	if packed.Header.Get("Content-Encoding") != "gzip" || packed.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Fatalf("headers of the gzip answer: %v", packed.Header)
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if want := body(t, plain); string(unpacked) != want {
		t.Errorf("unpacked %d bytes differ from the plain %d", len(unpacked), len(want))
	}
	if r := get(t, h, "/", "Accept-Encoding", "gzip;q=0"); r.Header.Get("Content-Encoding") != "" {
		t.Error("gzip sent to a client that refuses it")
	}
	for _, etag := range []string{plain.Header.Get("ETag"), `"x", W/` + plain.Header.Get("ETag"), "*"} {
		if r := get(t, h, "/", "If-None-Match", etag); r.StatusCode != http.StatusNotModified || body(t, r) != "" {
			t.Errorf("If-None-Match %s: %s", etag, r.Status)
		}
	}
	if r := get(t, h, "/", "If-None-Match", `"other"`); r.StatusCode != http.StatusOK {
		t.Errorf("another ETag: %s", r.Status)
	}
}

func TestAPIAndInfo(t *testing.T) {
	t.Parallel()
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	})
	info := Info{Version: "1.2.3", Links: Links{Edge: "http://localhost:8000", Services: []ServiceLinks{{Name: "uservice1", Direct: "http://localhost:8081/"}}}}
	h := Handler(Options{API: api, Info: info})
	if got := body(t, get(t, h, "/api/v2/search/tag/resource.service.name/values")); got != "GET /api/v2/search/tag/resource.service.name/values" {
		t.Errorf("the API saw %q", got)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body(t, get(t, h, "/etude.json"))), &got); err != nil {
		t.Fatal(err)
	}
	links, _ := got["links"].(map[string]any)
	if got["metrics"] != false {
		t.Errorf("etude.json promises metrics without a Prometheus: %v", got["metrics"])
	}
	if got["version"] != "1.2.3" || links["edge"] != "http://localhost:8000" {
		t.Errorf("etude.json: %v", got)
	}
	if _, there := links["dashboard"]; there {
		t.Error("an absent link is not left out")
	}
}

// TestPrometheusIsReadOnly asks the page's server for what the page needs of
// Prometheus, and for what it must not give.
func TestPrometheusIsReadOnly(t *testing.T) {
	t.Parallel()
	prometheus := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	})
	h := Handler(Options{Prometheus: prometheus})
	for target, want := range map[string]string{
		"GET /prometheus/api/v1/query":                "GET /api/v1/query",
		"POST /prometheus/api/v1/query_range":         "POST /api/v1/query_range",
		"POST /prometheus/api/v1/query_exemplars":     "POST /api/v1/query_exemplars",
		"GET /prometheus/api/v1/series":               "GET /api/v1/series",
		"GET /prometheus/api/v1/labels":               "GET /api/v1/labels",
		"GET /prometheus/api/v1/label/service/values": "GET /api/v1/label/service/values",
		"GET /prometheus/api/v1/metadata":             "GET /api/v1/metadata",
		"GET /prometheus/api/v1/targets":              "GET /api/v1/targets",

		"DELETE /prometheus/api/v1/series":                   "405",
		"POST /prometheus/api/v1/targets":                    "405",
		"POST /prometheus/api/v1/write":                      "404",
		"POST /prometheus/api/v1/admin/tsdb/delete_series":   "404",
		"GET /prometheus/api/v1/status/config":               "404",
		"GET /prometheus/api/v1/label/service/values/more":   "404",
		"GET /prometheus/metrics":                            "404",
		"GET /prometheus/":                                   "404",
		"POST /prometheus/api/v1/query/../write":             "307",
		"GET /prometheus/api/v1/%2e%2e/v1/status/flags":      "404",
		"GET /prometheus/api/v1/label/%2e%2e%2fflags/values": "GET /api/v1/label/../flags/values",
	} {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		got := w.Body.String()
		if w.Code != http.StatusOK {
			got = strconv.Itoa(w.Code)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestPrometheusUI(t *testing.T) {
	t.Parallel()
	h := PrometheusUI(Info{Links: Links{Page: "http://localhost:3000"}})
	want, err := dist.ReadFile("dist/" + prometheusName)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/graph?g0.expr=up", "/query", "/targets", "/status", "/prometheus.html"} {
		r := get(t, h, path)
		if r.StatusCode != http.StatusOK || body(t, r) != string(want) || r.Header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %s, not the start page under its policy", path, r.Status)
		}
	}
	for _, path := range []string{"/index.html", "/explore", "/api/v1/query", "/metrics"} {
		if r := get(t, h, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, r.Status)
		}
	}
	if got := body(t, get(t, h, "/etude.json")); !strings.Contains(got, `"page":"http://localhost:3000"`) {
		t.Errorf("etude.json: %s", got)
	}
}

// TestEdgeDashboard reads the dashboard and every file that it names, below the prefix that the edge gives it: a
// proxy in front of the edge may pass on nothing else.
func TestEdgeDashboard(t *testing.T) {
	t.Parallel()
	h := EdgeDashboard("/dashboard/")
	r := get(t, h, "/dashboard/")
	text := body(t, r)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Security-Policy") != policy {
		t.Fatalf("%s, under the policy %q", r.Status, r.Header.Get("Content-Security-Policy"))
	}
	names := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1)
	total := 0
	for _, name := range names {
		if strings.HasPrefix(name[1], "/api/") { // a link to read
			continue
		}
		if !strings.HasPrefix(name[1], "./") {
			t.Errorf("%s is not below the page", name[1])
			continue
		}
		r := get(t, h, "/dashboard/"+name[1][2:], "Accept-Encoding", "gzip")
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name[1], r.Status)
		}
		total += len(body(t, r))
	}
	if len(names) < 5 || total > 60_000 {
		t.Errorf("the page names %d files of %d bytes in all, want at least 5 and at most 60,000 bytes with gzip", len(names), total)
	}
	for _, path := range []string{"/", "/dashboard/etude.json", "/dashboard/index.html", "/dashboard/explore", "/assets/", "/dashboard/assets/"} {
		if r := get(t, h, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, r.Status)
		}
	}
}

// TestDistAsksNoOtherHost looks for addresses in what the browser loads. Names
// of XML namespaces and of documentation in error texts are no requests.
func TestDistAsksNoOtherHost(t *testing.T) {
	t.Parallel()
	loads := regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(https?:)?//|@import|url\(\s*["']?(https?:)?//|from\s*["']https?://|import\(\s*["']https?://`)
	assets, err := fs.Sub(dist, "dist")
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range loadAssets(assets) {
		var b bytes.Buffer
		a.copyTo(&b)
		data := b.Bytes()
		if at := loads.FindIndex(data); at != nil {
			t.Errorf("%s: %q", name, data[at[0]:min(len(data), at[0]+80)])
		}
		if bytes.Contains(data, []byte("mockTraces")) || bytes.Contains(data, []byte("sourceMappingURL")) {
			t.Errorf("%s holds what is for development only", name)
		}
	}
}

// TestFirstLoad weighs what a browser must load before the page shows anything:
// the page itself and every file that it names. Editor, graph and charts come
// when they are needed.
func TestFirstLoad(t *testing.T) {
	t.Parallel()
	const limit = 100_000 // bytes, with gzip
	h := Handler(Options{})
	total := 0
	names := append([]string{"/"}, regexp.MustCompile(`/(?:assets/[^"]+|theme\.js)`).FindAllString(body(t, get(t, h, "/")), -1)...)
	for _, name := range names {
		r := get(t, h, name, "Accept-Encoding", "gzip")
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, r.Status)
		}
		packed := len(body(t, r))
		t.Logf("%6d %s", packed, name)
		total += packed
	}
	if len(names) < 4 || total > limit {
		t.Errorf("the first load is %d bytes in %d files, want at most %d in at least 4", total, len(names), limit)
	}
}
