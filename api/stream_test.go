package api_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"etude/api"
	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
)

// nanos is a time of metrics requests, in seconds after metricsBase.
func nanos(after int) string { return fmt.Sprintf("%d000000000", metricsBase+after) }

// streamCases are the same question over gRPC and HTTP.
var streamCases = []struct{ method, request, target string }{
	{"Search", `{}`, "/api/search"},
	{"Search", `{"Query": "{ status = error } | select(span.ratio, resource.host.ips)", "Limit": 100, "SpansPerSpanSet": 50}`,
		"/api/search?limit=100&spss=50&q=" + url.QueryEscape("{ status = error } | select(span.ratio, resource.host.ips)")},
	{"Search", `{"Tags": {"service.name": "cart", "name": "a"}, "MinDurationMs": 1, "MaxDurationMs": 100000}`,
		"/api/search?minDuration=1ms&maxDuration=100s&tags=" + url.QueryEscape("name=a service.name=cart")},
	{"Search", fmt.Sprintf(`{"Query": "{ }", "start": %d, "end": %d}`, metricsBase, metricsBase+60),
		fmt.Sprintf("/api/search?q=%s&start=%d&end=%d", url.QueryEscape("{ }"), metricsBase, metricsBase+60)},
	{"SearchTags", `{}`, "/api/search/tags"},
	{"SearchTags", `{"scope": "intrinsic"}`, "/api/search/tags?scope=intrinsic"},
	{"SearchTagsV2", `{}`, "/api/v2/search/tags"},
	{"SearchTagsV2", `{"scope": "span", "query": "{ status = error }", "maxTagsPerScope": 3}`, "/api/v2/search/tags?scope=span&limit=3&q=" + url.QueryEscape("{ status = error }")},
	{"SearchTagValues", `{"tagName": "service.name"}`, "/api/search/tag/service.name/values"},
	{"SearchTagValuesV2", `{"tagName": "span.ratio", "maxTagValues": 4}`, "/api/v2/search/tag/span.ratio/values?limit=4"},
	{"SearchTagValuesV2", `{"tagName": "name", "query": "{ status = error }"}`, "/api/v2/search/tag/name/values?q=" + url.QueryEscape("{ status = error }")},
	{"MetricsQueryRange", `{"query": "{ } | rate() by(span.ratio, kind)", "start": "` + nanos(-60) + `", "end": "` + nanos(420) + `", "step": "60000000000"}`,
		metricsTarget("query_range", "{ } | rate() by(span.ratio, kind)", "&step=60")},
	{"MetricsQueryRange", `{"query": "{ } | quantile_over_time(duration, .5, 1) by(name)", "start": "` + nanos(-60) + `", "end": "` + nanos(420) + `", "exemplars": 7, "maxSeries": 3}`,
		metricsTarget("query_range", "{ } | quantile_over_time(duration, .5, 1) by(name)", "&exemplars=7&maxSeries=3")},
	{"MetricsQueryInstant", `{"query": "{ } | avg_over_time(duration) by(name)", "start": "` + nanos(-60) + `", "end": "` + nanos(420) + `"}`,
		metricsTarget("query", "{ } | avg_over_time(duration) by(name)", "")},
	// Every field of every request.
	{"Search", fmt.Sprintf(`{"Query": "{ status = error }", "MinDurationMs": 1, "MaxDurationMs": 100000, "Limit": 7, "start": %d, "end": %d, "SpansPerSpanSet": 2, "RF1After": "CAE=", "skipASTTransformations": ["x"]}`, metricsBase, metricsBase+100),
		fmt.Sprintf("/api/search?minDuration=1ms&maxDuration=100s&limit=7&spss=2&start=%d&end=%d&q=%s", metricsBase, metricsBase+100, url.QueryEscape("{ status = error }"))},
	{"SearchTags", fmt.Sprintf(`{"scope": "span", "query": "{ status = error }", "start": %d, "end": %d, "maxTagsPerScope": 3, "staleValuesThreshold": 900, "RF1After": "CAE="}`, metricsBase, metricsBase+60),
		fmt.Sprintf("/api/search/tags?scope=span&limit=3&maxStaleValues=900&start=%d&end=%d&q=%s", metricsBase, metricsBase+60, url.QueryEscape("{ status = error }"))},
	{"SearchTagsV2", fmt.Sprintf(`{"scope": "span", "query": "{ status = error }", "start": %d, "end": %d, "maxTagsPerScope": 3, "staleValuesThreshold": 900, "RF1After": "CAE="}`, metricsBase, metricsBase+60),
		fmt.Sprintf("/api/v2/search/tags?scope=span&limit=3&maxStaleValues=900&start=%d&end=%d&q=%s", metricsBase, metricsBase+60, url.QueryEscape("{ status = error }"))},
	{"SearchTagValues", fmt.Sprintf(`{"tagName": "service.name", "query": "{ status = error }", "start": %d, "end": %d, "maxTagValues": 4, "staleValueThreshold": 900, "RF1After": "CAE="}`, metricsBase, metricsBase+60),
		fmt.Sprintf("/api/search/tag/service.name/values?limit=4&maxStaleValues=900&start=%d&end=%d&q=%s", metricsBase, metricsBase+60, url.QueryEscape("{ status = error }"))},
	{"SearchTagValuesV2", fmt.Sprintf(`{"tagName": "span.ratio", "query": "{ status = error }", "start": %d, "end": %d, "maxTagValues": 4, "staleValueThreshold": 900, "RF1After": "CAE="}`, metricsBase, metricsBase+60),
		fmt.Sprintf("/api/v2/search/tag/span.ratio/values?limit=4&maxStaleValues=900&start=%d&end=%d&q=%s", metricsBase, metricsBase+60, url.QueryEscape("{ status = error }"))},
	{"MetricsQueryRange", `{"query": "{ } | rate() by(kind)", "start": "` + nanos(-60) + `", "end": "` + nanos(420) + `", "step": "30000000000", "queryMode": "x", "exemplars": 7, "maxSeries": 30, "instant": false, "skipASTTransformations": ["x"]}`,
		metricsTarget("query_range", "{ } | rate() by(kind)", "&exemplars=7&maxSeries=30&step=30")},
}

// TestStreamRequestsAreWhole: every field that the reference names is sent in some
// case above, and every time range is one that a wrong field would not give.
func TestStreamRequestsAreWhole(t *testing.T) {
	t.Parallel()
	for method, names := range streamMethods {
		for _, f := range strings.Split(requests[names[0]], ", ") {
			field := strings.Fields(f)[1]
			sent := slices.ContainsFunc(streamCases, func(c struct{ method, request, target string }) bool {
				return c.method == method && strings.Contains(c.request, `"`+field+`"`)
			})
			if !sent {
				t.Errorf("%s: no case sends %s", method, field)
			}
		}
	}
}

// TestStreamSaysWhatHTTPSays compares with the JSON answers, many at a time.
func TestStreamSaysWhatHTTPSays(t *testing.T) {
	t.Parallel()
	h := newServer(loadSet(t, "small", metricsBase, 3))
	c := dialStream(t, h)
	var w sync.WaitGroup
	for i := range 8 * len(streamCases) {
		x := streamCases[i%len(streamCases)]
		w.Go(func() {
			want := newMessage(c.messages, streamMethods[x.method][1])
			if err := protojson.Unmarshal(get(h, x.target).Body.Bytes(), want); err != nil {
				t.Errorf("%s: %v", x.target, err)
				return
			}
			all, err := c.ask(t.Context(), x.method, x.request)
			if err != nil || len(all) == 0 {
				t.Errorf("%s %s: %d messages, %v", x.method, x.request, len(all), err)
				return
			}
			last := all[len(all)-1]
			if proto.Size(want) < 20 || len(last.ProtoReflect().GetUnknown()) > 0 || !proto.Equal(last, want) {
				t.Errorf("%s %s:\n%.1000v\nHTTP says\n%.1000v", x.method, x.request, last, want)
			}
		})
	}
	w.Wait()
}

// TestStreamTellsProgress has a query take longer than two intervals of progress.
func TestStreamTellsProgress(t *testing.T) {
	t.Parallel()
	src := newGated(loadSet(t, "small", metricsBase, 1))
	c := dialStream(t, newServer(src))
	start := time.Now()
	time.AfterFunc(1300*time.Millisecond, func() { close(src.open) })
	all, err := c.ask(t.Context(), "Search", `{}`)
	if err != nil || len(all) < 2 || len(all) > 1+int(time.Since(start)/(500*time.Millisecond)) {
		t.Fatalf("%d messages in %s, %v; want one each 500 ms and the answer", len(all), time.Since(start), err)
	}
	if text := fmt.Sprint(all[0]); !strings.Contains(text, "totalJobs:1") || strings.Contains(text, "traces") {
		t.Errorf("progress: %s", text)
	}
	if text := fmt.Sprint(all[len(all)-1]); !strings.Contains(text, "completedJobs:1") || !strings.Contains(text, "traces") {
		t.Errorf("answer: %.300s", text)
	}
}

// TestStreamIsCanceled has a client leave while its query holds the only slot,
// and another while it waits for that slot.
func TestStreamIsCanceled(t *testing.T) {
	t.Parallel()
	src := newGated(nil)
	c := dialStream(t, api.New(api.Options{Engine: query.New(src, query.Options{MaxConcurrent: 1})}))
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := c.ask(ctx, "Search", `{}`)
			left <- err
		}()
	}
	<-src.asked
	cancel()
	for range 2 {
		if err := <-left; status.Code(err) != codes.Canceled {
			t.Errorf("a client that left: %v, want Canceled", err)
		}
	}
	short, done := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer done()
	if _, err := c.ask(short, "Search", `{}`); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a client in a hurry: %v, want DeadlineExceeded", err)
	}
	close(src.open)
	if all, err := c.ask(t.Context(), "Search", `{}`); err != nil || len(all) == 0 {
		t.Errorf("who asks afterwards: %d messages, %v", len(all), err)
	}
}

// TestLargeAnswersAreSplit asks for more than fits in a message.
func TestLargeAnswersAreSplit(t *testing.T) {
	t.Parallel()
	table := trace.NewTable()
	const traces, size = 60, 100_000
	for i := range traces {
		appendJSON(t, table, map[string]any{"resourceSpans": []any{map[string]any{
			"resource": map[string]any{}, "scopeSpans": []any{map[string]any{"scope": map[string]any{}, "spans": []any{map[string]any{
				"traceId": fmt.Sprintf("%032x", i+1), "spanId": fmt.Sprintf("%016x", i+1), "name": strings.Repeat("x", size),
				"startTimeUnixNano": fmt.Sprint(1_700_000_000_000_000_000 + i), "endTimeUnixNano": fmt.Sprint(1_700_000_000_000_000_500 + i),
			}}}},
		}}})
	}
	h := api.New(api.Options{Engine: query.New(views{table.View()}, query.Options{}), ProgressInterval: time.Hour})
	c := dialStream(t, h)
	all, err := c.ask(t.Context(), "Search", `{"Query": "{ } | select(name)", "Limit": 100}`)
	if err != nil || len(all) < 4 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	joined := newMessage(c.messages, "SearchResponse")
	for i, m := range all {
		if n := proto.Size(m); n > 2<<20 {
			t.Errorf("message %d has %d bytes", i, n)
		}
		if !strings.Contains(fmt.Sprint(m), "totalJobs:1") {
			t.Errorf("message %d has no metrics", i)
		}
		proto.Merge(joined, m)
	}
	want := newMessage(c.messages, "SearchResponse")
	if err := protojson.Unmarshal(get(h, "/api/search?limit=100&q="+url.QueryEscape("{ } | select(name)")).Body.Bytes(), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(joined, want) {
		t.Errorf("joined, %d messages of %d bytes are not the answer of %d bytes", len(all), proto.Size(joined), proto.Size(want))
	}
}

// TestStreamTellsWhatIsNew holds a search and a metrics query before the part that they
// read last until some of their results have been told, and compares all that was told
// with the answer.
func TestStreamTellsWhatIsNew(t *testing.T) {
	t.Parallel()
	for method, x := range map[string]struct {
		last    int // part
		request string
	}{
		"Search":            {0, `{"Query": "{ } | select(name, duration, resource.service.name)", "Limit": 5000, "SpansPerSpanSet": 100}`},
		"MetricsQueryRange": {2, `{"query": "{ } | rate() by(name)", "start": "` + nanos(-60) + `", "end": "` + nanos(240) + `", "step": "1000000000"}`},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			told := make(chan struct{})
			src := lateSource{minutes(t, 3), x.last, told, nil}
			c := dialStream(t, api.New(api.Options{Engine: query.New(src, query.Options{}), ProgressInterval: time.Microsecond}))
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			var once sync.Once
			heard := false
			all, err := c.each(ctx, method, x.request, func(m *dynamicpb.Message) {
				heard = heard || len(resultsOf(m)) > 0
				if done, _ := jobsOf(m); heard && done > 0 {
					once.Do(func() { close(told) })
				}
			})
			if err != nil || len(all) < 2 {
				t.Fatalf("%d messages, %v", len(all), err)
			}
			if checkNews(t, all) == 0 {
				t.Error("nothing was told before the answer")
			}
		})
	}
}

// lateSource has parts on disk, one of which cannot be read before ready is closed.
type lateSource struct {
	views
	late  int
	ready chan struct{}
	err   error // of reading it then, nil for none
}

func (s lateSource) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	snap, err := s.views.Snapshot(ctx)
	return lateSnapshot{snap, s}, err
}

type lateSnapshot struct {
	trace.Snapshot
	src lateSource
}

func (s lateSnapshot) Parts() []trace.Part {
	parts := slices.Clone(s.Snapshot.Parts())
	for i := range parts {
		parts[i].Resident = false
	}
	return parts
}

func (s lateSnapshot) Open(ctx context.Context, part int, need *trace.Need) (*trace.View, error) {
	if part == s.src.late {
		select {
		case <-s.src.ready:
			if s.src.err != nil {
				return nil, s.src.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Snapshot.Open(ctx, part, need)
}

// minutes returns Views with ten traces each, of one minute after the other.
func minutes(t *testing.T, n int) (out views) {
	t.Helper()
	for minute := range n {
		table := trace.NewTable()
		for i := range 10 {
			at := (metricsBase+int64(60*minute+i))*1e9 + 1
			appendJSON(t, table, map[string]any{"resourceSpans": []any{map[string]any{
				"resource": map[string]any{}, "scopeSpans": []any{map[string]any{"scope": map[string]any{}, "spans": []any{map[string]any{
					"traceId": fmt.Sprintf("%032x", 100*minute+i+1), "spanId": fmt.Sprintf("%016x", i+1), "name": "work",
					"startTimeUnixNano": fmt.Sprint(at), "endTimeUnixNano": fmt.Sprint(at + 500),
				}}}},
			}}})
		}
		out = append(out, table.View())
	}
	return out
}

// checkNews returns how many traces or samples were told before the answer, the
// last message. It wants progress by three parts on the way.
func checkNews(t *testing.T, all []*dynamicpb.Message) (told int) {
	t.Helper()
	answer := map[string]bool{}
	for _, r := range resultsOf(all[len(all)-1]) {
		answer[r] = true
	}
	done := 0
	for _, m := range all[:len(all)-1] {
		for _, r := range resultsOf(m) {
			if !answer[r] {
				t.Fatalf("told, and told before or not in the answer: %.500s", r)
			}
			delete(answer, r)
			told++
		}
		now, total := jobsOf(m)
		if total != 3 && (total != 1 || now > 0) || now > 3 || now < done {
			t.Errorf("a message on the way says %d of %d jobs, and one before it %d", now, total, done)
		}
		done = now
	}
	if last, total := jobsOf(all[len(all)-1]); last != 1 || total != 1 || done == 0 {
		t.Errorf("the answer says %d of %d jobs, and the last message before it %d", last, total, done)
	}
	return told
}

// jobsOf returns how many jobs of how many a message says are completed.
func jobsOf(m *dynamicpb.Message) (done, total int) {
	metrics := m.Get(m.Descriptor().Fields().ByNumber(2)).Message()
	fields := metrics.Descriptor().Fields()
	return int(metrics.Get(fields.ByName("completedJobs")).Uint()), int(metrics.Get(fields.ByName("totalJobs")).Uint())
}

// resultsOf returns the traces of a message, or the samples with their labels.
func resultsOf(m *dynamicpb.Message) (out []string) {
	list := m.Get(m.Descriptor().Fields().ByNumber(1)).List()
	for i := range list.Len() {
		r := list.Get(i).Message()
		samples := r.Descriptor().Fields().ByName("samples")
		if samples == nil {
			out = append(out, encoded(list.Get(i)))
			continue
		}
		labels := r.Get(r.Descriptor().Fields().ByName("labels")).List()
		var prefix string
		for j := range labels.Len() {
			prefix += encoded(labels.Get(j))
		}
		for j := range r.Get(samples).List().Len() {
			out = append(out, prefix+encoded(r.Get(samples).List().Get(j)))
		}
	}
	return out
}

func encoded(m protoreflect.Value) string {
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m.Message().Interface())
	return string(b)
}
