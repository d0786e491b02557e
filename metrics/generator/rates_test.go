package generator

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// TestRatesOverTheOwnLifetime: one request a second, asked for over the last hour.
// After two minutes rate() says a thirtieth of it; counts by the observed seconds
// say one, also over a restart with a pause, and after more than the hour.
func TestRatesOverTheOwnLifetime(t *testing.T) {
	t.Parallel()
	db := openDatabase(t)
	synctest.Test(t, func(t *testing.T) {
		const lifetime = `sum(increase(traces_spanmetrics_calls_total[1h])) / scalar(sum(increase(etude_generator_observed_seconds_total[1h])))`
		source, spans := &memoryStore{}, 0
		run := func(seconds int) {
			g, err := New(Options{Source: source, Out: db, Processors: []Processor{SpanMetricsCount}})
			if err != nil {
				t.Fatal(err)
			}
			for i := range seconds {
				spans++
				source.add(t, spansOf(t, fmt.Sprintf("trace=%x span=1 service=a kind=server", spans))...)
				time.Sleep(time.Second)
				if i%15 == 14 {
					if err := g.Collect(context.Background(), time.Now()); err != nil {
						t.Fatal(err)
					}
				}
			}
			source.seal()
			source.drop()
		}
		near := func(what, query string, want float64) {
			t.Helper()
			if got := db.query(time.Now(), query)[""]; math.Abs(got-want) > 0.05*want {
				t.Errorf("%s: %s = %v, want %v", what, query, got, want)
			}
		}
		run(120)
		near("after two minutes", `sum(rate(traces_spanmetrics_calls_total[1h]))`, 1.0/30)
		near("after two minutes", lifetime, 1)
		time.Sleep(10 * time.Minute)
		run(120)
		near("after a restart", lifetime, 1)
		run(4000)
		near("after more than an hour", lifetime, 1)
		near("after more than an hour", `sum(rate(traces_spanmetrics_calls_total[1h]))`, 1)
	})
}
