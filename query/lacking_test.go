package query_test

import (
	"fmt"
	"testing"

	"etude/internal/testkit"
	"etude/query"
	"etude/trace"
)

// TestPartsWithoutAMatchAreRemembered asks again what no span of any part meets, although each condition is met in
// every part. A query that finds something stays as it is.
func TestPartsWithoutAMatchAreRemembered(t *testing.T) {
	t.Parallel()
	const parts = 6
	var views testkit.Views
	for part := range parts {
		table := trace.NewTable()
		for n := range 4 {
			start := uint64(100*part + n)
			s := span{trace: byte(4*part + n), id: 1, service: "s", name: "n", status: trace.StatusOK, start: start, end: start + 60}
			if n%2 == 0 {
				s.status, s.end = trace.StatusError, start+5
			}
			add(table, s)
		}
		views = append(views, table.View())
	}
	for _, warm := range []int{0, 2} {
		for _, asked := range []string{"search", "metrics"} {
			var o opening
			e := query.New(testkit.Cold{Views: views, Warm: warm, Opening: o.note}, query.Options{})
			ask := func(condition string) (found int) {
				o.parts = nil
				if asked == "search" {
					return len(search(t, e, query.Request{Query: "{" + condition + "}"}).Traces)
				}
				r, err := e.Metrics(t.Context(), query.MetricsRequest{Query: "{" + condition + "} | rate()", Start: origin - 1, End: origin + 1000, Step: 10})
				if err != nil {
					t.Fatal(err)
				}
				for _, series := range r.Series {
					for _, x := range series.Samples {
						if x.Value > 0 {
							found++
						}
					}
				}
				return found
			}
			for round := range 3 {
				if found := ask("status = error && duration > 50ns"); found != 0 || round > 0 && len(o.parts) > warm || round == 0 && len(o.parts) < parts-warm {
					t.Errorf("%s, %d in memory, round %d: %d results, parts %v opened", asked, warm, round, found, o.parts)
				}
				if found := ask("status = error && duration > 4ns"); found == 0 {
					t.Errorf("%s, %d in memory, round %d: nothing was found", asked, warm, round)
				}
			}
			for n := range 40 { // more than are remembered
				ask(fmt.Sprintf("status = error && duration > %dns", 51+n%5+n))
			}
			if found := ask("status = error && duration > 3ns"); found == 0 {
				t.Errorf("%s, %d in memory: nothing was found in the end", asked, warm)
			}
		}
	}
}
