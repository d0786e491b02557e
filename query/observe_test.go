package query_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"etude/query"
	"etude/trace"
)

// told is a query.Observer that writes down what it is told.
type told struct {
	mu   sync.Mutex
	list []string
}

func (o *told) add(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, fmt.Sprintf(format, args...))
}

func (o *told) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := strings.Join(o.list, "; ")
	o.list = nil
	return text
}

func (o *told) Stage(_ context.Context, s query.Stage) func() {
	o.add("%s", s)
	return func() { o.add("/%s", s) }
}

func (o *told) Done(_ context.Context, w query.Work) {
	o.add("%q tables=%d spans=%d results=%d", w.Query, w.Tables, w.Spans, w.Results)
}

func TestObserver(t *testing.T) {
	t.Parallel()
	table := tableOf(
		span{trace: 1, id: 1, service: "a", name: "x", start: 1, end: 2, user: "u"},
		span{trace: 1, id: 2, parent: 1, service: "a", name: "y", start: 1, end: 2},
		span{trace: 2, id: 1, service: "b", name: "x", start: 3, end: 4, user: "v"})
	var o told
	e := query.New(views(table), query.Options{Observer: &o})
	searched := func(q string) func() error {
		return func() error { _, err := e.Search(t.Context(), query.Request{Query: q}); return err }
	}
	measured := func(q string) func() error {
		return func() error {
			_, err := e.Metrics(t.Context(), query.MetricsRequest{Query: q, Start: origin, End: origin + 10, Instant: true})
			return err
		}
	}
	for _, c := range []struct {
		name string
		ask  func() error
		want string
	}{
		{"search", searched(`{ name = "x" }`),
			`parse; /parse; plan; /plan; evaluate; /evaluate; "{ name = \"x\" }" tables=1 spans=3 results=2`},
		{"search that does not parse", searched(`{`), `parse; /parse; "{" tables=0 spans=0 results=0`},
		{"metrics", measured(`{ } | count_over_time() by (name)`),
			`parse; /parse; evaluate; /evaluate; "{ } | count_over_time() by (name)" tables=1 spans=3 results=2`},
		{"trace", func() error { _, err := e.Trace(t.Context(), trace.TraceID{15: 1}, 0); return err }, `"" tables=1 spans=0 results=2`},
		{"unknown trace", func() error { _, err := e.Trace(t.Context(), trace.TraceID{15: 9}, 0); return err }, `"" tables=1 spans=0 results=0`},
		{"values", func() error {
			_, err := e.TagValues(t.Context(), "name", query.TagRequest{Query: "{ true }"})
			return err
		}, `evaluate; /evaluate; "{ true }" tables=1 spans=0 results=2`},
		{"texts", func() error { _, err := e.TagTexts(t.Context(), "service.name", query.TagRequest{}); return err },
			`evaluate; /evaluate; "" tables=1 spans=0 results=2`},
		{"names", func() error { _, err := e.TagNames(t.Context(), query.TagRequest{Scope: "resource"}); return err },
			`"" tables=1 spans=0 results=1`},
	} {
		var input *query.InputError
		if err := c.ask(); err != nil && !errors.As(err, &input) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := o.take(); got != c.want {
			t.Errorf("%s tells\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

// TestObserverIsToldOfWaiting: only queries that have to wait for others do.
func TestObserverIsToldOfWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o told
		e := query.New(stuck{test: t.Context()}, query.Options{MaxTime: time.Second, MaxConcurrent: 1, Observer: &o})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = e.Search(context.Background(), query.Request{})
		}()
		synctest.Wait()
		if got := o.take(); strings.Contains(got, "wait") {
			t.Errorf("the first query tells %s", got)
		}
		_, _ = e.Search(t.Context(), query.Request{Query: "{ }"})
		<-ended
		if got := strings.Split(o.take(), "; "); !slices.Contains(got, "wait") || !slices.Contains(got, "/wait") {
			t.Errorf("the second query tells %q", got)
		}
	})
}
