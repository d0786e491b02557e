package mcp_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"etude/mcp"
)

const pageURL = "http://localhost:3000"

// fakeAPI answers every request with the same and remembers what it was asked.
type fakeAPI struct {
	status int
	body   string

	mu    sync.Mutex
	asked []*http.Request
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	if r.URL.Path == "/api/metrics/query" && !strings.Contains(r.URL.Query().Get("q"), "rate") {
		http.Error(w, "not a metrics query", http.StatusBadRequest)
		return
	}
	w.WriteHeader(f.status)
	_, _ = w.Write([]byte(f.body))
}

// last is the latest request and its parameters.
func (f *fakeAPI) last() (*http.Request, url.Values) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.asked[len(f.asked)-1]
	return r, r.URL.Query()
}

// connect serves api over HTTP and returns a session of the SDK's own client.
func connect(t *testing.T, api http.Handler, o mcp.Options) *sdk.ClientSession {
	t.Helper()
	o.PageURL = pageURL
	mux := http.NewServeMux()
	mux.Handle("/api/mcp", mcp.Handler(api, o))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := c.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: server.URL + "/api/mcp", DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// call calls a tool and returns its texts.
func call(t *testing.T, s *sdk.ClientSession, name string, args map[string]any) (r *sdk.CallToolResult, texts []string) {
	t.Helper()
	r, err := s.CallTool(context.Background(), &sdk.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, c := range r.Content {
		texts = append(texts, c.(*sdk.TextContent).Text)
	}
	return r, texts
}

func TestToolsOnlyRead(t *testing.T) {
	t.Parallel()
	s := connect(t, &fakeAPI{}, mcp.Options{Version: "1.2.3"})
	if info := s.InitializeResult().ServerInfo; info.Name != "etude" || info.Version != "1.2.3" {
		t.Errorf("server: %+v", info)
	}
	list, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]string{}
	for _, tool := range list.Tools {
		h := tool.Annotations
		if !h.ReadOnlyHint || h.IdempotentHint || h.DestructiveHint == nil || *h.DestructiveHint || h.OpenWorldHint == nil || *h.OpenWorldHint {
			t.Errorf("%s: hints %+v", tool.Name, h)
		}
		required[tool.Name] = fmt.Sprint(tool.InputSchema.(map[string]any)["required"])
	}
	want := map[string]string{
		"traceql-search": "[query]", "traceql-metrics-instant": "[query]", "traceql-metrics-range": "[query]", "get-trace": "[trace_id]",
		"get-attribute-names": "<nil>", "get-attribute-values": "[name]", "docs-traceql": "[name]",
		"compare-traces": "[before after]",
	}
	if !maps.Equal(required, want) {
		t.Errorf("required arguments %v, want %v", required, want)
	}
}

// TestCalls checks what each tool asks of the API, and what it hands back.
func TestCalls(t *testing.T) {
	t.Parallel()
	const from, to = "2026-01-02T03:04:05Z", "2026-01-02T04:04:05.5+01:00"
	early := "2026-01-02T02:00:00Z"
	for _, c := range []struct {
		tool, args string // args: k=v; ...
		path       string
		params     string
		meta, link string
	}{
		{"traceql-search", "query={ };start=" + early + ";end=" + to, "/api/search", "end=1767323046&q=%7B+%7D&start=1767319200",
			"search-results json 1", "/explore?from=1767319200000&q=%7B+%7D&tab=traceql&to=1767323045500"},
		{"traceql-metrics-range", "query={ } | rate();start=" + early + ";end=" + from, "/api/metrics/query_range",
			"end=2026-01-02T03%3A04%3A05Z&exemplars=5&q=%7B+%7D+%7C+rate%28%29&start=2026-01-02T02%3A00%3A00Z", "metrics-range json 1", "/explore?from=1767319200000&"},
		{"traceql-metrics-instant", "query={ } | rate();end=" + from, "/api/metrics/query",
			"end=2026-01-02T03%3A04%3A05Z&q=%7B+%7D+%7C+rate%28%29&start=2026-01-02T02%3A04%3A05Z", "metrics-instant json 1", "/explore?from=1767319445000&"},
		{"get-trace", "trace_id=ab12", "/api/v2/traces/ab12", "maxSpans=4000", "trace json 2", "/trace/ab12"},
		{"compare-traces", "before=usual;after=ab12", "/api/etude/compare", "after=ab12&before=usual&rows=0", "comparison json 1", "/compare?after=ab12&before=usual"},
		{"compare-traces", "before={ };after={ status };end=" + from, "/api/etude/compare",
			"after=%7B+status+%7D&before=%7B+%7D&end=2026-01-02T03%3A04%3A05Z&rows=0&start=2026-01-02T02%3A04%3A05Z", "comparison json 1", "/compare?after=%7B+status+%7D&before=%7B+%7D&from=1767319445000&"},
		{"get-attribute-names", "", "/api/v2/search/tags", "", "attribute-names json 2", "/explore?tab=traceql"},
		{"get-attribute-names", "scope=span", "/api/v2/search/tags", "scope=span", "attribute-names json 2", "/explore?tab=traceql"},
		{"get-attribute-values", "name=span.a/b c", "/api/v2/search/tag/span.a%2Fb%20c/values", "", "attribute-values json 2", "/explore?q=%7B+span.a%2Fb+c+%21%3D+nil+%7D&tab=traceql"},
		{"get-attribute-values", "name=name;filter-query={ kind = server }", "/api/v2/search/tag/name/values", "q=%7B+kind+%3D+server+%7D", "attribute-values json 2", "/explore?q=%7B+kind+%3D+server+%7D&tab=traceql"},
	} {
		api := &fakeAPI{status: 200, body: `{"some":"answer"}`}
		args := map[string]any{}
		for pair := range strings.SplitSeq(c.args, ";") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				args[name] = value
			}
		}
		r, texts := call(t, connect(t, api, mcp.Options{}), c.tool, args)
		if r.IsError || len(texts) != 2 || texts[0] != api.body || !strings.HasPrefix(texts[1], "On the page: "+pageURL+c.link) {
			t.Errorf("%s: error %t, %q", c.tool, r.IsError, texts)
			continue
		}
		if got := fmt.Sprint(r.Meta["type"], r.Meta["encoding"], r.Meta["version"]); strings.ReplaceAll(c.meta, " ", "") != got {
			t.Errorf("%s: meta %v", c.tool, r.Meta)
		}
		if asked, params := api.last(); asked.URL.EscapedPath() != c.path || params.Encode() != c.params {
			t.Errorf("%s %s asked for %s?%s", c.tool, c.args, asked.URL.EscapedPath(), params.Encode())
		}
	}
}

func TestDefaultRangeIsTheLastHour(t *testing.T) {
	t.Parallel()
	api := &fakeAPI{status: 200, body: `{}`}
	before := time.Now().Unix()
	_, texts := call(t, connect(t, api, mcp.Options{}), "traceql-search", map[string]any{"query": "{ }"})
	_, v := api.last()
	var start, end int64
	if _, err := fmt.Sscan(v.Get("start")+" "+v.Get("end"), &start, &end); err != nil {
		t.Fatal(err)
	}
	if end < before || end > time.Now().Unix()+1 || end-start < 3600 || end-start > 3601 {
		t.Errorf("asked for %d..%d at %d", start, end, before)
	}
	if strings.Contains(texts[1], "from=") {
		t.Errorf("the page's own default is the last hour: %s", texts[1])
	}
}

func TestMistakesAreToolErrors(t *testing.T) {
	t.Parallel()
	bad := &fakeAPI{status: 400, body: "invalid TraceQL query: parse error at line 1, col 3"}
	good := &fakeAPI{status: 200, body: "{}"}
	for _, c := range []struct {
		api  *fakeAPI
		tool string
		args map[string]any
		want string
	}{
		{bad, "traceql-search", map[string]any{"query": "{ foo }"}, bad.body},
		{bad, "get-attribute-names", map[string]any{"scope": "x"}, bad.body},
		{&fakeAPI{status: 302}, "get-attribute-values", map[string]any{"name": ".."}, "the API answered 302 Found"},
		{good, "traceql-search", map[string]any{"query": "{ } | rate()"}, "use traceql-metrics-instant or traceql-metrics-range"},
		{good, "traceql-search", map[string]any{"query": " "}, "query is empty"},
		{good, "traceql-search", map[string]any{}, "query"},
		{good, "traceql-search", map[string]any{"query": "{ }", "start": "yesterday"}, `invalid start: "yesterday"`},
		{good, "traceql-metrics-range", map[string]any{"query": "{ } | rate()", "start": "2026-01-02T03:04:05Z", "end": "2026-01-02T03:04:05Z"}, "start must be before end"},
		{good, "traceql-metrics-instant", map[string]any{"query": "{ }"}, "not a metrics query"},
		{good, "get-trace", map[string]any{"trace_id": "12"}, "no trace has the id 12"},
		{good, "get-trace", map[string]any{"trace_id": ""}, "trace_id is empty"},
		{good, "compare-traces", map[string]any{"before": "usual", "after": " "}, "before and after must both be given"},
		{good, "compare-traces", map[string]any{"before": "usual", "after": "12", "start": "noon"}, `invalid start: "noon"`},
		{good, "get-attribute-values", map[string]any{"name": ""}, "name is empty"},
		{good, "docs-traceql", map[string]any{"name": "poetry"}, "basic, aggregates, structural, metrics"},
	} {
		r, texts := call(t, connect(t, c.api, mcp.Options{}), c.tool, c.args)
		if !r.IsError || !strings.Contains(strings.Join(texts, "\n"), c.want) {
			t.Errorf("%s %v: error %t, %q, want %q", c.tool, c.args, r.IsError, texts, c.want)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	api := &fakeAPI{status: 200, body: `{"traces":[` + strings.Repeat(`{"traceID":"1"},`, 999) + `{"traceID":"2"}]}`}
	_, texts := call(t, connect(t, api, mcp.Options{MaxBytes: 1000}), "traceql-search", map[string]any{"query": "{ }"})
	if len(texts[0]) > 1000 || len(texts[0]) < 900 || !strings.HasSuffix(texts[0], "}]}") {
		t.Errorf("%d bytes: %s", len(texts[0]), texts[0])
	}
	if !strings.Contains(texts[1], "of 1000 traces") || !strings.Contains(texts[1], "Narrow the query") || !strings.Contains(texts[1], pageURL) {
		t.Errorf("note: %s", texts[1])
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	s := connect(t, &fakeAPI{}, mcp.Options{})
	list, err := s.ListResources(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var uris []string
	for _, r := range list.Resources {
		uris = append(uris, r.URI)
		read, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: r.URI})
		if err != nil || read.Contents[0].MIMEType != "text/markdown" {
			t.Fatalf("%s: %v", r.URI, err)
		}
		result, texts := call(t, s, "docs-traceql", map[string]any{"name": strings.TrimPrefix(r.URI, "docs://traceql/")})
		if texts[0] != read.Contents[0].Text || result.Meta["encoding"] != "markdown" || result.Meta["type"] != "documentation" {
			t.Errorf("%s: tool and resource differ, or meta is %v", r.URI, result.Meta)
		}
	}
	slices.Sort(uris)
	if got := strings.Join(uris, " "); got != "docs://traceql/aggregates docs://traceql/basic docs://traceql/metrics docs://traceql/structural" {
		t.Error(got)
	}
}

// TestSessionsAreNotNews opens a session and looks at the log.
func TestSessionsAreNotNews(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	s := connect(t, &fakeAPI{}, mcp.Options{Logger: logger})
	call(t, s, "docs-traceql", map[string]any{"name": "basic"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", &log)
	}
}

// TestWire checks what clients other than the SDK's rely on.
func TestWire(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(mcp.Handler(&fakeAPI{}, mcp.Options{}))
	defer server.Close()
	post := func(body string, header ...string) *http.Response {
		r, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
			if header[i] == "Host" {
				r.Host = header[i+1]
			}
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer
	}
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	if r := post(hello); r.StatusCode != 200 || r.Header.Get("Mcp-Session-Id") == "" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("initialize: %d %v", r.StatusCode, r.Header)
	}
	if r := post(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, "Mcp-Session-Id", "none"); r.StatusCode != 404 {
		t.Errorf("unknown session: %d", r.StatusCode)
	}
	if r := post(hello, "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"); r.StatusCode != 403 {
		t.Errorf("another origin: %d", r.StatusCode)
	}
	if r := post(hello, "Host", "evil.example"); r.StatusCode != 403 {
		t.Errorf("a foreign name: %d", r.StatusCode)
	}
}

// visitor is a client of these tests alone: the default one has its idle
// connections closed whenever a test server closes, also that of another test.
var visitor = &http.Transport{}

// withHeader sends a header with every request.
type withHeader struct{ name, value string }

func (h withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(h.name, h.value)
	return visitor.RoundTrip(r)
}

// TestTenantIsHandedOn looks at what the API is asked by every tool.
func TestTenantIsHandedOn(t *testing.T) {
	t.Parallel()
	api := &fakeAPI{status: http.StatusOK, body: "{}"}
	server := httptest.NewServer(mcp.Handler(api, mcp.Options{}))
	t.Cleanup(server.Close)
	c := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := c.Connect(t.Context(), &sdk.StreamableClientTransport{
		Endpoint: server.URL, DisableStandaloneSSE: true, HTTPClient: &http.Client{Transport: withHeader{"X-Scope-OrgID", "t1|t2"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	for tool, args := range map[string]map[string]any{
		"traceql-search": {"query": "{ }"}, "traceql-metrics-instant": {"query": "{ } | rate()"}, "traceql-metrics-range": {"query": "{ } | rate()"},
		"get-trace": {"trace_id": "1"}, "get-attribute-names": {}, "get-attribute-values": {"name": "span.x"},
	} {
		if _, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args}); err != nil {
			t.Errorf("%s: %v", tool, err)
			continue
		}
		if r, _ := api.last(); r.Header.Get("X-Scope-OrgID") != "t1|t2" {
			t.Errorf("%s asks %s for tenant %q", tool, r.URL, r.Header.Get("X-Scope-OrgID"))
		}
	}
}
