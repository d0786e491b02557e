package telemetry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// visitor is a client of these tests alone: the default one has its idle
// connections closed whenever a test server closes, also that of another test.
var visitor = &http.Client{Transport: &http.Transport{}}

func TestHandler(t *testing.T) {
	t.Parallel()
	n := 0.0
	h := New(func(yield func(Sample)) {
		yield(Sample{Name: "etude_spans_total", Help: "Spans <taken>.", Labels: []Label{{"protocol", "otlp"}, {"kind", "a"}}, Value: n})
		yield(Sample{Name: "etude_head_bytes", Help: "Memory.", Gauge: true, Value: 7})
	}).Handler()
	n = 3
	s := httptest.NewServer(h)
	defer s.Close()
	tests := []struct {
		path   string
		status int
		want   []string
	}{
		{"/metrics", 200, []string{
			"# TYPE etude_spans_total counter\n" + `etude_spans_total{kind="a",protocol="otlp"} 3` + "\n",
			"# TYPE etude_head_bytes gauge\netude_head_bytes 7\n", "go_goroutines "}},
		{"/-/ready", 200, []string{"ready"}},
		{"/-/healthy", 200, []string{"healthy"}},
		{"/", 200, []string{`etude_spans_total{protocol=&#34;otlp&#34;, kind=&#34;a&#34;}`, "<td>3<td>Spans &lt;taken&gt;."}},
		{"/nothing", 404, nil},
	}
	for _, test := range tests {
		resp, err := visitor.Get(s.URL + test.path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("%s: %d, want %d", test.path, resp.StatusCode, test.status)
		}
		for _, want := range test.want {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s lacks %q:\n%s", test.path, want, body)
			}
		}
	}
}
