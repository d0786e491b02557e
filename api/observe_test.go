package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etude/api"
	"etude/query"
)

// calls collects what an observer sees.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, text)
}

func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

// await is for calls that end a little later than their client's.
func (c *calls) await(t *testing.T) string {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for over := time.After(10 * time.Second); ; {
		if list := c.take(); len(list) > 0 {
			return strings.Join(list, "; ")
		}
		select {
		case <-tick.C:
		case <-over:
			t.Fatal("nothing is seen")
		}
	}
}

func (c *calls) observe(r *http.Request, call api.Call) (context.Context, func(int)) {
	return r.Context(), func(status int) { c.add(fmt.Sprintf("%s %s %v %d", call.Kind, call.Route, call.GRPC, status)) }
}

func TestObserveHTTP(t *testing.T) {
	t.Parallel()
	var seen calls
	h := api.Observe(newServer(views{}), seen.observe)
	for target, want := range map[string]string{
		"/api/traces/1f":               "trace /api/traces/{id} false 404",
		"/api/v2/traces/1f":            "trace /api/v2/traces/{id} false 200",
		"/api/traces/xyz":              "trace /api/traces/{id} false 400",
		"/api/search?q={}":             "search /api/search false 200",
		"/api/search?q={":              "search /api/search false 400",
		"/api/search/tags":             "tags /api/search/tags false 200",
		"/api/v2/search/tags":          "tags /api/v2/search/tags false 200",
		"/api/search/tag/a/values":     "values /api/search/tag/{tag}/values false 200",
		"/api/v2/search/tag/.a/values": "values /api/v2/search/tag/{tag}/values false 200",
		"/api/metrics/query_range?q={}|rate()&start=1&end=9": "metrics /api/metrics/query_range false 200",
		"/api/metrics/query?q={}|rate()&start=1&end=9":       "metrics /api/metrics/query false 200",
		"/api/echo":                         "",
		"/ready":                            "",
		"/api/searching":                    "",
		"/tempopb.StreamingQuerier/Nothing": "",
	} {
		get(h, target)
		if got := strings.Join(seen.take(), "; "); got != want {
			t.Errorf("%s is seen as %q, want %q", target, got, want)
		}
	}
}

func TestObserveGRPC(t *testing.T) {
	t.Parallel()
	var seen calls
	c := dialStream(t, api.Observe(newServer(views{}), seen.observe))
	for method, kind := range map[string]string{
		"Search": "search", "SearchTags": "tags", "SearchTagsV2": "tags", "SearchTagValues": "values", "SearchTagValuesV2": "values",
		"MetricsQueryRange": "metrics", "MetricsQueryInstant": "metrics",
	} {
		for _, request := range []string{`{"tagName":".a"}`, `{"tagName":""}`, `{"query":"{"}`} {
			if strings.HasPrefix(request, `{"tagName`) != (kind == "values") {
				continue
			}
			if method == "Search" { // its field has another name
				request = `{"Query":"{"}`
			}
			_, err := c.ask(t.Context(), method, request)
			status := 200
			if err != nil {
				status = 400
			}
			want := fmt.Sprintf("%s tempopb.StreamingQuerier/%s true %d", kind, method, status)
			if got := seen.await(t); got != want {
				t.Errorf("%s %s is seen as %q, want %q", method, request, got, want)
			}
		}
	}
}

// TestObserversNest: the first observer's context is the second's, and both end.
func TestObserversNest(t *testing.T) {
	t.Parallel()
	type key struct{}
	var seen calls
	first := func(r *http.Request, _ api.Call) (context.Context, func(int)) {
		return context.WithValue(r.Context(), key{}, "given"), func(int) { seen.add("first ends") }
	}
	second := func(r *http.Request, _ api.Call) (context.Context, func(int)) {
		seen.add(fmt.Sprint("second is ", r.Context().Value(key{})))
		return r.Context(), func(int) { seen.add("second ends") }
	}
	o := &stages{key: key{}}
	engine := query.New(views{}, query.Options{Observer: o})
	get(api.Observe(api.New(api.Options{Engine: engine}), first, second), "/api/search?q={}")
	if got, want := seen.take(), []string{"second is given", "second ends", "first ends"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	want := []string{"given parse", "given plan", "given evaluate", "given done {}"}
	if got := o.seen.take(); !slices.Equal(got, want) {
		t.Errorf("the engine tells %q, want %q", got, want)
	}
	c := dialStream(t, api.Observe(api.New(api.Options{Engine: engine}), first))
	if _, err := c.ask(t.Context(), "Search", `{"Query":"{}"}`); err != nil {
		t.Fatal(err)
	}
	if got := o.seen.take(); !slices.Equal(got, want) {
		t.Errorf("by gRPC the engine tells %q, want %q", got, want)
	}
}

// stages is a query.Observer that looks up a value of the context.
type stages struct {
	key  any
	seen calls
}

func (s *stages) Stage(ctx context.Context, stage query.Stage) func() {
	s.seen.add(fmt.Sprint(ctx.Value(s.key), " ", stage))
	return func() {}
}

func (s *stages) Done(ctx context.Context, w query.Work) {
	s.seen.add(fmt.Sprint(ctx.Value(s.key), " done ", w.Query))
}
