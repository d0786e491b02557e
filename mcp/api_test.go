package mcp_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"etude/api"
	"etude/internal/testkit"
	"etude/mcp"
	"etude/query"
	"etude/trace"
)

// smallTable holds one trace: a server span of shop, and a failed child of it.
func smallTable() *trace.View {
	t := trace.NewTable()
	resource, w := t.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("shop"))
	t.EndResource()
	scope, _ := t.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	t.EndScope()
	start := uint64(time.Now().Add(-time.Minute).UnixNano())
	add := func(id, parent byte, name string, status trace.Status) {
		row := trace.Span{TraceID: trace.TraceID{15: 7}, SpanID: trace.SpanID{7: id}, Start: start, End: start + 5e6,
			Status: uint8(status), Scope: scope, Name: []byte(name)}
		if parent != 0 {
			row.Parent = trace.SpanID{7: parent}
		}
		w := t.AddSpan(&row)
		w.AddText([]byte("user.id"), trace.String, []byte("ann"))
		t.EndSpan()
	}
	add(1, 0, "GET /cart", 0)
	add(2, 1, "SELECT", trace.StatusError)
	return t.View()
}

// TestRealAPI asks the API of this module: first for the words, then for the trace.
func TestRealAPI(t *testing.T) {
	t.Parallel()
	h := api.New(api.Options{Engine: query.New(testkit.Views{smallTable()}, query.Options{})})
	s := connect(t, h, mcp.Options{})
	for _, c := range []struct {
		tool  string
		args  map[string]any
		wants []string // parts of the answer
	}{
		{"get-attribute-names", map[string]any{"scope": "resource"}, []string{`"service.name"`}},
		{"get-attribute-values", map[string]any{"name": "resource.service.name"}, []string{`{"string":["shop"]}`}},
		{"get-attribute-values", map[string]any{"name": "span.user.id", "filter-query": "{ status = error }"}, []string{`{"string":["ann"]}`}},
		{"traceql-search", map[string]any{"query": `{ name = "GET /cart" } > { status = error }`}, []string{`"traceID":"7"`, `"matched":1`}},
		{"traceql-search", map[string]any{"query": `{ name = "nothing" }`}, []string{`"traces":[]`}},
		{"traceql-metrics-instant", map[string]any{"query": `{ status = error } | count_over_time()`}, []string{`"value":1`}},
		{"traceql-metrics-range", map[string]any{"query": `{ } | count_over_time() by (name)`}, []string{`"SELECT"`, `"trace:id"`}},
		{"get-trace", map[string]any{"trace_id": "7"}, []string{`"serviceName":"shop"`, `"durationMs":5`, `"user.id":"ann"`}},
	} {
		r, texts := call(t, s, c.tool, c.args)
		if r.IsError || !json.Valid([]byte(texts[0])) || len(texts) != 2 || !strings.Contains(texts[1], pageURL) {
			t.Errorf("%s %v: error %t, %q", c.tool, c.args, r.IsError, texts)
		}
		for _, want := range c.wants {
			if !strings.Contains(texts[0], want) {
				t.Errorf("%s %v: no %s in %s", c.tool, c.args, want, texts[0])
			}
		}
	}
	for tool, args := range map[string]map[string]any{
		"traceql-search":          {"query": "{ foo = 1 }"},
		"traceql-metrics-instant": {"query": "{ }"},
		"get-trace":               {"trace_id": "xyz"},
		"get-attribute-values":    {"name": "service.name"},
	} {
		if r, texts := call(t, s, tool, args); !r.IsError || texts[0] == "" {
			t.Errorf("%s %v: %q is no error", tool, args, texts)
		}
	}
	if r, texts := call(t, s, "traceql-search", map[string]any{"query": "{ } | rate()"}); !r.IsError || !strings.Contains(texts[0], "metrics query") {
		t.Errorf("metrics query in search: %q", texts)
	}
	if r, texts := call(t, s, "get-trace", map[string]any{"trace_id": "8"}); !r.IsError || !strings.Contains(texts[0], "no trace has the id 8") {
		t.Errorf("unknown trace: %q", texts)
	}
}
