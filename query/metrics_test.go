package query_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etude/query"
)

// sampleTimes prints the seconds after origin at which samples stand.
func sampleTimes(r *query.MetricsResult) (out string) {
	for _, s := range r.Series {
		for _, x := range s.Samples {
			at := int64(r.Window.Start+uint64(x.Slot+1)*r.Window.Step) - int64(origin)
			out += fmt.Sprintf(" %g@%g", x.Value, float64(at)/1e9)
		}
	}
	return strings.TrimSpace(out)
}

func TestMetricsWindow(t *testing.T) {
	t.Parallel()
	const s = uint64(time.Second)
	e := query.New(views(tableOf(
		span{trace: 1, id: 1, service: "a", start: 0},
		span{trace: 2, id: 1, service: "a", start: 1},
		span{trace: 3, id: 1, service: "a", start: 10 * s},
		span{trace: 4, id: 1, service: "a", start: 10*s + 1},
		span{trace: 5, id: 1, service: "a", start: 30 * s},
		span{trace: 6, id: 1, service: "a", start: 30*s + 1},
	)), query.Options{})
	for _, c := range []struct {
		start, end, step uint64
		instant          bool
		want             string
	}{
		{0, 30 * s, 10 * s, false, "1@0 2@10 1@20 1@30"},
		{5 * s, 27 * s, 10 * s, false, "1@0 2@10 1@20 1@30"}, // widened to whole steps, and one step before
		{0, 40 * s, 10 * s, false, "1@0 2@10 1@20 1@30 1@40"},
		{10 * s, 10 * s, 10 * s, false, "2@10"},
		{0, 30 * s, 0, true, "4@30"}, // open on the left, closed on the right
		{1, 10 * s, 0, true, "1@10"},
	} {
		r, err := e.Metrics(t.Context(), query.MetricsRequest{
			Query: "{ } | count_over_time()", Start: origin + c.start, End: origin + c.end, Step: c.step, Instant: c.instant,
		})
		if err != nil || sampleTimes(r) != c.want {
			t.Errorf("%d to %d, step %d: %s (%v), want %s", c.start, c.end, c.step, sampleTimes(r), err, c.want)
		}
	}
}

// TestMetricsOverDays asks over a week, and refuses what is longer than the Engine allows.
func TestMetricsOverDays(t *testing.T) {
	t.Parallel()
	const day = uint64(24 * time.Hour)
	src := views(tableOf(span{trace: 1, id: 1, service: "a", start: 0}, span{trace: 2, id: 1, service: "a", start: 2*day + 1}),
		tableOf(span{trace: 3, id: 1, service: "a", start: 6 * day}))
	week := query.MetricsRequest{Query: "{ } | count_over_time()", Start: origin, End: origin + 7*day, Step: day}
	r, err := query.New(src, query.Options{}).Metrics(t.Context(), week)
	if err != nil {
		t.Fatal(err)
	}
	var days []int
	for _, x := range r.Series[0].Samples {
		if x.Value == 1 {
			days = append(days, int((r.Window.Start+uint64(x.Slot)*day-origin/day*day)/day))
		}
	}
	if want := []int{0, 2, 6}; !slices.Equal(days, want) || r.Window.Step != day {
		t.Errorf("a week has spans on the days %v by steps of %s, want %v", days, time.Duration(r.Window.Step), want)
	}
	_, err = query.New(src, query.Options{MaxMetricsRange: 24 * time.Hour}).Metrics(t.Context(), week)
	if want := "metrics query time range exceeds the maximum allowed duration of 24h0m0s"; err == nil || err.Error() != want {
		t.Errorf("a week where a day is the most: %v, want %s", err, want)
	}
}

func TestDefaultStep(t *testing.T) {
	t.Parallel()
	for length, want := range map[time.Duration]time.Duration{
		0:                50 * time.Millisecond,
		10 * time.Second: 50 * time.Millisecond,
		30 * time.Second: 100 * time.Millisecond,
		time.Minute:      time.Second,
		5 * time.Minute:  time.Second,
		15 * time.Minute: 3 * time.Second,
		time.Hour:        15 * time.Second, // exactly 15 s is not above it: three times 5 s
		3 * time.Hour:    45 * time.Second,
		24 * time.Hour:   5 * time.Minute,
	} {
		if got := query.DefaultStep(uint64(length)); got != uint64(want) {
			t.Errorf("%s: %s, want %s", length, time.Duration(got), want)
		}
	}
}

// TestMetricsIsStopped asks for what takes many seconds, with next to no time
// and with none.
func TestMetricsIsStopped(t *testing.T) {
	t.Parallel()
	table := source{benchTable(0, 20_000).View()}
	e := query.New(table, query.Options{MaxTime: time.Millisecond})
	for _, q := range []string{
		"{ " + strings.Repeat("span.http.status_code * 2 + duration = 1 || ", 2500) + "false } | rate()",
		"{ " + strings.Repeat("nestedSetLeft * 2 + duration = 1 || ", 2500) + "false } | rate()",
	} {
		req := query.MetricsRequest{Query: q, Start: origin - 1e9, End: origin + 3600e9}
		if _, err := e.Metrics(t.Context(), req); !errors.Is(err, query.ErrTimeLimit) {
			t.Errorf("%.60s: %v, want ErrTimeLimit", q, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := query.MetricsRequest{Query: "{ } | rate()", Start: origin, End: origin + 1e9}
	if _, err := query.New(table, query.Options{}).Metrics(ctx, req); !errors.Is(err, context.Canceled) {
		t.Errorf("client gone: %v", err)
	}
}

// TestCompareIsStopped has its time used up by the source: comparing this little
// may be done before a timer of this machine fires.
func TestCompareIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := tableOf(span{trace: 1, id: 1, service: "a", name: "x", end: 1})
		e := query.New(stuck{views(table), t.Context()}, query.Options{MaxTime: time.Second})
		req := query.MetricsRequest{Query: "{ } | compare({ status = error })", Start: origin, End: origin + 1e9}
		if _, err := e.Metrics(t.Context(), req); !errors.Is(err, query.ErrTimeLimit) {
			t.Errorf("%v, want ErrTimeLimit", err)
		}
	})
}

// TestMetricsOfManyGroups groups by so much that every span is a series.
func TestMetricsOfManyGroups(t *testing.T) {
	t.Parallel()
	const spans = 20_000
	e := query.New(source{benchTable(0, spans).View()}, query.Options{})
	r, err := e.Metrics(t.Context(), query.MetricsRequest{
		Query: "{ } | count_over_time() by(span.user.id, span:id, name)", Start: origin - 1e9, End: origin + 3600e9, Instant: true,
	})
	if err != nil || len(r.Series) != spans {
		t.Fatalf("%d series, %v; want %d", len(r.Series), err, spans)
	}
	for _, s := range r.Series {
		if len(s.Labels) != 3 || len(s.Samples) != 1 || s.Samples[0].Value != 1 {
			t.Fatalf("a span is %+v", s)
		}
	}
}

func TestMetricsLimitsSamples(t *testing.T) {
	t.Parallel()
	e := query.New(source{benchTable(0, 20_000).View()}, query.Options{})
	_, err := e.Metrics(t.Context(), query.MetricsRequest{
		Query: "{ } | rate() by(span.user.id)", Start: origin - 1e9, End: origin + 3600e9, Step: 1e9,
	})
	if !errors.Is(err, query.ErrMemoryLimit) || !strings.Contains(err.Error(), "larger step") {
		t.Errorf("20,000 users every second of an hour: %v", err)
	}
}
