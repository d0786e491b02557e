package prometheus

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestQueryTextsAreBounded: what would take the parser much memory is refused before
// it, on every route and in every place where a query may stand.
func TestQueryTextsAreBounded(t *testing.T) {
	t.Parallel()
	in := run(t, Options{})
	deep, long := strings.Repeat("(", 100_000), "up"+strings.Repeat("+1", 70_000)
	for name, test := range map[string]struct {
		path, parameter, text string
		want                  int
		answer                string
	}{
		"deep":             {"/api/v1/query", "query", deep, 400, "nested deeper than 200 levels"},
		"signs":            {"/api/v1/query_range", "query", strings.Repeat("- ", 300) + "1", 400, "nested deeper"},
		"long":             {"/api/v1/query", "query", long, 400, "may have 131072 bytes"},
		"operators":        {"/api/v1/query", "query", "up" + strings.Repeat("+1", 9000), 400, "16384 bytes outside of strings"},
		"alternatives":     {"/api/v1/query", "query", `up{job=~"` + strings.Repeat("a-long-name|", 5000) + `x"}`, 200, "success"},
		"exemplars":        {"/api/v1/query_exemplars", "query", deep, 400, "nested deeper"},
		"format":           {"/api/v1/format_query", "query", deep, 400, "nested deeper"},
		"series":           {"/api/v1/series", "match[]", deep, 400, "nested deeper"},
		"labels":           {"/api/v1/labels", "match[]", deep, 400, "nested deeper"},
		"values":           {"/api/v1/label/job/values", "match[]", deep, 400, "nested deeper"},
		"federate":         {"/federate", "match[]", deep, 400, "nested deeper"},
		"honest":           {"/api/v1/query", "query", "1" + strings.Repeat(" + (2 - -1)", 500), 200, "success"},
		"brackets in text": {"/api/v1/query", "query", `label_replace(vector(1), "a", "` + strings.Repeat("(", 300) + `", "", "") # ` + deep[:1000], 200, "success"},
	} {
		form := url.Values{test.parameter: {test.text}}.Encode()
		get := httptest.NewRequest(http.MethodGet, test.path+"?"+form, nil)
		post := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader(form))
		post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, r := range []*http.Request{get, post} {
			if r.Method == http.MethodPost && (name == "federate" || name == "values") {
				continue // GET only
			}
			w := httptest.NewRecorder()
			in.Handler().ServeHTTP(w, r)
			if w.Code != test.want || !strings.Contains(w.Body.String(), test.answer) {
				t.Errorf("%s by %s: %d %.200s; want %d with %q", name, r.Method, w.Code, w.Body, test.want, test.answer)
			}
		}
	}
	large := httptest.NewRequest(http.MethodPost, "/api/v1/query", strings.NewReader("query=1&x="+strings.Repeat("x", 2<<20)))
	large.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if in.Handler().ServeHTTP(w, large); w.Code != 400 || !strings.Contains(w.Body.String(), "too large") {
		t.Errorf("a body of 2 MiB: %d %.200s", w.Code, w.Body)
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "up": 0, "1 + 1": 1, "sum(rate(x{a=\"b\"}[5m]))": 3, "((1))": 2, "- - -1": 3, "-(-(-1))": 3,
		`"((("`: 0, "'\\'((('": 0, "`\\`(": 1, "# ((\n(": 1, `"(((`: 0, "(1)(1)": 1, "))))(": 0,
	} {
		if got, _ := measure(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
