package api_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"etude/api"
	"etude/query"
	"etude/trace"
)

func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestStatusRoutes(t *testing.T) {
	t.Parallel()
	var reason error
	h := api.New(api.Options{Engine: query.New(views{}, query.Options{}), Version: "1.2.3", Ready: func() error { return reason }})
	if w := get(h, "/api/echo"); w.Code != 200 || w.Body.String() != "echo" {
		t.Errorf("echo: %d %q", w.Code, w.Body)
	}
	if w := get(h, "/ready"); w.Code != 200 || w.Body.String() != "ready\n" {
		t.Errorf("ready: %d %q", w.Code, w.Body)
	}
	reason = errors.New("replaying the write-ahead log")
	if w := get(h, "/ready"); w.Code != 503 || !strings.Contains(w.Body.String(), "replaying") {
		t.Errorf("not ready: %d %q", w.Code, w.Body)
	}
	var info map[string]string
	w := get(h, "/api/status/buildinfo")
	if err := json.Unmarshal(w.Body.Bytes(), &info); err != nil || len(info) != 6 || info["version"] != "1.2.3" {
		t.Errorf("buildinfo: %s, %v", w.Body, err)
	}
	if w := get(h, "/api/nothing"); w.Code != 404 || w.Body.String() != "404 page not found\n" {
		t.Errorf("unknown route: %d %q", w.Code, w.Body)
	}
}

func TestErrorsArePlainText(t *testing.T) {
	t.Parallel()
	h := newServer(views{})
	for target, want := range map[string]struct {
		status int
		text   string
	}{
		"/api/traces/xyz": {400, `trace IDs can only contain hex characters: invalid character 'x' at position 1`},
		"/api/v2/traces/" + strings.Repeat("a", 33):                                {400, "trace IDs can't be larger than 128 bits"},
		"/api/traces/1?start=5&end=3":                                              {400, "http parameter start must be before end. received start=5 end=3"},
		"/api/traces/1?mode=foo":                                                   {400, "invalid value for mode foo"},
		"/api/search?q=" + url.QueryEscape(`{ foo = 1 }`):                          {400, "invalid TraceQL query: parse error at line 1, col 3: unknown identifier: foo"},
		"/api/search?limit=0":                                                      {400, "invalid limit: must be a positive number"},
		"/api/search?limit=999999999":                                              {400, "limit 999999999 exceeds max limit 262144"},
		"/api/search?spss=101":                                                     {400, "spans per span set exceeds 100. received 101"},
		"/api/search?tags=a%3D1+a%3D2":                                             {400, "invalid tags: tag a has been set twice"},
		"/api/search?tags=a%3D%22b":                                                {400, "invalid tags: unterminated quoted value at pos 5"},
		"/api/search?minDuration=abc":                                              {400, "invalid minDuration:"},
		"/api/search?start=5":                                                      {400, "only one of start and end provided"},
		"/api/search?since=yesterday":                                              {400, "invalid since"},
		"/api/search/tags?scope=foo":                                               {400, "invalid scope: foo"},
		"/api/v2/search/tag/service.name/values":                                   {400, "please provide a valid tagName: failed to parse identifier service.name"},
		"/api/metrics/query_range?q=" + url.QueryEscape("{ }"):                     {400, "not a metrics query"},
		"/api/metrics/query?q=" + url.QueryEscape("{ } | rate()"):                  {200, `"__name__"`},
		"/api/search?q=" + url.QueryEscape("({ } | by(name)) > ({ })") + "&spss=1": {200, ""},
	} {
		w := get(h, target)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %q, want %d %q", target, w.Code, w.Body, want.status, want.text)
		}
		if ct := w.Header().Get("Content-Type"); w.Code != 200 && ct != "text/plain; charset=utf-8" {
			t.Errorf("%s: content type %q", target, ct)
		}
	}
}

func TestUnknownTrace(t *testing.T) {
	t.Parallel()
	h := newServer(views{})
	w := get(h, "/api/traces/1")
	if w.Code != 404 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "" {
		t.Errorf("v1: %d %q, content type %q", w.Code, w.Body, w.Header().Get("Content-Type"))
	}
	w = get(h, "/api/v2/traces/1")
	if w.Code != 200 || w.Body.String() != `{"trace":{},"metrics":{}}` {
		t.Errorf("v2: %d %q", w.Code, w.Body)
	}
	w = get(h, "/api/v2/traces/1", "Accept", "application/protobuf")
	if w.Code != 200 || w.Body.String() != "\x0a\x00\x12\x00" {
		t.Errorf("v2 protobuf: %d %q", w.Code, w.Body)
	}
}

func TestEmptyAnswersHaveLists(t *testing.T) {
	t.Parallel()
	h := newServer(views{})
	for target, want := range map[string]string{
		"/api/search":                            `{"traces":[],"metrics":{"completedJobs":1,"totalJobs":1}}`,
		"/api/search/tags":                       `{"tagNames":[],"metrics":{}}`,
		"/api/v2/search/tags?scope=span":         `{"scopes":[],"metrics":{}}`,
		"/api/search/tag/x/values":               `{"tagValues":[],"metrics":{}}`,
		"/api/v2/search/tag/span.x%2Fy/values":   `{"tagValues":[],"metrics":{}}`,
		"/api/v2/search/tag/span.x/y/values?q=x": `{"tagValues":[],"metrics":{}}`,
	} {
		if w := get(h, target); w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	h := newServer(loadSet(t, "small", 1_700_000_040, 1))
	plain := get(h, "/api/search?limit=100")
	if plain.Header().Get("Vary") != "Accept-Encoding" || plain.Header().Get("Content-Encoding") != "" {
		t.Errorf("headers of a plain answer: %v", plain.Header())
	}
	packed := get(h, "/api/search?limit=100", "Accept-Encoding", "gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("headers of a compressed answer: %v", packed.Header())
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != plain.Body.String() {
		t.Errorf("unpacked %d bytes, %v; want the %d of the plain answer", len(text), err, plain.Body.Len())
	}
	if small := get(h, "/api/echo", "Accept-Encoding", "gzip"); small.Header().Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
}

// TestLLMForm asks for the plain form of a trace and of values.
func TestLLMForm(t *testing.T) {
	t.Parallel()
	table := trace.NewTable()
	value := func(kind string, v any) map[string]any { return map[string]any{kind: v} }
	attr := func(key string, v map[string]any) any { return map[string]any{"key": key, "value": v} }
	appendJSON(t, table, map[string]any{"resourceSpans": []any{map[string]any{
		"resource": map[string]any{"attributes": []any{attr("service.name", value("stringValue", "till")), attr("n", value("intValue", "7"))}},
		"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "kettle"}, "spans": []any{map[string]any{
			"traceId": "000000000000000000000000000000ab", "spanId": "00000000000000a1", "name": "pour", "kind": 2,
			"startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000001500000", "status": map[string]any{"code": 2, "message": "spill"},
			"attributes": []any{
				attr("a", value("arrayValue", map[string]any{"values": []any{value("stringValue", "x"), value("doubleValue", 1.5)}})),
				attr("b", value("bytesValue", "AQI=")),
				attr("m", value("kvlistValue", map[string]any{"values": []any{attr("k", value("boolValue", true))}})),
			},
			"events": []any{map[string]any{"name": "boil", "timeUnixNano": "1700000000000000001"}},
		}}}},
	}}})
	h := newServer(views{table.View()})
	const accept = "application/vnd.grafana.llm"
	w := get(h, "/api/v2/traces/ab", "Accept", accept)
	want := `{"trace":{"traceId":"000000000000000000000000000000ab","services":[{"serviceName":"till","resource":{"n":7},"scopes":[{"name":"kettle","version":"",` +
		`"spans":[{"spanId":"00000000000000a1","name":"pour","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000001500000",` +
		`"durationMs":1.5,"attributes":{"a":["x",1.5],"b":"0102","m":{"k":true}},"events":[{"name":"boil","timeUnixNano":"1700000000000000001","attributes":{}}],` +
		`"status":{"code":"STATUS_CODE_ERROR","message":"spill"}}]}]}]}}`
	if w.Body.String() != want || w.Header().Get("Content-Type") != "application/vnd.grafana.llm+json" {
		t.Errorf("got  %s\nwant %s", w.Body, want)
	}
	if w := get(h, "/api/v2/traces/1", "Accept", accept); w.Body.String() != "{}" {
		t.Errorf("unknown trace: %s", w.Body)
	}
	if w := get(h, "/api/v2/search/tag/name/values", "Accept", accept); w.Body.String() != `{"metrics":{},"tagValues":{"string":["pour"]}}` {
		t.Errorf("values: %s", w.Body)
	}
	if w := get(h, "/api/v2/traces/ab", "Accept", accept+", application/json"); !strings.HasPrefix(w.Body.String(), `{"trace":{"resourceSpans":`) {
		t.Errorf("JSON comes first: %.80s", w.Body)
	}
}
