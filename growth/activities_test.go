package growth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"etude/api"
	"etude/internal/testkit"
	"etude/metrics/generator"
	"etude/otlp"
	"etude/query"
	"etude/trace"
)

// activity is work on what was sent, done in the order of the list.
type activity struct {
	name string
	do   func(*state)
}

// state is what the activities hand on.
type state struct {
	t        testing.TB
	limits   trace.Limits
	requests [][]byte
	apart    bool // see dimension
	json     [][]byte

	first, second *trace.Table // second is like first
	views         []*trace.View
	handler       http.Handler
	generator     *generator.Generator
	tables        tables
}

// tables is the source of queries.
type tables struct{ views []*trace.View }

func (s *tables) Head() []*trace.View { return s.views }

func (s *tables) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	return testkit.Views(s.views).Snapshot(ctx)
}

var activities = []activity{
	{"write as JSON", func(s *state) {
		for i, r := range s.requests {
			valid, _, err := otlp.Validate(r)
			s.check(err)
			s.requests[i] = valid
			s.json = append(s.json, otlp.ToJSON(nil, valid, otlp.OTLPJSON))
		}
	}},
	{"read JSON", func(s *state) {
		for _, text := range s.json {
			_, err := otlp.FromJSON(text)
			s.check(err)
		}
	}},
	{"fill a table", func(s *state) { s.first = trace.NewTable(); s.fill(s.first) }},
	{"seal it", func(s *state) { s.first.Seal(); s.views = append(s.views, s.first.View()) }},
	{"fill a table like it", func(s *state) { s.second = trace.NewTableLike(s.first.View()); s.fill(s.second) }},
	{"count from a growing table", func(s *state) {
		s.tables.views = []*trace.View{trace.NewTable().View()}
		g, err := generator.New(generator.Options{Source: &s.tables, Out: nowhere{}, Slack: 100 * 365 * 24 * time.Hour,
			Processors:  []generator.Processor{generator.SpanMetrics, generator.ServiceGraphs, generator.HostInfo},
			SpanMetrics: generator.SpanMetricsOptions{Dimensions: []string{"key-0", "key-99"}, TargetInfo: true}})
		s.check(err)
		s.generator = g
		s.tables.views = []*trace.View{s.views[0], s.second.View()}
		g.Read(time.Now())
	}},
	{"collect metrics", func(s *state) { s.check(s.generator.Collect(context.Background(), time.Now())) }},
	{"trace by id as protobuf", get("/api/v2/traces/"+id, "Accept", "application/protobuf")},
	{"trace by id as JSON", get("/api/traces/" + id)},
	{"trace by id for a language model", get("/api/v2/traces/"+id, "Accept", "application/vnd.grafana.llm")},
	{"search all", search("{ }")},
	{"search by a key", search(`{ span.key-99 = "value" || .key-3 != nil || event.key-1 = "value" || link.key-1 = "value" }`)},
	{"search and select", search(`{ } | select(span.key-0, span.key-99, event.key-1, resource.key-2)`)},
	{"search by structure", search(`{ } >> { name = "operation" }`)},
	{"search by parents", search(`{ } > { } | count() > 1`)},
	{"search by groups", search(`{ } | by(span.key-0) | count() > 0`)},
	{"search in vain", search(`{ } | count() > 1000000`)},
	{"search by structure in vain", search(`{ name = "operation" } >> { name = "nothing" || name = "operation" } | count() > 1000000`)},
	{"tag names", get("/api/v2/search/tags")},
	{"tag names, narrowed", get("/api/v2/search/tags?q=" + url.QueryEscape(`{ name = "operation" }`))},
	{"tag values", get("/api/v2/search/tag/.key-0/values")},
	{"values of services", get("/api/v2/search/tag/resource.service.name/values")},
	{"rate by key", metric(`{ } | rate() by (span.key-0, span.key-99)`)},
	{"quantiles by name", metric(`{ } | quantile_over_time(duration, .9) by (name)`)},
	{"compare", metric(`{ } | compare({ span.key-0 = "value" })`)},
}

// fill adds all requests, and looks at the table eight times on the way.
func (s *state) fill(t *trace.Table) {
	t.Limit(s.limits)
	for i, r := range s.requests {
		_, err := otlp.Append(t, r, start)
		s.check(err)
		if i%(len(s.requests)/8+1) == 0 {
			_ = t.View()
		}
	}
	if t == s.first {
		return
	}
	s.views = append(s.views, t.View())
	if !s.apart {
		return
	}
	s.views = nil
	for _, r := range s.requests {
		alone := trace.NewTable()
		_, err := otlp.Append(alone, r, start)
		s.check(err)
		alone.Seal()
		s.views = append(s.views, alone.View())
	}
}

func (s *state) check(err error) {
	if err != nil {
		s.t.Fatal(err)
	}
}

var id = fmt.Sprintf("%x", traceID(1))

// get asks the API.
func get(path string, headers ...string) func(*state) {
	return func(s *state) {
		if s.handler == nil {
			s.handler = api.New(api.Options{Engine: query.New(&tables{s.views}, query.Options{MaxMemory: -1})})
		}
		r := httptest.NewRequest(http.MethodGet, path, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
			s.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func search(q string) func(*state) {
	return get("/api/search?limit=100&spss=100&q=" + url.QueryEscape(q))
}

func metric(q string) func(*state) {
	const second = start / 1_000_000_000
	return get(fmt.Sprintf("/api/metrics/query_range?start=%d&end=%d&step=10s&q=%s", second-60, second+60, url.QueryEscape(q)))
}

// nowhere takes samples.
type nowhere struct{}

func (nowhere) AppenderV2(context.Context) storage.AppenderV2 { return nowhere{} }
func (nowhere) Append(storage.SeriesRef, labels.Labels, int64, int64, float64, *histogram.Histogram, *histogram.FloatHistogram, storage.AppendV2Options) (storage.SeriesRef, error) {
	return 1, nil
}
func (nowhere) Commit() error   { return nil }
func (nowhere) Rollback() error { return nil }
