package api_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestCompareRoute asks by GET and by POST, and reads the answer as a client does:
// the parts, and the rows, add up to the difference.
func TestCompareRoute(t *testing.T) {
	t.Parallel()
	h := newServer(loadSet(t, "small", 1_700_000_000, 3))
	form := url.Values{"before": {"{ }"}, "after": {"{ status = error || name =~ \".*\" }"}, "limit": {"50"}}
	w := get(h, "/api/etude/compare?"+form.Encode())
	posted := httptest.NewRequest(http.MethodPost, "/api/etude/compare", strings.NewReader(form.Encode()))
	posted.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	again := httptest.NewRecorder()
	h.ServeHTTP(again, posted)
	if w.Code != 200 || again.Body.String() != w.Body.String() {
		t.Fatalf("%d %s, by POST %d %s", w.Code, w.Body, again.Code, again.Body)
	}
	var got struct {
		Before, After struct {
			Traces, Spans int
			MeanNanos     float64
			TraceIDs      []string
		}
		DifferenceNanos float64
		Parts           []struct{ DifferenceNanos float64 }
		Rows            []struct {
			Parent                                     int
			OwnDifferenceNanos, OverlapDifferenceNanos float64
			InsideDifferenceNanos                      float64
			Before, After                              *struct{ TraceID, SpanID string }
		}
		Others struct{ DifferenceNanos float64 }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	parts, rows := 0.0, got.Others.DifferenceNanos
	for _, p := range got.Parts {
		parts += p.DifferenceNanos
	}
	for _, r := range got.Rows {
		rows += r.OwnDifferenceNanos + r.OverlapDifferenceNanos
	}
	if got.Before.Traces == 0 || got.After.Traces == 0 || len(got.Rows) < 2 || len(got.Before.TraceIDs) == 0 {
		t.Errorf("%s", w.Body)
	}
	for what, sum := range map[string]float64{"parts": parts, "rows": rows, "the first row": got.Rows[0].InsideDifferenceNanos, "means": got.After.MeanNanos - got.Before.MeanNanos} {
		if math.Abs(sum-got.DifferenceNanos) > 1 {
			t.Errorf("%s add up to %g, the difference is %g", what, sum, got.DifferenceNanos)
		}
	}
	if short := get(h, "/api/etude/compare?rows=0&"+form.Encode()); short.Code != 200 || strings.Contains(short.Body.String(), `"rows":[`) {
		t.Errorf("rows=0: %d %s", short.Code, short.Body)
	}
}

func TestCompareMistakes(t *testing.T) {
	t.Parallel()
	h := newServer(views{})
	for target, want := range map[string]string{
		"?before=xyz&after=1":                    "before is neither the id of a trace nor a TraceQL query",
		"?before=1&after=2&colour=red":           "unknown parameter colour",
		"?before=1&after=2&limit=many":           `invalid limit: "many"`,
		"?before=1&after=2&limit=2000":           "at most 1000 traces",
		"?before=1&after=2&beforeStart=5":        "before: error parsing date range",
		"?before=usual&after=%7B+%7D":            "usual is what one trace is compared with",
		"?after=2":                               "before is empty",
		"?before=1&after=2":                      "after: no trace has the id 00000000000000000000000000000002",
		"?before=%7B+%7D+%7C+nonsense()&after=1": "before: invalid TraceQL query",
	} {
		if w := get(h, "/api/etude/compare"+target); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
	for body, want := range map[string]string{"{}": "must be a form", "before=%zz": "invalid form"} {
		r := httptest.NewRequest(http.MethodPost, "/api/etude/compare", strings.NewReader(body))
		if want == "invalid form" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("body %q: %d %q, want %q", body, w.Code, w.Body, want)
		}
	}
}
