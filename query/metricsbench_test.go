package query_test

import (
	"sync"
	"testing"
	"time"

	"etude/query"
	"etude/trace"
)

// hourViews hold a million spans, spread evenly over an hour.
var hourViews = sync.OnceValue(func() (views source) {
	const spans = 1_000_000
	const spacing = uint64(time.Hour) / (spans / 10)
	for n := 0; n < spans; {
		rows := min(spans-n, trace.MaxRows/10*10)
		views = append(views, spacedTable(n, rows, spacing).View())
		n += rows
	}
	return views
})

func BenchmarkMetrics(b *testing.B) {
	for _, c := range []struct{ name, query string }{
		{"rate", `{ } | rate()`},
		{"rate-by-service", `{ } | rate() by(resource.service.name)`},
		{"rate-by-route-of-errors", `{ status = error } | rate() by(span.http.route)`},
		{"rate-by-two", `{ } | rate() by(resource.service.name, name)`},
		{"quantile", `{ } | quantile_over_time(duration, .5, .99)`},
		{"quantile-by-service", `{ } | quantile_over_time(duration, .5, .99) by(resource.service.name)`},
		{"max-attribute", `{ } | max_over_time(span.http.status_code)`},
		{"rate-of-roots", `{ nestedSetParent < 0 } | rate() by(resource.service.name)`},
		{"structural", `{ kind = server } >> { status = error } | rate()`},
		{"compare", `{ } | compare({ status = error })`},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := query.New(held(hourViews()), query.Options{MaxTime: time.Minute})
			req := query.MetricsRequest{Query: c.query, Start: origin, End: origin + uint64(time.Hour)}
			b.ReportAllocs()
			for b.Loop() {
				if r, err := e.Metrics(b.Context(), req); err != nil || len(r.Series) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}
