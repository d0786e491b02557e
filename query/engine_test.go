package query_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// source is a fixed list of Views.
type source []*trace.View

func (s source) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	return testkit.Views(s).Snapshot(ctx)
}

// span is one span to store; times are in nanoseconds after origin.
type span struct {
	trace, id, parent byte
	service, name     string
	start, end        uint64
	status            trace.Status
	user              string // attribute user.id
}

const origin = uint64(1_700_000_000_000_000_000)

func tableOf(spans ...span) *trace.Table {
	t := trace.NewTable()
	for _, s := range spans {
		add(t, s)
	}
	return t
}

func add(t *trace.Table, s span) {
	key := []byte(s.service)
	resource, ok := t.FindResource(key)
	if !ok {
		var w *trace.AttrWriter
		resource, w = t.AddResource(key, 0, 0, 0)
		w.AddText([]byte("service.name"), trace.String, []byte(s.service))
		t.EndResource()
	}
	scope, ok := t.FindScope(key)
	if !ok {
		scope, _ = t.AddScope(key, resource, 0, 0, 0, 0)
		t.EndScope()
	}
	row := trace.Span{
		TraceID: trace.TraceID{15: s.trace}, SpanID: trace.SpanID{7: s.id}, Start: origin + s.start, End: origin + s.end,
		Status: uint8(s.status), Scope: scope, Name: []byte(s.name),
	}
	if s.parent != 0 {
		row.Parent = trace.SpanID{7: s.parent}
	}
	if w := t.AddSpan(&row); w != nil {
		if s.user != "" {
			w.AddText([]byte("user.id"), trace.String, []byte(s.user))
		}
		t.EndSpan()
	}
}

func views(tables ...*trace.Table) source {
	var s source
	for _, t := range tables {
		s = append(s, t.View())
	}
	return s
}

func search(t *testing.T, e *query.Engine, req query.Request) *query.Result {
	t.Helper()
	r, err := e.Search(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ids(r *query.Result) string {
	var out []string
	for _, tr := range r.Traces {
		out = append(out, tr.ID.Short())
	}
	return strings.Join(out, " ")
}

func TestTraceIsWholeAndEachSpanOnce(t *testing.T) {
	t.Parallel()
	root := span{trace: 1, id: 1, service: "a", name: "root", end: 10}
	late := span{trace: 1, id: 2, parent: 1, service: "b", name: "late", start: 2, end: 30}
	e := query.New(views(tableOf(root), tableOf(root, late), tableOf(late)), query.Options{})
	whole, err := e.Trace(t.Context(), trace.TraceID{15: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range whole.Spans {
		names = append(names, r.View.Text(r.View.Name[r.Row]))
	}
	if !slices.Equal(names, []string{"root", "late"}) {
		t.Errorf("trace has spans %v, want root and late once each", names)
	}
	if whole, err := e.Trace(t.Context(), trace.TraceID{15: 9}, 0); err != nil || len(whole.Spans) != 0 {
		t.Errorf("unknown trace: %v, error %v", whole, err)
	}
	// Structure, duration and counts are those of the whole trace.
	for q, want := range map[string]string{
		`{ name = "root" } > { name = "late" }`:              "1",
		`{ name = "root" } && { resource.service.name="b" }`: "1",
		`{ traceDuration = 30ns }`:                           "1",
		`{ } | count() = 2`:                                  "1",
		`{ rootName = "root" && name = "late" }`:             "1",
		`{ } | count() > 2`:                                  "",
	} {
		if got := ids(search(t, e, query.Request{Query: q})); got != want {
			t.Errorf("%s found %q, want %q", q, got, want)
		}
	}
}

func TestSearchIsNewestFirstOverTables(t *testing.T) {
	t.Parallel()
	// Trace 1 is old in the first table and has a late span in the newest.
	old := tableOf(span{trace: 1, id: 1, service: "a", name: "x", end: 5}, span{trace: 2, id: 1, service: "a", name: "x", start: 300, end: 310})
	young := tableOf(span{trace: 3, id: 1, service: "a", name: "x", start: 200, end: 210}, span{trace: 1, id: 2, parent: 1, service: "a", name: "x", start: 400, end: 410})
	e := query.New(views(old, young), query.Options{})
	for limit, want := range map[int]string{1: "2", 2: "2 3", 3: "2 3 1"} {
		for _, q := range []string{`{ name = "x" }`, `{ }`, ""} {
			if got := ids(search(t, e, query.Request{Query: q, Limit: limit})); got != want {
				t.Errorf("%q limit %d found %q, want %q", q, limit, got, want)
			}
		}
	}
	first := search(t, e, query.Request{Query: "{ } | by(name)"})
	for range 5 {
		if again := search(t, e, query.Request{Query: "{ } | by(name)"}); !reflect.DeepEqual(first, again) {
			t.Fatalf("the same query gave %v and %v", first, again)
		}
	}
}

func TestSearchStopsEarly(t *testing.T) {
	t.Parallel()
	old, young := trace.NewTable(), trace.NewTable()
	for i := range byte(100) {
		add(old, span{trace: i + 1, id: 1, service: "a", name: "x", start: uint64(i), end: uint64(i) + 1})
		add(young, span{trace: i + 101, id: 1, service: "a", name: "x", start: 1000 + uint64(i), end: 1001 + uint64(i)})
	}
	r := search(t, query.New(views(old, young), query.Options{}), query.Request{Query: `{ name = "x" }`, Limit: 3})
	if ids(r) != "c8 c7 c6" || r.InspectedTraces > 4 {
		t.Errorf("found %s after looking at %d traces, want c8 c7 c6 after at most 4", ids(r), r.InspectedTraces)
	}
}

func TestSearchWindowAndDuration(t *testing.T) {
	t.Parallel()
	a := tableOf(span{trace: 1, id: 1, service: "a", name: "x", start: 100, end: 200}, span{trace: 2, id: 1, service: "a", name: "x", start: 300, end: 320})
	b := tableOf(span{trace: 1, id: 2, parent: 1, service: "a", name: "y", start: 500, end: 600})
	e := query.New(views(a, b), query.Options{})
	for _, c := range []struct {
		req  query.Request
		want string
	}{
		{query.Request{Start: origin, End: origin + 99}, ""},
		{query.Request{Start: origin, End: origin + 100}, "1"},
		{query.Request{Start: origin + 320, End: origin + 400}, "2 1"},
		{query.Request{Start: origin + 321, End: origin + 400, Query: `{ name = "y" }`}, "1"},
		{query.Request{Start: origin + 601, End: origin + 700}, ""},
		{query.Request{MinDuration: 21}, "1"},
		{query.Request{MaxDuration: 20}, "2"},
		{query.Request{MinDuration: 20, MaxDuration: 500}, "2 1"},
		{query.Request{Tags: []eval.Tag{{Key: "name", Value: "y"}}}, "1"},
		{query.Request{Tags: []eval.Tag{{Key: "name", Value: "y"}, {Key: "name", Value: "x"}}}, "1"},
		{query.Request{Tags: []eval.Tag{{Key: "service.name", Value: "b"}}}, ""},
	} {
		if got := ids(search(t, e, c.req)); got != c.want {
			t.Errorf("%+v found %q, want %q", c.req, got, c.want)
		}
	}
}

func TestSpanSetsAndStats(t *testing.T) {
	t.Parallel()
	e := query.New(views(tableOf(
		span{trace: 1, id: 1, service: "a", name: "root", end: 10},
		span{trace: 1, id: 2, parent: 1, service: "b", name: "x", start: 1, end: 4, user: "u1", status: trace.StatusError},
		span{trace: 1, id: 3, parent: 1, service: "b", name: "x", start: 2, end: 5},
	)), query.Options{})
	r := search(t, e, query.Request{Query: `{ name = "x" } | select(span.user.id)`, SpansPerSpanSet: 1})
	tr := r.Traces[0]
	if want := []query.ServiceStats{{Service: "a", Spans: 1}, {Service: "b", Spans: 2, Errors: 1}}; !reflect.DeepEqual(tr.Services, want) {
		t.Errorf("services %v, want %v", tr.Services, want)
	}
	set := tr.SpanSets[0]
	if set.Matched != 2 || len(set.Spans) != 1 || set.Spans[0].Name != "x" || set.Spans[0].Duration != 3 {
		t.Errorf("spanset %+v, want 2 matched and the first span listed", set)
	}
	if a := set.Spans[0].Attrs; len(a) != 1 || a[0].Key != "user.id" || a[0].Value.Str != "u1" {
		t.Errorf("attributes %v, want user.id=u1", a)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	e := query.New(views(tableOf(span{trace: 1, id: 1, service: "a", name: "x", end: 1})), query.Options{})
	var input *query.InputError
	var parse *syntax.Error
	if _, err := e.Search(t.Context(), query.Request{Query: "{ name = }"}); !errors.As(err, &input) || !errors.As(err, &parse) {
		t.Errorf("a query that does not parse: %v", err)
	}
	var rule *check.Error
	if _, err := e.Search(t.Context(), query.Request{Query: "{ name = 1 }"}); !errors.As(err, &input) || !errors.As(err, &rule) {
		t.Errorf("a query that breaks a rule: %v", err)
	}
	if _, err := e.TagNames(t.Context(), query.TagRequest{Scope: "nope"}); !errors.As(err, &input) {
		t.Errorf("an unknown scope: %v", err)
	}
	if _, err := e.TagValues(t.Context(), "service.name", query.TagRequest{}); !errors.As(err, &input) {
		t.Errorf("a tag without scope: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Search(ctx, query.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left: %v", err)
	}
}

// stuck is a Source that never answers in time while the test runs.
type stuck struct {
	source
	test context.Context
}

func (s stuck) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	select {
	case <-time.After(time.Minute): // of the bubble's own clock
	case <-s.test.Done():
	}
	return s.source.Snapshot(ctx)
}

func TestLimitsNameThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := tableOf(span{trace: 1, id: 1, service: "a", name: "x", end: 1})
		e := query.New(stuck{views(table), t.Context()}, query.Options{MaxTime: time.Second, MaxConcurrent: 1})
		_, err := e.Search(t.Context(), query.Request{Query: "{ }"})
		if !errors.Is(err, query.ErrTimeLimit) || !strings.Contains(err.Error(), "MaxTime") {
			t.Errorf("a slow query: %v, want ErrTimeLimit that names MaxTime", err)
		}
		// A query that waits for a slot does not wait for ever.
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = e.Search(context.Background(), query.Request{}) // holds the slot
		}()
		synctest.Wait()
		if _, err := e.Trace(t.Context(), trace.TraceID{15: 1}, 0); !errors.Is(err, query.ErrTimeLimit) {
			t.Errorf("a query without a slot: %v, want ErrTimeLimit", err)
		}
		<-done
	})
}

func TestTooManyQueries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := tableOf(span{trace: 1, id: 1, service: "a", name: "x", end: 1})
		e := query.New(stuck{views(table), t.Context()}, query.Options{MaxTime: time.Hour, MaxConcurrent: 2, MaxWaiting: 3})
		var all sync.WaitGroup
		for range 5 { // two run, three wait
			all.Go(func() {
				if _, err := e.TagNames(t.Context(), query.TagRequest{}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		_, err := e.Search(t.Context(), query.Request{})
		if !errors.Is(err, query.ErrBusy) || !strings.Contains(err.Error(), "MaxWaiting") {
			t.Errorf("one query more: %v, want ErrBusy that names MaxWaiting", err)
		}
		all.Wait()
		if _, err := e.Search(t.Context(), query.Request{}); err != nil {
			t.Errorf("a query afterwards: %v", err)
		}
	})
}

// TestMemoryLimit asks for answers too large, and for the same with more room.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	source := source{benchTable(0, 10_000).View(), benchTable(10_000, 10_000).View()}
	tight := query.New(source, query.Options{MaxMemory: 1 << 20})
	roomy := query.New(source, query.Options{})
	users := query.MetricsRequest{Query: "{ } | rate() by(span.user.id)", Start: origin - 1, End: origin + 3600e9, Instant: true}
	list := query.Request{Query: "{ } | select(span.user.id)", Limit: 12_000, SpansPerSpanSet: 10}
	for _, ask := range []struct {
		advice string
		of     func(*query.Engine) error
	}{
		{"fewer values", func(e *query.Engine) error { _, err := e.Metrics(t.Context(), users); return err }},
		{"fewer traces", func(e *query.Engine) error { _, err := e.Search(t.Context(), list); return err }},
	} {
		err := ask.of(tight)
		if !errors.Is(err, query.ErrMemoryLimit) || !strings.Contains(err.Error(), "MaxMemory") || !strings.Contains(err.Error(), ask.advice) {
			t.Errorf("in 1 MiB: %v, want ErrMemoryLimit that names MaxMemory and %q", err, ask.advice)
		}
		if err := ask.of(roomy); err != nil {
			t.Error(err)
		}
	}
}

// growing hands out the current View of a table that another goroutine fills.
type growing struct {
	mu sync.Mutex
	t  *trace.Table
}

func (g *growing) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return source{g.t.View()}.Snapshot(ctx)
}

func TestSearchWhileGrowing(t *testing.T) {
	t.Parallel()
	g := &growing{t: trace.NewTable()}
	e := query.New(g, query.Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			g.mu.Lock()
			add(g.t, span{trace: byte(i%200 + 1), id: byte(i/200 + 1), service: "a", name: fmt.Sprint("n", i), start: uint64(i), end: uint64(i) + 1})
			g.mu.Unlock()
		}
	}()
	seen := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		r := search(t, e, query.Request{Query: `{ name =~ "n.*" }`, Limit: 1000})
		if len(r.Traces) < seen {
			t.Fatalf("%d traces found, %d before", len(r.Traces), seen)
		}
		seen = len(r.Traces)
	}
	if seen != 200 {
		t.Errorf("%d traces found at the end, want 200", seen)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	e := query.New(views(
		tableOf(span{trace: 1, id: 1, service: "a", name: "x", end: 1, user: "u1"}),
		tableOf(span{trace: 2, id: 1, service: "b", name: "y", start: 100, end: 101, user: "u2"}, span{trace: 2, id: 2, service: "b", name: "z", start: 100, end: 101}),
	), query.Options{})
	for _, c := range []struct {
		tag, q     string
		start, end uint64
		want       string
	}{
		{tag: "span.user.id", want: "u1 u2"},
		{tag: ".user.id", want: "u1 u2"},
		{tag: "span.user.id", q: `{ resource.service.name = "a" }`, want: "u1"},
		{tag: "resource.service.name", q: `{ name = "z" && span.user. `, want: "b"},
		{tag: "name", want: "x y z"},
		{tag: "name", start: 50, end: 60, want: ""},
		{tag: "name", start: 50, end: 200, want: "y z"},
		{tag: "rootName", want: "x z"},
		{tag: "status", want: "error ok unset"},
		{tag: "duration", want: ""},
	} {
		req := query.TagRequest{Query: c.q}
		if c.end != 0 {
			req.Start, req.End = origin+c.start, origin+c.end
		}
		values, err := e.TagValues(t.Context(), c.tag, req)
		var got []string
		for _, v := range values {
			got = append(got, v.Value)
		}
		if text := strings.Join(got, " "); err != nil || text != c.want {
			t.Errorf("%+v: got %q (%v)", c, text, err)
		}
	}
	names, err := e.TagNames(t.Context(), query.TagRequest{Query: `{ name = "z" }`, Scope: "none"})
	if err != nil || len(names) != 2 || names[0].Scope != "resource" || names[1].Scope != "intrinsic" {
		t.Errorf("names of a span without attributes: %v, %v", names, err)
	}
}

// TestSlowConditionIsStopped asks what would take minutes.
func TestSlowConditionIsStopped(t *testing.T) {
	t.Parallel()
	e := query.New(source{benchTable(0, 20_000).View()}, query.Options{MaxTime: 50 * time.Millisecond})
	slow := "{ " + strings.Repeat("span.http.status_code * 2 + duration = 1 || ", 2500) + "false }"
	begin := time.Now()
	if _, err := e.Search(t.Context(), query.Request{Query: slow}); !errors.Is(err, query.ErrTimeLimit) {
		t.Errorf("search: %v, want ErrTimeLimit", err)
	}
	if _, err := e.TagValues(t.Context(), "name", query.TagRequest{Query: `{ name = "x" || span:id =~ "` + strings.Repeat("(a*)*b|", 2000) + `c" }`}); err != nil && !errors.Is(err, query.ErrTimeLimit) {
		t.Errorf("values: %v, want an answer or ErrTimeLimit", err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("stopping took %s", took)
	}
}
