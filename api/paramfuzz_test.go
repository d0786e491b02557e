package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"etude/api"
	"etude/query"
)

// FuzzParameters asks every route with any parameters: the answer is one of those
// that the API has, never a fault of ours.
func FuzzParameters(f *testing.F) {
	paths := []string{"/api/traces/7", "/api/v2/traces/7", "/api/search", "/api/etude/search", "/api/search/tags", "/api/v2/search/tags",
		"/api/search/tag/name/values", "/api/v2/search/tag/span.n/values", "/api/metrics/query", "/api/metrics/query_range"}
	for _, s := range []string{
		"q={ } | rate()&start=1&end=2&step=1", "q={ } | compare({ }, 5)&since=1h", "limit=1&spss=100&q={ } | by(name)", "tags=a=b c=\"d\"&minDuration=1s",
		"q={ } | quantile_over_time(duration, .5) by(span.n)&step=1e-9&end=99999999999999999999", "scope=span&q={ name=&maxStaleValues=1",
		"start=-1&end=1e300", "exemplars=4294967295&maxSeries=4294967295", "maxSpans=4294967295&mode=all", "step=NaN&q={ } | rate()", "since=99999999h",
		"limit=262144&spss=0&q={ } | select(span.text) | coalesce()", "q={ name =~ \"(a|b)*c{2,9}\" }",
	} {
		f.Add(s)
	}
	h := api.New(api.Options{Engine: query.New(bigTrace(20, 5), query.Options{MaxTime: time.Hour, MaxMemory: 64 << 20})})
	f.Fuzz(func(t *testing.T, params string) {
		v := url.Values{}
		for pair := range strings.SplitSeq(params, "&") {
			name, value, _ := strings.Cut(pair, "=")
			v.Add(name, value)
		}
		for _, path := range paths {
			for _, accept := range []string{"", "application/protobuf", "application/vnd.grafana.llm"} {
				r := httptest.NewRequest(http.MethodGet, path+"?"+v.Encode(), nil)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				switch w.Code {
				case 200, 400, 404, 422:
				default:
					t.Errorf("%s?%s (%s): %d %.200s", path, params, accept, w.Code, w.Body)
				}
			}
		}
	})
}
