package api_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestImpossibleTimes: a span that ends before it starts took no time, and one
// whose sender gave no start, or no time at all, does not stretch its trace to 1970.
func TestImpossibleTimes(t *testing.T) {
	t.Parallel()
	base := (time.Now().Unix() - 240) / 60 * 60
	ns := func(ms int64) string { return strconv.FormatInt(base*1e9+ms*1e6, 10) }
	span := func(id, name, start, end string) any {
		return map[string]any{"traceId": "0000000000000000000000000000000b", "spanId": "100000000000000" + id, "name": name,
			"startTimeUnixNano": start, "endTimeUnixNano": end,
			"events": []any{map[string]any{"name": "e", "timeUnixNano": ns(5)}}}
	}
	payload := payloadOf(t, map[string]any{"resourceSpans": []any{map[string]any{"scopeSpans": []any{map[string]any{"spans": []any{
		span("1", "root", ns(0), ns(40)), span("2", "backwards", ns(20), ns(10)), span("3", "unstarted", "0", ns(30)), span("4", "timeless", "0", "0"),
	}}}}}})
	llm := httptest.NewRequest(http.MethodGet, "/api/v2/traces/b", nil)
	llm.Header.Set("Accept", "application/vnd.grafana.llm")
	w := httptest.NewRecorder()
	newServer(tablesOf(t, [][]byte{payload}, 1)).ServeHTTP(w, llm)
	if n := strings.Count(w.Body.String(), `"durationMs":0,`); n != 3 || w.Code != 200 {
		t.Errorf("%d of the spans for a language model took no time, want 3: %s", n, w.Body)
	}
	h := newServer(tablesOf(t, [][]byte{payload}, 1))
	for _, test := range []struct{ path, query, want string }{
		{"/api/search", `{ name = "root" }`, `"startTimeUnixNano":"` + ns(0) + `","durationMs":40`},
		{"/api/search", `{ traceDuration = 40ms }`, `"matched":4`},
		{"/api/search", `{ duration = 0 }`, `"matched":3`},
		{"/api/search", `{ duration < 0 }`, `"traces":[]`},
		{"/api/search", `{ event:timeSinceStart > 1h }`, `"traces":[]`},
		{"/api/search", `{ } | max(duration) <= 40ms`, `"matched":4`},
		{"/api/metrics/query", `{ } | sum_over_time(duration)`, `"value":0.04`},
		{"/api/metrics/query", `{ } | max_over_time(traceDuration)`, `"value":40000000`},
		{"/api/metrics/query", `{ } | count_over_time()`, `"value":3`}, // the one without any time is at no time
		{"/api/metrics/query", `{ } | quantile_over_time(duration, 1)`, `"value":0.067108864`},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path+"?"+url.Values{"q": {test.query},
			"start": {strconv.FormatInt(base-60, 10)}, "end": {strconv.FormatInt(base+60, 10)}}.Encode(), nil))
		if body := w.Body.String(); !strings.Contains(body, test.want) {
			t.Errorf("%s: want %s in %s", test.query, test.want, body)
		}
	}
}

// TestTimesWithoutEnd: a span that is said to last for ever is found, and no figure
// about it is negative.
func TestTimesWithoutEnd(t *testing.T) {
	t.Parallel()
	base := (time.Now().Unix() - 240) / 60 * 60
	start, never := strconv.FormatInt(base*1e9, 10), strconv.FormatUint(math.MaxUint64, 10)
	payload := payloadOf(t, map[string]any{"resourceSpans": []any{map[string]any{"scopeSpans": []any{map[string]any{"spans": []any{map[string]any{
		"traceId": "0000000000000000000000000000000c", "spanId": "1000000000000001", "name": "endless", "startTimeUnixNano": start, "endTimeUnixNano": never,
		"events": []any{map[string]any{"name": "late", "timeUnixNano": never}},
	}}}}}}})
	h := newServer(tablesOf(t, [][]byte{payload}, 1))
	for _, test := range []struct{ path, query, want string }{
		{"/api/search", `{ name = "endless" }`, `"durationMs":4294967295`},
		{"/api/search", `{ traceDuration > 0 && duration > 0 && event:timeSinceStart > 0 }`, `"matched":1`},
		{"/api/metrics/query", `{ } | max_over_time(traceDuration)`, `"value":9223372036854776000`},
		{"/api/metrics/query", `{ } | max_over_time(duration)`, `"value":9223372036.854776`},
		{"/api/metrics/query", `{ } | max_over_time(event:timeSinceStart)`, `"value":9223372036854776000`},
	} {
		w := get(h, test.path+"?"+url.Values{"q": {test.query},
			"start": {strconv.FormatInt(base-60, 10)}, "end": {strconv.FormatInt(base+60, 10)}}.Encode())
		if body := w.Body.String(); !strings.Contains(body, test.want) {
			t.Errorf("%s: want %s in %s", test.query, test.want, body)
		}
	}
}

// TestRootWithoutService: a root that has no service name is told from one that
// has not arrived.
func TestRootWithoutService(t *testing.T) {
	t.Parallel()
	base := time.Now().Unix() - 240
	request := func(id, parent string) []byte {
		span := map[string]any{"traceId": "000000000000000000000000000000" + id, "spanId": "1000000000000001", "name": "op",
			"startTimeUnixNano": strconv.FormatInt(base*1e9, 10), "endTimeUnixNano": strconv.FormatInt(base*1e9+1e6, 10)}
		if parent != "" {
			span["parentSpanId"] = parent
		}
		return payloadOf(t, map[string]any{"resourceSpans": []any{map[string]any{"scopeSpans": []any{map[string]any{"spans": []any{span}}}}}})
	}
	h := newServer(tablesOf(t, [][]byte{request("c1", ""), request("c2", "1000000000000002")}, 1))
	for query, want := range map[string]string{`{ trace:id = "c1" }`: "<root span without service name>", `{ trace:id = "c2" }`: "<root span not yet received>"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/search?"+url.Values{"q": {query}}.Encode(), nil))
		if body := w.Body.String(); !strings.Contains(body, `"rootServiceName":"`+want+`"`) {
			t.Errorf("%s: want %s in %s", query, want, body)
		}
	}
}
