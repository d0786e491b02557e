package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"etude/api"
	"etude/query"
	"etude/tenant"
	"etude/trace"
)

// tenantViews are the spans of each tenant.
type tenantViews map[string]*tenantSource

type tenantSource struct{ views }

func (v tenantViews) Source(id string) trace.Source {
	if s := v[id]; s != nil {
		return s
	}
	return nil
}

// tenantServer has one trace for t1, one for t2, and of a third a span for each.
func tenantServer(t *testing.T) http.Handler {
	have := tenantViews{}
	for i, id := range []string{"t1", "t2"} {
		table := trace.NewTable()
		for _, number := range []int{i + 1, 3} {
			appendJSON(t, table, map[string]any{"resourceSpans": []any{map[string]any{
				"resource": map[string]any{"attributes": []any{map[string]any{"key": "service.name", "value": map[string]any{"stringValue": "of-" + id}}}},
				"scopeSpans": []any{map[string]any{"scope": map[string]any{}, "spans": []any{map[string]any{
					"traceId": fmt.Sprintf("%032x", number), "spanId": fmt.Sprintf("%016x", i+1), "name": "work-" + id,
					"startTimeUnixNano": nanos(i + 1), "endTimeUnixNano": nanos(i + 2),
				}}}},
			}}})
		}
		have[id] = &tenantSource{views{table.View()}}
	}
	return api.New(api.Options{Engine: query.NewForTenants(have, query.Options{}), Multitenancy: true})
}

// tenantRoutes are all that read spans, and what of each tenant's they show.
var tenantRoutes = map[string]string{
	"/api/traces/3":                                                   "work-",
	"/api/v2/traces/3":                                                "work-",
	"/api/search":                                                     `"work-`,
	"/api/search/tag/service.name/values":                             "of-",
	"/api/v2/search/tag/span:name/values":                             "work-",
	"/api/search?q=%7B%7D%7Cselect(name)":                             "work-",
	metricsTarget("query", "{ } | rate() by(name)", ""):               "work-",
	metricsTarget("query_range", "{ } | rate() by(name)", "&step=60"): "work-",
}

func TestTenantsReadTheirOwn(t *testing.T) {
	t.Parallel()
	h := tenantServer(t)
	for target, mark := range tenantRoutes {
		for header, want := range map[string]string{"t1": "t1", "t2": "t2", "t1|t2": "t1 t2", "t2|t3|t1": "t1 t2", "t3": ""} {
			w := get(h, target, tenant.Header, header)
			var saw []string
			for _, id := range []string{"t1", "t2"} {
				if strings.Contains(w.Body.String(), mark+id) {
					saw = append(saw, id)
				}
			}
			if w.Code != 200 && (header != "t3" || w.Code != 404) || strings.Join(saw, " ") != want {
				t.Errorf("%s of %s shows %q: %d %s", target, header, saw, w.Code, w.Body)
			}
		}
	}
	if text := get(h, "/api/v2/search/tags?scope=resource", tenant.Header, "t3").Body.String(); text != `{"scopes":[],"metrics":{}}` {
		t.Errorf("names of a tenant without spans: %s", text)
	}
}

// TestTenantErrors has every route say what is wrong in the words of Tempo.
func TestTenantErrors(t *testing.T) {
	t.Parallel()
	h := tenantServer(t)
	targets := append(slices.Collect(maps.Keys(tenantRoutes)), "/api/search/tags", "/api/v2/search/tags")
	for _, target := range targets {
		for header, want := range map[string]struct {
			status int
			text   string
		}{
			"":                       {401, "no org id"},
			"t/1":                    {400, "tenant ID 't/1' contains unsupported character '/'"},
			"t1|":                    {400, "tenant ID is empty: write one name, or several as in t1|t2"},
			strings.Repeat("x", 151): {400, "tenant ID is too long: it has 151 bytes, the limit is 150"},
		} {
			w := get(h, target, tenant.Header, header)
			if w.Code != want.status || w.Body.String() != want.text || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%s of %q: %d %q, want %d %q", target, header, w.Code, w.Body, want.status, want.text)
			}
		}
	}
	for _, target := range []string{"/api/echo", "/ready", "/api/status/buildinfo"} {
		if w := get(h, target); w.Code != 200 {
			t.Errorf("%s without a tenant: %d %s", target, w.Code, w.Body)
		}
	}
	off := newServer(views{})
	if w := get(off, "/api/search", tenant.Header, "t/1|"); w.Code != 200 {
		t.Errorf("tenants are off: %d %s", w.Code, w.Body)
	}
}

func TestTenantsOverStream(t *testing.T) {
	t.Parallel()
	c := dialStream(t, tenantServer(t))
	for _, x := range streamCases {
		for header, want := range map[string]string{"": "no org id", "t/1": "tenant ID 't/1' contains unsupported character '/'"} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), tenant.Header, header)
			if _, err := c.ask(ctx, x.method, x.request); status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != want {
				t.Errorf("%s of %q: %v, want InvalidArgument %s", x.method, header, err, want)
			}
		}
	}
	for header, want := range map[string][]bool{"t1": {true, false}, "t2": {false, true}, "t1|t2": {true, true}} {
		for method, request := range map[string]string{
			"Search": `{"Query": "{ } | select(name)"}`, "SearchTagValuesV2": `{"tagName": "name"}`,
			"MetricsQueryRange": `{"query": "{ } | rate() by(name)", "start": "` + nanos(-60) + `", "end": "` + nanos(60) + `"}`,
		} {
			all, err := c.ask(metadata.AppendToOutgoingContext(t.Context(), tenant.Header, header), method, request)
			if err != nil || len(all) == 0 {
				t.Fatalf("%s of %s: %v", method, header, err)
			}
			text := protojson.Format(all[len(all)-1])
			if strings.Contains(text, "work-t1") != want[0] || strings.Contains(text, "work-t2") != want[1] {
				t.Errorf("%s of %s: %s", method, header, text)
			}
		}
	}
}
