package query_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"etude/query"
	"etude/traceql/metrics"
)

// TestProgressIsSure searches forests whose traces begin in any order and lie in
// several Views, and compares what was told on the way with the answer.
func TestProgressIsSure(t *testing.T) {
	t.Parallel()
	told, whole := 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		tables := make([][]span, 1+r.IntN(3))
		for trace := range 30 {
			start := uint64(1 + r.IntN(40))
			for id := range 1 + r.IntN(3) {
				at := &tables[r.IntN(len(tables))]
				*at = append(*at, span{trace: byte(trace + 1), id: byte(id + 1), service: "a", name: "x", start: start + uint64(r.IntN(5)), end: start + 9})
			}
		}
		src := source{}
		for _, spans := range tables {
			src = append(src, tableOf(spans...).View())
		}
		e := query.New(src, query.Options{})
		req := query.Request{Query: "{ } | select(name)", Limit: 1 + r.IntN(40)}
		want := search(t, e, req)
		var parts [][]query.Trace
		done := 0
		req.Progress = func(p query.SearchProgress) {
			sure, inspected := p.Sure, p.InspectedTraces
			if inspected < len(sure) {
				t.Errorf("seed %d: %d traces are sure after a look at %d", seed, len(sure), inspected)
			}
			if p.Parts != len(tables) || p.PartsDone < done || p.PartsDone > p.Parts {
				t.Errorf("seed %d: %d of %d parts are done after %d", seed, p.PartsDone, p.Parts, done)
			}
			done = p.PartsDone
			if len(sure) > 0 {
				parts = append(parts, sure)
			}
		}
		if got := search(t, e, req); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: another answer when progress is told", seed)
		}
		last := 0
		for _, p := range parts {
			if len(p) < last || len(p) > len(want.Traces) || !reflect.DeepEqual(p, want.Traces[:len(p)]) {
				t.Fatalf("seed %d: %d traces were told after %d, which are not how the answer of %d begins", seed, len(p), last, len(want.Traces))
			}
			last = len(p)
		}
		told, whole = told+last, whole+len(want.Traces)
	}
	if told*2 < whole {
		t.Errorf("only %d of %d traces were told before the end", told, whole)
	}
}

// TestMetricsProgressIsSure runs queries over Views that overlap in time and
// compares the samples told on the way with those of the answer.
func TestMetricsProgressIsSure(t *testing.T) {
	t.Parallel()
	told := map[string]int{}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		var src source
		for view := range 4 {
			var spans []span
			for n := range 20 {
				start := uint64(view*20+r.IntN(30)) * uint64(time.Second)
				spans = append(spans, span{trace: byte(view*50 + n + 1), id: 1, service: "a", name: "x", user: string(rune('a' + r.IntN(3))), start: start, end: start + uint64(1+r.IntN(9))})
			}
			src = append(src, tableOf(spans...).View())
		}
		e := query.New(src, query.Options{})
		for _, text := range []string{"{ } | rate()", "{ } | count_over_time() by(span.user.id) | topk(2)", "{ } | quantile_over_time(duration, .5, .9) by(span.user.id)",
			"{ } | avg_over_time(duration) by(name, span.user.id)", "{ } >> { } | rate()", "{ } | histogram_over_time(duration) > 1", "{ trace:duration > 2ns } | max_over_time(duration)"} {
			req := query.MetricsRequest{Query: text, Start: origin, End: origin + uint64(2*time.Minute), Step: uint64(3 * time.Second)}
			want, err := e.Metrics(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			final := sampleSet(want.Series)
			next := 0
			req.Progress = func(w metrics.Window, from, to int, series func() []metrics.Series) bool {
				if w != want.Window || from != next || to <= from || to >= w.Slots {
					t.Errorf("seed %d, %s: slots %d to %d are complete after %d of %d", seed, text, from, to, next, w.Slots)
				}
				if r.IntN(3) == 0 {
					return false
				}
				next = to
				for key, x := range sampleSet(series()) {
					if got, ok := final[key]; !ok || got != x || key.slot < from || key.slot >= to {
						t.Errorf("seed %d, %s: %v of slots %d to %d is told as %v, the answer has %v", seed, text, key, from, to, x, got)
					}
					told[text]++
				}
				return true
			}
			got, err := e.Metrics(t.Context(), req)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %s: another answer when progress is told: %v", seed, text, err)
			}
		}
	}
	if len(told) != 6 { // nothing is below anything
		t.Errorf("samples told: %v", told)
	}
}

type sampleKey struct {
	labels string
	slot   int
}

func sampleSet(series []metrics.Series) map[sampleKey]float64 {
	all := map[sampleKey]float64{}
	for _, s := range series {
		for _, x := range s.Samples {
			all[sampleKey{fmt.Sprint(s.Labels), x.Slot}] = x.Value
		}
	}
	return all
}
