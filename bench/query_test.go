package bench

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// fakeAPI answers as Tempo would from what a fake receiver has.
type fakeAPI struct {
	*fake
	late int // how many looks miss before a trace is found

	mu    sync.Mutex
	looks map[string]int
	asked map[string]bool
	wait  int // requests to the fake before tags are answered
}

func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[r.URL.Path+" "+r.URL.Query().Get("q")] = true
	id, byID := strings.CutPrefix(r.URL.Path, "/api/v2/traces/")
	query := r.URL.Query().Get("q")
	if !byID {
		id = ""
	}
	if !byID && query == "{broken}" {
		http.Error(w, "no such thing", http.StatusBadRequest)
		return
	}
	if !byID && r.URL.Path != "/api/search" {
		for a.fake.seen() < a.wait { // the test of what runs beside must not be over before it
			runtime.Gosched()
		}
		fmt.Fprint(w, `{"scopes":[]}`)
		return
	}
	span, service := a.find(id + query)
	if key := id + query; span != nil {
		if a.looks[key]++; a.looks[key] <= a.late {
			span = nil
		}
	}
	switch {
	case byID && span == nil:
		http.NotFound(w, r)
	case byID:
		value := span.Attributes[len(span.Attributes)-1]
		fmt.Fprintf(w, `{"trace":{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},
			"scopeSpans":[{"spans":[{"name":%q,"attributes":[{"key":%q,"value":{"stringValue":%q}}]}]}]}]}}`,
			service, span.Name, value.Key, value.Value.GetStringValue())
	case span == nil:
		fmt.Fprint(w, `{"traces":[]}`)
	default:
		fmt.Fprintf(w, `{"traces":[{"traceID":"%x"}]}`, span.TraceId)
	}
}

// find returns a span whose trace id or value is in the text; `{}` is any.
func (a *fakeAPI) find(text string) (*tracepb.Span, string) {
	a.fake.mu.Lock()
	defer a.fake.mu.Unlock()
	for i, s := range a.spans {
		value := s.Attributes[len(s.Attributes)-1].Value.GetStringValue()
		if text == "{}" || strings.Contains(text, hex.EncodeToString(s.TraceId)) || strings.Contains(text, value) {
			return s, a.resource[i]
		}
	}
	return nil, ""
}

func newFakeAPI(t *testing.T, late int) (*fakeAPI, string) {
	a := &fakeAPI{fake: &fake{t: t}, late: late, looks: map[string]int{}, asked: map[string]bool{}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return a, s.URL
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		late    int
		by      string
		timeout time.Duration
	}{{0, "id", time.Minute}, {3, "value", time.Minute}, {1 << 30, "id", time.Millisecond}} {
		a, api := newFakeAPI(t, test.late)
		o := FreshnessOptions{Target: a.fake.http(""), API: api, Traces: 12, Warmup: 2, SearchBy: test.by, Timeout: max(test.timeout, 500*time.Millisecond)}
		if test.late > 100 {
			o.Traces = 1
		}
		r, err := Freshness(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range []Found{r.ByID, r.BySearch} {
			if test.late > 100 && (found.Missing != 1 || found.Looks != 0) {
				t.Errorf("never found: %+v", found)
			}
			if test.late < 100 && (found.Looks != float64(test.late+1) || found.Missing != 0 || found.Max <= 0) {
				t.Errorf("found after %d misses: %+v", test.late, found)
			}
		}
		var table bytes.Buffer
		if err := r.Write(&table); err != nil || !strings.Contains(table.String(), "then by id") {
			t.Errorf("%v\n%s", err, &table)
		}
	}
}

// TestFreshnessWithoutAnAnswer measures a backend that does not answer in time.
func TestFreshnessWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	f := &fake{t: t}
	r, err := Freshness(t.Context(), FreshnessOptions{Target: f.http(""), API: silent.URL, Traces: 2, SearchBy: "id", Timeout: 100 * time.Millisecond})
	if err != nil || r.ByID.Missing != 2 || r.BySearch.Missing != 2 {
		t.Errorf("%+v, %v; want both missing", r, err)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	a, api := newFakeAPI(t, 0)
	target := a.fake.http("")
	o := options(target)
	o.Spans = 70
	ingest(t, o)
	a.wait = a.fake.seen() + 1
	file := filepath.Join(t.TempDir(), "queries")
	if err := os.WriteFile(file, []byte("# two\nbad: {broken}\n\nfound : {span.app.request.id=\"$VALUE\" && name=\"$NAME\"}\ntags: /api/v2/search/tags\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Query(t.Context(), QueryOptions{API: api, File: file, Count: 7, Warmup: 1, Limit: 3, Last: time.Hour, Timeout: time.Minute, Budget: time.Minute, IngestFull: true, Batch: 20, Concurrency: 3, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	if bad := r.Queries[0]; bad.Errors != 7 || bad.Error != "HTTP 400: no such thing\n" || bad.times.Count() != 0 {
		t.Errorf("%+v", bad)
	}
	if found := r.Queries[1]; found.Errors != 0 || found.times.Count() != 7 || found.Max <= 0 || strings.Contains(found.Query, "$") {
		t.Errorf("%+v", found)
	}
	if r.IngestRate <= 0 {
		t.Errorf("no ingest beside it")
	}
	if !a.asked["/api/v2/search/tags "] {
		t.Errorf("asked %v", a.asked)
	}
	var table bytes.Buffer
	if err := r.Write(&table); err != nil || !strings.Contains(table.String(), "HTTP 400") {
		t.Errorf("%v\n%s", err, &table)
	}
}

func TestQueryWithoutTraces(t *testing.T) {
	t.Parallel()
	_, api := newFakeAPI(t, 0)
	_, err := Query(context.Background(), QueryOptions{API: api, Count: 1, Limit: 1, Timeout: time.Minute, Budget: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "etude bench ingest") {
		t.Errorf("error %v", err)
	}
	_, err = Query(context.Background(), QueryOptions{API: "http://203.0.113.9:3200", Count: 1, Limit: 1, Timeout: time.Minute, Budget: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Errorf("error %v", err)
	}
}

func FuzzQueries(f *testing.F) {
	f.Add(builtinQueries)
	f.Add("a: {}\n#\nb:/api/echo")
	f.Add(":")
	f.Add("{a:b}")
	f.Fuzz(func(t *testing.T, text string) {
		queries, err := parseQueries(text)
		if (err == nil) != (len(queries) > 0) {
			t.Errorf("%d queries and error %v", len(queries), err)
		}
		for _, q := range queries {
			if q.Name == "" || q.path(&QueryOptions{Limit: 1}, time.Now())[0] != '/' {
				t.Errorf("query %+v", q)
			}
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x02, 0x08, 0x07})
	f.Add([]byte{0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		rejected, message, err := readResponse(b)
		if rejected < 0 || err != nil && (rejected != 0 || message != "") {
			t.Errorf("rejected %d, message %q, error %v", rejected, message, err)
		}
	})
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	f := &fake{t: t}
	o := options(f.grpc())
	o.Spans, o.Rate = 1300, 1000
	read, write := io.Pipe()
	line := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n, _ := read.Read(b)
		line <- string(b[:n])
		_, _ = io.Copy(io.Discard, read)
	}()
	if _, err := Ingest(t.Context(), o, write); err != nil {
		t.Fatal(err)
	}
	if got := <-line; !strings.Contains(got, "spans accepted") {
		t.Errorf("progress line %q", got)
	}
}
