package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
)

// metricsBase is where the data set of these tests begins, a whole minute.
const metricsBase = 1_700_000_040

func metricsTarget(path, query, rest string) string {
	return "/api/metrics/" + path + "?q=" + url.QueryEscape(query) + fmt.Sprintf("&start=%d&end=%d", metricsBase-60, metricsBase+420) + rest
}

// TestMetricsFitTheSchema reads answers as strictly as Grafana does.
func TestMetricsFitTheSchema(t *testing.T) {
	t.Parallel()
	fd := schema(t)
	h := newServer(loadSet(t, "small", metricsBase, 1))
	for _, query := range []string{
		`{ } | rate()`, `{ } | rate() by(span.ratio, kind, span.cache.hit)`, `{ } | quantile_over_time(duration, .5, 1) by(.shared.attr)`,
		`{ } | histogram_over_time(duration)`, `{ status = error } | compare({ kind = server })`, `{ name = "none" } | max_over_time(duration)`,
	} {
		for path, message := range map[string]string{"query": "QueryInstantResponse", "query_range": "QueryRangeResponse"} {
			w := get(h, metricsTarget(path, query, "&step=60&maxSeries=3"))
			m := newMessage(fd, message)
			if err := protojson.Unmarshal(w.Body.Bytes(), m); err != nil || w.Code != http.StatusOK {
				t.Errorf("%s of %s: %d, %v in %.300s", path, query, w.Code, err, w.Body)
			}
			empty := path == "query" && strings.Contains(query, "none") // where Tempo leaves the list out
			if strings.Contains(w.Body.String(), `"series":[`) == empty || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s of %s: %s %.100s", path, query, w.Header(), w.Body)
			}
		}
	}
}

func TestMetricsErrors(t *testing.T) {
	t.Parallel()
	h := newServer(nil)
	rate := "q=" + url.QueryEscape("{ } | rate()")
	for params, want := range map[string]string{
		"":                                    "parse error",
		"q=" + url.QueryEscape("{ }"):         "not a metrics query",
		rate + "&start=5&end=4":               "end must be greater than start",
		rate + "&start=x":                     "invalid start",
		rate + "&end=x":                       "invalid end",
		rate + "&since=x":                     "invalid since",
		rate + "&step=x":                      "invalid step",
		rate + "&step=0":                      "invalid step",
		rate + "&step=-1s":                    "invalid step",
		rate + "&step=NaN":                    "invalid step",
		rate + "&start=0&end=100&step=1ms":    "minimum step for given range is 10ms",
		rate + "&start=0&end=2700000":         "maximum allowed duration of 744h0m0s",
		rate + "&start=0&end=60&step=25h":     "exceeds the maximum of 24h",
		rate + "&exemplars=-1":                "invalid exemplars",
		rate + "&maxSeries=x":                 "invalid maxSeries",
		"query=" + url.QueryEscape("{ } | x"): "parse error",
	} {
		w := get(h, "/api/metrics/query_range?"+params)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %q, want 400 %q", params, w.Code, w.Body, want)
		}
	}
	if w := get(h, "/api/metrics/query?"+rate+"&start=5&end=5"); w.Code != http.StatusBadRequest {
		t.Errorf("instant query of no time: %d %q", w.Code, w.Body)
	}
}

func TestMetricsPartial(t *testing.T) {
	t.Parallel()
	h := newServer(loadSet(t, "small", metricsBase, 1))
	for limit, want := range map[int]bool{1: true, 2: false} {
		w := get(h, metricsTarget("query", "{ } | rate()", fmt.Sprintf("&maxSeries=%d", limit)))
		if got := strings.Contains(w.Body.String(), `"status":"PARTIAL","message":"Response exceeds maximum series limit of`); got != want {
			t.Errorf("one series with a limit of %d: %s", limit, w.Body)
		}
	}
	w := get(h, metricsTarget("query", "{ } | rate() by(kind)", "&maxSeries=2"))
	var answer struct{ Series []any }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.Series) != 2 {
		t.Errorf("%d series, %v", len(answer.Series), err)
	}
}

// TestMetricsExemplars checks that exemplars name spans that can be found, at
// most one a trace and as many as were asked for.
func TestMetricsExemplars(t *testing.T) {
	t.Parallel()
	h := newServer(loadSet(t, "small", metricsBase, 1))
	for rest, most := range map[string]int{"": 60, "&exemplars=8": 8} {
		w := get(h, metricsTarget("query_range", `{ } | rate() by(resource.service.name)`, "&step=60"+rest))
		seen := map[string]bool{}
		for _, id := range exemplarTraces(t, w.Body.Bytes()) {
			if seen[id] {
				t.Errorf("trace %s has two exemplars", id)
			}
			seen[id] = true
			if found := get(h, "/api/v2/traces/"+id); !strings.Contains(found.Body.String(), "resourceSpans") {
				t.Errorf("exemplar of unknown trace %q", id)
			}
		}
		if len(seen) == 0 || len(seen) > most {
			t.Errorf("%d exemplars with %q, want 1 to %d", len(seen), rest, most)
		}
	}
	w := get(h, metricsTarget("query_range", `{ } | rate() with(exemplars=false)`, "&step=60&exemplars=8"))
	if strings.Contains(w.Body.String(), "exemplars") {
		t.Errorf("exemplars in spite of the hint: %s", w.Body)
	}
}

func exemplarTraces(t *testing.T, body []byte) (ids []string) {
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	for _, s := range objects(answer["series"]) {
		for _, x := range objects(s["exemplars"]) {
			for _, l := range objects(x["labels"]) {
				if l["key"] == "trace:id" {
					ids = append(ids, text(object(l["value"])["stringValue"]))
				}
			}
		}
	}
	return ids
}

// TestNewestSpansCount checks that nothing of the last seconds is hidden: the
// default range ends now.
func TestNewestSpansCount(t *testing.T) {
	t.Parallel()
	h := newServer(loadSet(t, "small", time.Now().Unix()-241, 1)) // its last spans are a second old
	total := 0.0
	for _, path := range []string{"query", "query_range"} {
		w := get(h, "/api/metrics/"+path+"?since=10m&q="+url.QueryEscape("{ } | count_over_time()"))
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, s := range objects(answer["series"]) {
			sum += valueOrZero(s["value"]).(float64)
			for _, x := range objects(s["samples"]) {
				sum += valueOrZero(x["value"]).(float64)
			}
		}
		if total = max(total, sum); sum != total || sum < 400 {
			t.Errorf("%s counts %g spans, want %g", path, sum, total)
		}
	}
}
