package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"etude/api"
	"etude/internal/testkit"
	"etude/query"
)

// Three parts of one minute each lie on disk, and the oldest cannot be read. Every answer
// that needs it is an error that gives the reason; none is a part of the answer that looks
// like the whole.

const damage = "block 1234, column Spans: wrong checksum"

// damaged fails to open the oldest part, once ready is closed.
func damaged(t *testing.T, ready chan struct{}) lateSource {
	t.Helper()
	return lateSource{minutes(t, 3), 0, ready, errors.New(damage)}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestDamageIsTold(t *testing.T) {
	t.Parallel()
	h := newServer(damaged(t, closed()))
	all := url.QueryEscape("{ }")
	structural := url.QueryEscape(`{ name = "work" } && { kind = unspecified }`)
	for _, target := range []string{
		"/api/traces/1",
		"/api/v2/traces/1",
		"/api/search?limit=5000&q=" + all,
		"/api/search?limit=5000&q=" + structural,
		"/api/search?limit=5000&tags=name%3Dwork",
		"/api/search?limit=5000",
		"/api/etude/search?limit=5000&q=" + all,
		"/api/search/tags",
		"/api/v2/search/tags",
		"/api/v2/search/tags?q=" + url.QueryEscape(`{ name = "work" }`),
		"/api/search/tag/name/values",
		"/api/v2/search/tag/name/values",
		"/api/v2/search/tag/rootName/values",
		"/api/v2/search/tag/name/values?q=" + url.QueryEscape(`{ name = "work" }`),
		metricsTarget("query_range", "{ } | rate()", "&step=60"),
		metricsTarget("query_range", "{ } | quantile_over_time(duration, .5) by(name)", "&step=60"),
		metricsTarget("query_range", `{ } >> { name = "work" } | rate()`, "&step=60"),
		metricsTarget("query", "{ } | compare({ status = error })", ""),
		metricsTarget("query", "{ } | rate()", ""),
		"/api/etude/compare?after=00000000000000000000000000000001&before=" + all,
	} {
		w := get(h, target)
		if w.Code != 500 || !strings.Contains(w.Body.String(), damage) || !strings.Contains(w.Body.String(), "of the stored spans") {
			t.Errorf("%s: %d %.300s", target, w.Code, w.Body)
		}
	}
	for _, target := range []string{ // Nothing that the oldest part has is asked for.
		"/api/search?limit=5&q=" + all,
		fmt.Sprintf("/api/search?limit=5000&q=%s&start=%d&end=%d", all, metricsBase+70, metricsBase+200),
		fmt.Sprintf("/api/v2/search/tag/name/values?start=%d&end=%d", metricsBase+70, metricsBase+200),
		"/api/search?limit=5000&q=" + url.QueryEscape(`{ name = "nobody" }`),
	} {
		if w := get(h, target); w.Code != 200 {
			t.Errorf("%s: %d %.300s", target, w.Code, w.Body)
		}
	}
}

// TestDamageIsToldToStreams asks over gRPC: news of what could be read may come before the
// error, a last message without it may not.
func TestDamageIsToldToStreams(t *testing.T) {
	t.Parallel()
	for method, request := range map[string]string{
		"Search":              `{"Query": "{ }", "Limit": 5000}`,
		"SearchTags":          `{}`,
		"SearchTagsV2":        `{}`,
		"SearchTagValues":     `{"tagName": "name"}`,
		"SearchTagValuesV2":   `{"tagName": "name"}`,
		"MetricsQueryRange":   `{"query": "{ } | rate()", "start": "` + nanos(-60) + `", "end": "` + nanos(420) + `", "step": "60000000000"}`,
		"MetricsQueryInstant": `{"query": "{ } | rate()", "start": "` + nanos(-60) + `", "end": "` + nanos(420) + `"}`,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			news := method == "Search" // begins with the newest parts, which can be read
			ready, told := closed(), false
			if news {
				ready = make(chan struct{})
			}
			c := dialStream(t, api.New(api.Options{Engine: query.New(damaged(t, ready), query.Options{}), ProgressInterval: time.Millisecond}))
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			_, err := c.each(ctx, method, request, func(m *dynamicpb.Message) {
				if news && !told && len(resultsOf(m)) > 0 {
					told = true
					close(ready)
				}
			})
			if s := status.Convert(err); s.Code() != codes.Internal || !strings.Contains(s.Message(), damage) || told != news {
				t.Errorf("%v; news: %t", err, told)
			}
		})
	}
	for method := range streamMethods {
		if !strings.Contains("Search SearchTags SearchTagsV2 SearchTagValues SearchTagValuesV2 MetricsQueryRange MetricsQueryInstant", method) {
			t.Errorf("%s is not tested", method)
		}
	}
}

// TestDamageIsTheLastLine has the part fail after lines of the others were sent.
func TestDamageIsTheLastLine(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{})
	h := api.New(api.Options{Engine: query.New(damaged(t, ready), query.Options{}), ProgressInterval: time.Millisecond})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	traces, open := 0, true
	all := readSearchLines(t, askLines(t, ctx, server, false).Body, func(l searchLine) {
		if l.Trace != nil {
			traces++
		}
		if traces > 0 && open {
			open = false
			close(ready)
		}
	})
	last := all[len(all)-1]
	if !strings.Contains(last.Error, damage) || last.End != nil || traces == 0 || traces >= 30 {
		t.Errorf("%d traces, the last line of %d: %+v", traces, len(all), last)
	}
}
