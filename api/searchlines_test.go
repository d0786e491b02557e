package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"etude/api"
	"etude/internal/testkit"
	"etude/query"
)

// searchLine is a line of the answer of /api/etude/search.
type searchLine struct {
	Trace    any
	Progress *struct {
		CompletedJobs, TotalJobs, InspectedTraces, InspectedSpans int
		ReachedUnixNano                                           string
	}
	End   any
	Error string
}

func readSearchLines(t *testing.T, body io.Reader, each func(searchLine)) (all []searchLine) {
	t.Helper()
	in := bufio.NewScanner(body)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		var l searchLine
		d := json.NewDecoder(strings.NewReader(in.Text()))
		if err := d.Decode(&l); err != nil {
			t.Fatalf("line %q: %v", in.Text(), err)
		}
		all = append(all, l)
		each(l)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// lateServer answers from three parts, the oldest of which cannot be read before told
// is closed.
func lateServer(t *testing.T, told chan struct{}, o query.Options) *httptest.Server {
	t.Helper()
	h := api.New(api.Options{Engine: query.New(lateSource{minutes(t, 3), 0, told, nil}, o), ProgressInterval: time.Millisecond})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func askLines(t *testing.T, ctx context.Context, server *httptest.Server, gzip bool) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/etude/search?limit=5000&q="+url.QueryEscape("{ } | select(name)"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !gzip {
		r.Header.Set("Accept-Encoding", "identity")
	}
	w, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Body.Close() })
	return w
}

// TestSearchLinesAreTheAnswer holds the oldest part until traces of the others have
// come, and compares all lines with the answer of /api/search.
func TestSearchLinesAreTheAnswer(t *testing.T) {
	t.Parallel()
	for _, gzip := range []bool{false, true} {
		t.Run(fmt.Sprint("gzip ", gzip), func(t *testing.T) {
			t.Parallel()
			told := make(chan struct{})
			server := lateServer(t, told, query.Options{})
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			w := askLines(t, ctx, server, gzip)
			var traces []any
			early, open := 0, true
			all := readSearchLines(t, w.Body, func(l searchLine) {
				switch {
				case l.Trace != nil:
					traces = append(traces, l.Trace)
				case l.Progress != nil && len(traces) > 0 && open:
					early, open = len(traces), false
					if p := l.Progress; p.TotalJobs != 3 || p.CompletedJobs >= 3 || p.InspectedSpans < early || len(p.ReachedUnixNano) != 19 {
						t.Errorf("progress: %+v", *p)
					}
					close(told)
				}
			})
			if early == 0 || all[len(all)-1].End == nil || w.Header.Get("Content-Type") != "application/x-ndjson" || w.Uncompressed != gzip {
				t.Fatalf("%d traces before the end; the last line of %d: %+v", early, len(all), all[len(all)-1])
			}
			var want struct{ Traces []any }
			body := get(server.Config.Handler, "/api/search?limit=5000&q="+url.QueryEscape("{ } | select(name)")).Body.Bytes()
			if err := json.Unmarshal(body, &want); err != nil || len(want.Traces) != 30 || !reflect.DeepEqual(want.Traces, traces) {
				t.Errorf("%d traces, not the %d of /api/search, %v", len(traces), len(want.Traces), err)
			}
		})
	}
}

// TestSearchLinesSayWhatFailed has a search run out of time after its first lines, and
// refuses others before.
func TestSearchLinesSayWhatFailed(t *testing.T) {
	t.Parallel()
	server := lateServer(t, make(chan struct{}), query.Options{MaxTime: 300 * time.Millisecond})
	w := askLines(t, t.Context(), server, false)
	all := readSearchLines(t, w.Body, func(searchLine) {})
	if last := all[len(all)-1]; len(all) < 2 || !strings.Contains(last.Error, "--max-query-time") || last.End != nil {
		t.Errorf("the last line of %d: %+v", len(all), last)
	}
	for target, want := range map[string]string{"?q=%7B": "invalid TraceQL query", "?limit=x": "invalid limit"} {
		if w := get(server.Config.Handler, "/api/etude/search"+target); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

// TestSearchLinesAreCanceled has a client leave while its search holds the only place.
func TestSearchLinesAreCanceled(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	server := lateServer(t, told, query.Options{MaxConcurrent: 1})
	ctx, cancel := context.WithCancel(t.Context())
	w := askLines(t, ctx, server, false)
	if _, err := bufio.NewReader(w.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	// An answer at once would need the place; the part that is late is not read.
	r := get(server.Config.Handler, fmt.Sprintf("/api/search?q=%%7B%%7D&start=%d&end=%d", metricsBase+120, metricsBase+150))
	if r.Code != 200 {
		t.Errorf("the next query: %d %s", r.Code, r.Body)
	}
	close(told)
}
