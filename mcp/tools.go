package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// tools implements the tools. It holds no session state.
type tools struct {
	api      client
	page     links
	maxBytes int

	// shortening is held while an answer is parsed. Parsing takes ten times the answer's size in memory, so
	// only one answer is parsed at a time.
	shortening chan struct{}
}

// The arguments of the tools.
type (
	queryArgs struct {
		Query string `json:"query" jsonschema:"the TraceQL query"`
		Start string `json:"start,omitempty" jsonschema:"start of the time range, RFC 3339; default: one hour before end"`
		End   string `json:"end,omitempty" jsonschema:"end of the time range, RFC 3339; default: now"`
	}
	traceArgs struct {
		TraceID string `json:"trace_id" jsonschema:"the trace's id, up to 32 hexadecimal digits"`
	}
	namesArgs struct {
		Scope string `json:"scope,omitempty" jsonschema:"only names of this scope: span, resource, event, link, instrumentation or intrinsic; default: all"`
	}
	valuesArgs struct {
		Name   string `json:"name" jsonschema:"the attribute as a query writes it, with its scope: resource.service.name, span.http.method, span:name"`
		Filter string `json:"filter-query,omitempty" jsonschema:"only values of spans that match this TraceQL filter, such as { resource.service.name = \"shop\" }"`
	}
	compareArgs struct {
		Before string `json:"before" jsonschema:"the side to compare with: the id of a trace, a TraceQL query that finds up to limit traces, or the word usual for the usual duration of the operation of the trace in after"`
		After  string `json:"after" jsonschema:"the possibly slower side: the id of a trace, or a TraceQL query"`
		Start  string `json:"start,omitempty" jsonschema:"start of the time range in which queries and usual find traces, RFC 3339; default: all stored traces"`
		End    string `json:"end,omitempty" jsonschema:"end of that time range, RFC 3339; default: now"`
		Limit  int    `json:"limit,omitempty" jsonschema:"traces per side, up to 1000; default 200"`
	}
	docsArgs struct {
		Name string `json:"name" jsonschema:"basic, aggregates, structural or metrics"`
	}
)

// found is the result of a tool.
type found struct {
	kind    string // _meta.type of the result
	version string // _meta.version of its format
	text    []byte
	lists   []string // the lists that may be cut; see shorten
	narrow  string   // advice on narrowing the request
	links   []string // to the page
}

func (t *tools) add(s *mcp.Server) {
	tool(t, s, "traceql-search", "Find traces with a TraceQL query, newest first; up to 20 traces, a few matching spans of each.", t.search)
	tool(t, s, "traceql-metrics-instant", "One number per series from a TraceQL metrics query, over the whole time range, such as the rate of errors in the last hour.", t.metricsInstant)
	tool(t, s, "traceql-metrics-range", "Time series from a TraceQL metrics query. Prefer traceql-metrics-instant when one number is enough.", t.metricsRange)
	tool(t, s, "get-trace", "All spans of one trace, by service.", t.trace)
	tool(t, s, "get-attribute-names", "Names of the attributes that spans have, by scope; for use in TraceQL.", t.names)
	tool(t, s, "get-attribute-values", "Values of one attribute, by type; for use in TraceQL.", t.values)
	tool(t, s, "compare-traces", "Why traces take longer than others: the difference of their durations, split among the spans that the trace waited for, largest part first; the parts add up to the whole difference.", t.compare)
	tool(t, s, "docs-traceql", "How to write TraceQL: basic (filters), aggregates, structural, metrics.", t.docs)
}

// tool adds a tool that only reads.
func tool[In any](t *tools, s *mcp.Server, name, about string, f func(context.Context, string, In) (found, error)) {
	no := false
	hints := &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &no, OpenWorldHint: &no}
	mcp.AddTool(s, &mcp.Tool{Name: name, Description: about, Annotations: hints},
		func(ctx context.Context, req *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
			tenant := ""
			if req.Extra != nil {
				tenant = req.Extra.Header.Get(tenantHeader)
			}
			r, err := f(ctx, tenant, in)
			if err != nil {
				return nil, nil, err // the SDK turns it into an answer with isError
			}
			select {
			case t.shortening <- struct{}{}:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
			defer func() { <-t.shortening }()
			return t.result(r), nil, nil
		})
}

// result returns the data as the first text, and notes for its reader as the second.
func (t *tools) result(r found) *mcp.CallToolResult {
	encoding := "json"
	if r.kind == "documentation" {
		encoding = "markdown"
	}
	text, note := shorten(r.text, t.maxBytes, r.lists...)
	var notes []string
	if note != "" {
		notes = append(notes, note+" "+r.narrow)
	}
	for _, link := range r.links {
		if link != "" {
			notes = append(notes, "On the page: "+link)
		}
	}
	out := &mcp.CallToolResult{
		Meta:    mcp.Meta{"type": r.kind, "encoding": encoding, "version": r.version},
		Content: []mcp.Content{&mcp.TextContent{Text: text}},
	}
	if len(notes) > 0 {
		out.Content = append(out.Content, &mcp.TextContent{Text: strings.Join(notes, "\n")})
	}
	return out
}

const (
	narrowSearch  = "Narrow the query: add conditions, drop attributes from select(), or shorten start..end."
	narrowMetrics = "Narrow the query: group by fewer attributes, add | topk(10), or shorten start..end."
	narrowTrace   = "The page shows all spans; or search for the spans in question with traceql-search: { trace:id = \"ID\" && status = error }."
	narrowNames   = "Set scope."
	narrowCompare = "The page shows the whole comparison."
	narrowValues  = "Set filter-query, or choose an attribute with fewer values."
)

func (t *tools) search(ctx context.Context, tenant string, in queryArgs) (r found, err error) {
	w, err := checkQuery(in)
	if err != nil {
		return r, err
	}
	if t.isMetrics(ctx, tenant, in.Query) {
		return r, errors.New("this is a metrics query: use traceql-metrics-instant or traceql-metrics-range")
	}
	params := w.seconds()
	params.Set("q", in.Query)
	text, err := t.api.get(ctx, tenant, "/api/search", params, "application/json")
	return found{kind: "search-results", version: "1", text: text, lists: []string{"traces", "spans", "*"},
		narrow: narrowSearch, links: []string{t.page.explore(in.Query, w)}}, err
}

// isMetrics lets the API decide: its metrics endpoint accepts only metrics queries, whereas its search would
// answer their first part. The time range contains no spans.
func (t *tools) isMetrics(ctx context.Context, tenant, query string) bool {
	_, err := t.api.get(ctx, tenant, "/api/metrics/query", url.Values{"q": {query}, "start": {"1"}, "end": {"2"}}, "application/json")
	return err == nil
}

func (t *tools) metricsInstant(ctx context.Context, tenant string, in queryArgs) (found, error) {
	return t.metrics(ctx, tenant, in, "metrics-instant", "/api/metrics/query", nil)
}

// metricsRange requests few exemplars: enough to find a trace, and not so many that they hide the samples.
func (t *tools) metricsRange(ctx context.Context, tenant string, in queryArgs) (found, error) {
	return t.metrics(ctx, tenant, in, "metrics-range", "/api/metrics/query_range", url.Values{"exemplars": {"5"}})
}

func (t *tools) metrics(ctx context.Context, tenant string, in queryArgs, kind, path string, more url.Values) (r found, err error) {
	w, err := checkQuery(in)
	if err != nil {
		return r, err
	}
	params := w.nanos()
	params.Set("q", in.Query)
	for name, values := range more {
		params[name] = values
	}
	text, err := t.api.get(ctx, tenant, path, params, "application/json")
	return found{kind: kind, version: "1", text: text, lists: []string{"series", "samples", "*"},
		narrow: narrowMetrics, links: []string{t.page.explore(in.Query, w)}}, err
}

// maxTraceSpans are the numbers of spans to request, tried in order: first several times as many as an answer
// can hold, then fewer when the spans are too large.
var maxTraceSpans = []string{"4000", "400", "40"}

func (t *tools) trace(ctx context.Context, tenant string, in traceArgs) (r found, err error) {
	id := strings.TrimSpace(in.TraceID)
	if id == "" {
		return r, errors.New("trace_id is empty: take one from traceql-search")
	}
	var text []byte
	for _, most := range maxTraceSpans {
		text, err = t.api.get(ctx, tenant, "/api/v2/traces/"+url.PathEscape(id), url.Values{"maxSpans": {most}}, acceptLLM)
		if !errors.Is(err, errTooLarge) {
			break
		}
	}
	if err != nil {
		return r, err
	}
	if strings.TrimSpace(string(text)) == "{}" {
		return r, fmt.Errorf("no trace has the id %s: take one from traceql-search", id)
	}
	return found{kind: "trace", version: "2", text: text, lists: []string{"spans", "*"},
		narrow: strings.Replace(narrowTrace, "ID", id, 1), links: []string{t.page.trace(id)}}, nil
}

func (t *tools) names(ctx context.Context, tenant string, in namesArgs) (found, error) {
	params := url.Values{}
	if in.Scope != "" {
		params.Set("scope", in.Scope)
	}
	text, err := t.api.get(ctx, tenant, "/api/v2/search/tags", params, "application/json")
	return found{kind: "attribute-names", version: "2", text: text, lists: []string{"tags", "*"},
		narrow: narrowNames, links: []string{t.page.explore("", window{})}}, err
}

func (t *tools) values(ctx context.Context, tenant string, in valuesArgs) (r found, err error) {
	if strings.TrimSpace(in.Name) == "" {
		return r, errors.New("name is empty: take one from get-attribute-names, with its scope, such as resource.service.name")
	}
	params, shown := url.Values{}, "{ "+in.Name+" != nil }"
	if in.Filter != "" {
		params.Set("q", in.Filter)
		shown = in.Filter
	}
	text, err := t.api.get(ctx, tenant, "/api/v2/search/tag/"+url.PathEscape(in.Name)+"/values", params, acceptLLM)
	return found{kind: "attribute-values", version: "2", text: text, lists: []string{"*"},
		narrow: narrowValues, links: []string{t.page.explore(shown, window{})}}, err
}

func (t *tools) compare(ctx context.Context, tenant string, in compareArgs) (r found, err error) {
	if strings.TrimSpace(in.Before) == "" || strings.TrimSpace(in.After) == "" {
		return r, errors.New("before and after must both be given: the id of a trace or a TraceQL query; before may be the word usual")
	}
	params := url.Values{"before": {in.Before}, "after": {in.After}, "rows": {"0"}}
	var w window
	if in.Start != "" || in.End != "" {
		if w, err = newWindow(in.Start, in.End, time.Now()); err != nil {
			return r, err
		}
		times := w.nanos()
		params["start"], params["end"] = times["start"], times["end"]
	}
	if in.Limit != 0 {
		params.Set("limit", strconv.Itoa(in.Limit))
	}
	text, err := t.api.get(ctx, tenant, "/api/etude/compare", params, "application/json")
	return found{kind: "comparison", version: "1", text: text, lists: []string{"parts", "*"},
		narrow: narrowCompare, links: []string{t.page.compare(in.Before, in.After, w)}}, err
}

func (t *tools) docs(_ context.Context, _ string, in docsArgs) (found, error) {
	text, err := help(in.Name)
	return found{kind: "documentation", version: "1", text: []byte(text), links: []string{t.page.explore("", window{})}}, err
}

func checkQuery(in queryArgs) (window, error) {
	if strings.TrimSpace(in.Query) == "" {
		return window{}, errors.New("query is empty: { } selects every span, docs-traceql says more")
	}
	return newWindow(in.Start, in.End, time.Now())
}
