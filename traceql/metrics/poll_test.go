package metrics

import (
	"context"
	"strings"
	"testing"

	"etude/internal/testkit"
	"etude/trace"
	"etude/traceql/evaltest"
)

// slowQueries take their time row by row.
var slowQueries = []string{
	`{ } | rate() by(span.n, span:id)`,
	`{ } | quantile_over_time(duration, .1, .2) by(span:id)`,
	`{ nestedSetLeft > 0 } | sum_over_time(span.n)`,
	`{ } | compare({ span.n * 2 > 7 })`,
}

// pollEvery is the most work between two polls, as in eval.
const pollEvery = 1 << 12

func ask(ctx context.Context, t *testing.T, query string, v *trace.View) {
	t.Helper()
	_, _ = run(compileMetrics(t, query), ctx, testkit.Views{v}, Window{Start: evaltest.Origin - 1, Step: 1 << 20, Slots: 3}, Bounds{})
}

// TestQueriesPollTheirContext counts rows and polls: a query polls at least every
// few thousand rows, and ends soon after it has been given up.
func TestQueriesPollTheirContext(t *testing.T) {
	t.Parallel()
	const spans = 20_000
	v := evaltest.BigView(spans, 100)
	for _, q := range slowQueries {
		all := &evaltest.Polled{Context: t.Context(), Most: 1 << 60}
		ask(all, t, q, v)
		if least := spans / pollEvery; all.Polls() < least {
			t.Errorf("%s: %d polls in %d rows, want at least %d", q, all.Polls(), spans, least)
		}
		given := &evaltest.Polled{Context: t.Context(), Most: 3}
		ask(given, t, q, v)
		if given.Polls() > 3+12 {
			t.Errorf("%s: %d polls after the query was given up", q, given.Polls()-3)
		}
	}
}

// TestStagesOverSeriesPollTheirContext has many stages after a metrics function.
func TestStagesOverSeriesPollTheirContext(t *testing.T) {
	t.Parallel()
	const spans, stages = 5_000, 100
	v := evaltest.BigView(spans, 1)
	for _, stage := range []string{" | topk(4999)", " >= 0"} {
		q := "{ } | count_over_time() by(span.n)" + strings.Repeat(stage, stages)
		all := &evaltest.Polled{Context: t.Context(), Most: 1 << 60}
		ask(all, t, q, v)
		if least := spans * stages / pollEvery; all.Polls() < least {
			t.Errorf("%s: %d polls in %d stages over %d series, want at least %d", stage, all.Polls(), stages, spans, least)
		}
		given := &evaltest.Polled{Context: t.Context(), Most: all.Polls() / 2}
		ask(given, t, q, v)
		if more := given.Polls() - given.Most; more > 12 {
			t.Errorf("%s: %d polls after the query was given up", stage, more)
		}
	}
}
