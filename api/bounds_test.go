package api_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etude/api"
	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
)

// bigTrace holds one trace of n spans with an attribute of some length.
func bigTrace(n, text int) views { return bigTracePart(0, n, text) }

// bigTracePart holds n spans of it, from one on.
func bigTracePart(from, n, text int) views {
	t := trace.NewTable()
	resource, w := t.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("shop"))
	t.EndResource()
	scope, _ := t.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	t.EndScope()
	value := []byte(strings.Repeat("x", text))
	for i := from; i < from+n; i++ {
		start := uint64(metricsBase)*1e9 + uint64(i)
		row := trace.Span{TraceID: trace.TraceID{15: 7}, Start: start, End: start + 1000, Scope: scope, Name: []byte("work")}
		binary.BigEndian.PutUint64(row.SpanID[:], uint64(i+1))
		if i > 0 {
			binary.BigEndian.PutUint64(row.Parent[:], uint64(i/8+1))
		}
		w := t.AddSpan(&row)
		w.AddText([]byte("text"), trace.String, value)
		w.AddNum([]byte("n"), trace.Int, uint64(i))
		t.EndSpan()
	}
	return views{t.View()}
}

// wholeForms are the ways to ask for a whole trace.
var wholeForms = map[string][]string{
	"v1 JSON":     {"/api/traces/7"},
	"v1 protobuf": {"/api/traces/7", "Accept", "application/protobuf"},
	"v2 JSON":     {"/api/v2/traces/7"},
	"v2 protobuf": {"/api/v2/traces/7", "Accept", "application/protobuf"},
	"LLM":         {"/api/v2/traces/7", "Accept", "application/vnd.grafana.llm"},
	"gzip":        {"/api/v2/traces/7", "Accept-Encoding", "gzip"},
}

// meter is a client that only counts.
type meter struct {
	header       http.Header
	status       int
	size, writes int
	largest      int
	each         func()
}

func (m *meter) Header() http.Header    { return m.header }
func (m *meter) WriteHeader(status int) { m.status = status }
func (m *meter) Write(p []byte) (int, error) {
	m.writes++
	m.size += len(p)
	m.largest = max(m.largest, len(p))
	if m.each != nil {
		m.each()
	}
	return len(p), nil
}

func request(form []string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, form[0], nil)
	for i := 1; i+1 < len(form); i += 2 {
		r.Header.Set(form[i], form[i+1])
	}
	return r
}

// TestWholeTraceStreams asks for a trace of 100,000 spans: no piece is large, and
// what the answer keeps does not grow with its size.
func TestWholeTraceStreams(t *testing.T) {
	spans := 100_000
	if testing.Short() {
		spans = 20_000
	}
	e := query.New(bigTrace(spans, 100), query.Options{MaxTime: time.Hour})
	h := api.New(api.Options{Engine: e})
	for name, form := range wholeForms {
		var peak int64
		m := &meter{header: http.Header{}, each: func() { peak = max(peak, e.Stats().Memory) }}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.ServeHTTP(m, request(form))
		runtime.ReadMemStats(&after)
		if m.status != 200 || m.size < spans*8 || name != "gzip" && m.size < spans*150 {
			t.Errorf("%s: status %d, %d bytes", name, m.status, m.size)
		}
		if m.largest > 64<<10 {
			t.Errorf("%s: a piece of %d bytes", name, m.largest)
		}
		// The places of the spans, and a buffer.
		if peak < int64(spans*16) || peak > int64(spans*300+256<<10) {
			t.Errorf("%s: counts %d bytes of memory", name, peak)
		}
		// The allowance is for garbage made on the way: JSON for models is read again.
		most := uint64(spans * 1200) // twice what it is, for the race detector
		if name == "LLM" {
			most = uint64(spans * 10_000)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Errorf("%s: allocates %d bytes, want at most %d", name, got, most)
		}
		if left := e.Stats().Memory; left != 0 {
			t.Errorf("%s: %d bytes are counted afterwards", name, left)
		}
	}
}

// TestAnswerEndsWhenItsClientLeaves has the client leave after the third piece.
func TestAnswerEndsWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	table := bigTrace(20_000, 200)
	e := query.New(table, query.Options{MaxTime: time.Hour})
	var statuses []int
	h := api.Observe(api.New(api.Options{Engine: e}), func(r *http.Request, _ api.Call) (ctx context.Context, end func(int)) {
		return r.Context(), func(status int) { statuses = append(statuses, status) }
	})
	forms := map[string][]string{
		"search":  {"/api/search?spss=100&q=" + url.QueryEscape("{ } | by(span:id) | select(span.text)")},
		"metrics": {metricsTarget("query_range", "{ } | rate() by(span:id)", "")},
	}
	for name, form := range wholeForms {
		if name != "gzip" { // that answer is too small
			forms[name] = form
		}
	}
	for name, form := range forms {
		r := request(form)
		ctx, leave := context.WithCancel(r.Context())
		m := &meter{header: http.Header{}}
		m.each = func() {
			if m.writes == 3 {
				leave()
			}
		}
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%s: the answer ends with %v, want an aborted connection", name, p)
				}
			}()
			h.ServeHTTP(m, r.WithContext(ctx))
		}()
		if m.writes > 4 {
			t.Errorf("%s: %d pieces after the client has left", name, m.writes-3)
		}
		if last := statuses[len(statuses)-1]; last != 499 {
			t.Errorf("%s: observers hear %d, want 499", name, last)
		}
		if left := e.Stats().Memory; left != 0 {
			t.Errorf("%s: %d bytes are counted afterwards", name, left)
		}
	}
}

// TestAnswerEndsAtItsTime has a client that takes a second for each piece.
func TestAnswerEndsAtItsTime(t *testing.T) {
	t.Parallel()
	table := bigTrace(20_000, 200)
	synctest.Test(t, func(t *testing.T) {
		e := query.New(table, query.Options{MaxTime: 5 * time.Second})
		status := 0
		h := api.Observe(api.New(api.Options{Engine: e}), func(r *http.Request, _ api.Call) (context.Context, func(int)) {
			return r.Context(), func(s int) { status = s }
		})
		began := time.Now()
		defer func() {
			if p := recover(); p != http.ErrAbortHandler || status != http.StatusGatewayTimeout || time.Since(began) > 6*time.Second {
				t.Errorf("ends with %v and status %d after %s", p, status, time.Since(began))
			}
			if n := e.Stats().Limits["time"]; n != 1 {
				t.Errorf("%d queries are counted as having met the limit, want 1", n)
			}
		}()
		h.ServeHTTP(&meter{header: http.Header{}, each: func() { time.Sleep(time.Second) }}, request(wholeForms["v2 JSON"]))
	})
}

// TestSlowReaderLendsItsPlace has a client that never reads hold the only place.
func TestSlowReaderLendsItsPlace(t *testing.T) {
	t.Parallel()
	e := query.New(bigTrace(50_000, 200), query.Options{MaxConcurrent: 1, MaxTime: time.Hour})
	server := httptest.NewServer(api.New(api.Options{Engine: e, Stall: time.Hour}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /api/v2/traces/7 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	until(t, "the answer begins", func() bool { return e.Stats().Memory > 0 })
	answer, err := server.Client().Get(server.URL + "/api/search")
	if err != nil || answer.StatusCode != 200 {
		t.Errorf("another query: %v, %v", answer, err)
	}
	_ = conn.Close()
	until(t, "the answer has ended", func() bool { return e.Stats().Memory == 0 })
}

// TestStalledReaderIsCutOff has clients that never read, over HTTP and gRPC.
func TestStalledReaderIsCutOff(t *testing.T) {
	t.Parallel()
	e := query.New(bigTrace(50_000, 200), query.Options{MaxTime: time.Hour})
	h := api.New(api.Options{Engine: e, Stall: 50 * time.Millisecond})
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /api/v2/traces/7 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	until(t, "the answer begins", func() bool { return e.Stats().Memory > 0 })
	until(t, "the answer is cut off", func() bool { return e.Stats().Memory == 0 })
	if text, err := io.ReadAll(conn); strings.HasSuffix(string(text), "0\r\n\r\n") {
		t.Errorf("%d bytes (%v) look like a whole answer", len(text), err)
	}

	stream, err := dialStream(t, h).open(t.Context(), "Search", `{"Query": "{ } | by(span:id) | select(span.text)", "SpansPerSpanSet": 100}`)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the stream begins", func() bool { return e.Stats().Memory > 0 })
	until(t, "the stream is cut off", func() bool { return e.Stats().Memory == 0 })
	for err == nil {
		err = stream.RecvMsg(newMessage(schema(t), "SearchResponse"))
	}
	if err == io.EOF {
		t.Error("a stream that was cut off looks complete")
	}
}

// TestRequestThatNeverComes opens streams and sends nothing.
func TestRequestThatNeverComes(t *testing.T) {
	t.Parallel()
	c := dialStream(t, api.New(api.Options{Engine: query.New(views{}, query.Options{}), Stall: 50 * time.Millisecond}))
	stream, err := c.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/tempopb.StreamingQuerier/Search")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(newMessage(schema(t), "SearchResponse")); err == nil || err == io.EOF {
		t.Errorf("the stream ends with %v, want an error", err)
	}
	// One that comes in time may be answered later than that.
	if _, err := c.ask(t.Context(), "Search", `{}`); err != nil {
		t.Error(err)
	}
}

// TestMemoryLimits asks for what takes more than there is: the status says whether
// to ask again, the text names the limit and its flag.
func TestMemoryLimits(t *testing.T) {
	t.Parallel()
	table := bigTrace(20_000, 200)
	for name, c := range map[string]struct {
		o      query.Options
		status int
		code   codes.Code
		flag   string
	}{
		"of one": {query.Options{MaxMemory: 1 << 20, MaxTime: time.Hour}, 422, codes.ResourceExhausted, "--max-query-memory"},
		"of all": {query.Options{MaxTotalMemory: 1 << 20, MaxTime: time.Hour}, 429, codes.ResourceExhausted, "--max-queries-memory"},
	} {
		e := query.New(table, c.o)
		h := api.New(api.Options{Engine: e})
		for what, target := range map[string]string{
			"trace":    "/api/traces/7",
			"by":       "/api/search?q=" + url.QueryEscape("{ } | by(span:id)"),
			"groups":   metricsTarget("query_range", "{ } | rate() by(span:id)", ""),
			"tree":     "/api/search?q=" + url.QueryEscape("{ } >> { }"),
			"compare":  metricsTarget("query", "{ } | compare({ status = error })", ""),
			"quantile": metricsTarget("query_range", "{ } | quantile_over_time(duration, "+".5, .6) by(span:id)", "&step=60"),
		} {
			if w := get(h, target); w.Code != c.status || !strings.Contains(w.Body.String(), c.flag) {
				t.Errorf("%s, %s: %d %.300s; want %d that names %s", name, what, w.Code, w.Body, c.status, c.flag)
			}
		}
		_, err := dialStream(t, h).ask(t.Context(), "Search", `{"Query": "{ } | by(span:id)"}`)
		if status.Code(err) != c.code || !strings.Contains(fmt.Sprint(err), c.flag) {
			t.Errorf("%s, gRPC: %v", name, err)
		}
		if left := e.Stats().Memory; left != 0 {
			t.Errorf("%s: %d bytes are counted afterwards", name, left)
		}
	}
}

// TestQueriesShareTheirMemory has four clients ask for the same at once, each for
// two thirds of what there is for all. Some are refused, none takes down another,
// and the sum is held.
func TestQueriesShareTheirMemory(t *testing.T) {
	t.Parallel()
	e := query.New(bigTrace(20_000, 100), query.Options{MaxTotalMemory: 6 << 20, MaxTime: time.Hour})
	h := api.New(api.Options{Engine: e})
	var all sync.WaitGroup
	held := make(chan struct{})
	for range 4 {
		all.Go(func() {
			waits := sync.OnceFunc(func() { <-held })
			m := &meter{header: http.Header{}}
			m.each = func() {
				if now := e.Stats().Memory; now > 6<<20 {
					t.Errorf("queries keep %d bytes", now)
				}
				if m.status == 200 {
					waits()
				}
			}
			h.ServeHTTP(m, request(wholeForms["v2 JSON"]))
			if m.status != 200 && m.status != 429 {
				t.Errorf("status %d", m.status)
			}
		})
	}
	until(t, "three are refused", func() bool { return e.Stats().Limits["total_memory"] == 3 })
	close(held)
	all.Wait()
	if w := get(h, "/api/v2/traces/7"); w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// TestTraceOfTooManySpans: the first form refuses it, the second answers a part.
func TestTraceOfTooManySpans(t *testing.T) {
	t.Parallel()
	e := query.New(bigTrace(50, 10), query.Options{MaxTraceSpans: 20, MaxTime: time.Hour})
	h := api.New(api.Options{Engine: e})
	if w := get(h, "/api/traces/7"); w.Code != 422 || !strings.Contains(w.Body.String(), "trace exceeds max size (max spans: 20, --max-trace-spans)") {
		t.Errorf("v1: %d %s", w.Code, w.Body)
	}
	w := get(h, "/api/v2/traces/7")
	const message = `"metrics":{},"status":"PARTIAL","message":"Trace exceeds maximum size of 20 spans (--max-trace-spans), a partial trace is returned: the 20 of its 50 spans that start first"}`
	if text := w.Body.String(); w.Code != 200 || strings.Count(text, `"spanId"`) != 20 || !strings.HasSuffix(text, message) || !strings.Contains(text, `"intValue":"19"`) {
		t.Errorf("v2: %d %s", w.Code, text)
	}
	w = get(h, "/api/v2/traces/7", "Accept", "application/protobuf")
	if text := w.Body.String(); w.Code != 200 || !strings.Contains(text, "\x12\x00\x18\x01\x22") || !strings.Contains(text, "--max-trace-spans") {
		t.Errorf("v2 protobuf: %d %q", w.Code, text)
	}
	w = get(h, "/api/v2/traces/7?maxSpans=5", "Accept", "application/vnd.grafana.llm")
	if text := w.Body.String(); w.Code != 200 || strings.Count(text, `"spanId"`) != 5 || !strings.Contains(text, `"status":"PARTIAL","message":"Trace exceeds maximum size of 5 spans (maxSpans)`) {
		t.Errorf("LLM: %d %s", w.Code, text)
	}
	if w := get(h, "/api/v2/traces/7?maxSpans=many"); w.Code != 400 {
		t.Errorf("maxSpans=many: %d", w.Code)
	}
	if n := e.Stats().Partial; n != 3 {
		t.Errorf("%d partial traces are counted, want 3", n)
	}
}

// TestParametersAreBounded: each refusal names its bound.
func TestParametersAreBounded(t *testing.T) {
	t.Parallel()
	h := newServer(bigTrace(10, 10))
	quantiles := "{ } | quantile_over_time(duration" + strings.Repeat(", .5", 101) + ")"
	for target, want := range map[string]string{
		"/api/search?limit=262145": "limit 262145 exceeds max limit 262144",
		"/api/search?spss=101":     "spans per span set exceeds 100",
		"/api/search?q=" + url.QueryEscape(`{ name =~ "`+strings.Repeat("x{1000}", 17)+`" }`):   "at most 16384",
		"/api/search?q=" + url.QueryEscape(`{ name =~ "((x{100}){100}){100}" }`):                "invalid regular expression",
		"/api/search?q=" + url.QueryEscape("{"+strings.Repeat("!", 300)+"(name = nil) }"):       "nested deeper than 200 levels",
		"/api/search?q=" + url.QueryEscape(`{ name = "`+strings.Repeat("x", 131072)+`" }`):      "at most 131072",
		"/api/search?q=" + url.QueryEscape("{ }"+strings.Repeat("|{ }", 500)):                   "more than 500 stages",
		metricsTarget("query", "{ } | rate()"+strings.Repeat(">0", 501), ""):                    "more than 500 stages",
		metricsTarget("query", quantiles, ""):                                                   "at most 100 quantiles, got 101",
		metricsTarget("query", "{ } | compare({ status = error }, 1001)", ""):                   "at most 1000 values",
		metricsTarget("query_range", "{ } | rate()", "&step=0.001"):                             "minimum step for given range",
		metricsTarget("query_range", "{ } | rate()", "&exemplars=99999999999"):                  "invalid exemplars",
		"/api/metrics/query?start=1&end=3000000&q=" + url.QueryEscape("{ } | rate()"):           "maximum allowed duration of 744h0m0s",
		"/api/v2/search/tag/" + url.PathEscape("span."+strings.Repeat("x", 131072)) + "/values": "at most 131072",
		"/api/search?tags=" + url.QueryEscape("k=v k=w"):                                        "tag k has been set twice",
		"/api/search?tags=" + url.QueryEscape("k="+strings.Repeat("v", 131072)):                 "at most 131072",
	} {
		if w := get(h, target); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.80s: %d %.200s; want 400 with %q", target, w.Code, w.Body, want)
		}
	}
}

// TestUnreadableParameters: parameters that cannot be read are refused, never left out.
func TestUnreadableParameters(t *testing.T) {
	t.Parallel()
	h := newServer(bigTrace(10, 10))
	for target, want := range map[string]string{
		"/api/search?q=%zz":                                          `invalid parameters: invalid URL escape "%zz"`,
		"/api/search?limit=5;q={name=nil}":                           "invalid parameters: invalid semicolon separator",
		"/api/search?" + strings.Repeat("a=b&", 20_000):              "invalid parameters: ",
		"/api/v2/search/tags?q=%":                                    "invalid parameters: ",
		"/api/v2/search/tag/name/values?q=%":                         "invalid parameters: ",
		"/api/metrics/query?q={}|rate();":                            "invalid parameters: ",
		"/api/traces/7?start=%":                                      "invalid parameters: ",
		"/api/v2/search/tags?start=1960-01-01T00:00:00Z&end=1":       "is before 1970",
		"/api/v2/search/tags?start=2960-01-01T00:00:00Z&end=5":       "start must be before end",
		"/api/v2/search/tags?start=yesterday&end=1":                  "neither unix time nor RFC 3339",
		"/api/metrics/query_range?q={}|rate()&start=1&end=3000-01-0": "neither unix time nor RFC 3339",
	} {
		if w := get(h, target); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.80s: %d %.200s; want 400 with %q", target, w.Code, w.Body, want)
		}
	}
	if w := get(h, "/api/v2/search/tags?start=1&end=9999-12-31T00:00:00Z"); w.Code != 200 || !strings.Contains(w.Body.String(), `"n"`) {
		t.Errorf("until the year 9999: %d %s", w.Code, w.Body)
	}
}

// until polls a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	testkit.Until(t, what, done)
}
