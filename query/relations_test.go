package query_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"etude/internal/testkit"
	"etude/query"
	"etude/traceql/eval"
	"etude/traceql/evaltest"
)

// TestRelations asks random questions in several ways, over several layouts of the same spans, and compares the
// answers with each other. ETUDE_RELATIONS=1000 uses so many forests.
func TestRelations(t *testing.T) {
	t.Parallel()
	forests, found := 25, 0
	if n, err := strconv.Atoi(os.Getenv("ETUDE_RELATIONS")); err == nil {
		forests = n
	}
	for seed := range forests {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		text := relatedForest(r)
		apart := evaltest.Forest(t, text, 3)
		twice := append(evaltest.Forest(t, text, 2), apart...)
		layouts := []asker{}
		for _, e := range []*query.Engine{
			query.New(source(evaltest.Forest(t, text, 1)), query.Options{}),
			query.New(source(apart), query.Options{}),
			query.New(source(twice), query.Options{}),
			query.New(testkit.Cold{Views: testkit.Views(apart)}, query.Options{}),
			query.New(testkit.Cold{Views: testkit.Views(twice), Warm: 1}, query.Options{}),
		} {
			layouts = append(layouts, asker{t, e, text})
		}
		for range 8 {
			any := layouts[r.IntN(len(layouts))]
			a, b := relatedCond(r), relatedCond(r)
			inA, inB := layouts[0].spans("{ "+a+" }"), layouts[0].spans("{ "+b+" }")
			found += min(1, len(inA))
			for _, other := range layouts[1:] {
				other.finds("{ "+a+" }", inA)
			}
			any.counts(r, a, len(inA))
			any.setsOf(a, b, inA, inB)
			any.structure(a, b, inB)
			any.values(r, a)
			any.numbers(a)
			any.compared(a, b, inA, inB)
		}
	}
	if found < 3*forests {
		t.Errorf("only %d of %d conditions find a span", found, 8*forests)
	}
}

// asker asks an engine about a forest.
type asker struct {
	t    *testing.T
	e    *query.Engine
	text string
}

// spans returns the spans of an answer, sorted.
func (a asker) spans(q string) (ids []string) {
	for _, s := range a.found(q) {
		ids = append(ids, s.ID.String())
	}
	slices.Sort(ids)
	return ids
}

func (a asker) found(q string) (spans []query.Span) {
	for _, tr := range search(a.t, a.e, query.Request{Query: q, Limit: 100, SpansPerSpanSet: 100}).Traces {
		for _, set := range tr.SpanSets {
			spans = append(spans, set.Spans...)
		}
	}
	return spans
}

func (a asker) finds(q string, want []string) {
	a.t.Helper()
	if got := a.spans(q); !slices.Equal(got, want) {
		a.t.Fatalf("%s: %s, want %s, in\n%s", q, got, want, a.text)
	}
}

// samples returns the sums of the samples of each series of a metrics query.
func (a asker) samples(q string, step uint64) map[string]float64 {
	a.t.Helper()
	got, err := a.e.Metrics(a.t.Context(), query.MetricsRequest{Query: q, Start: evaltest.Origin - 8e6, End: evaltest.Origin + 40e6, Step: step, Instant: step == 0})
	if err != nil {
		a.t.Fatalf("%s: %v", q, err)
	}
	out := map[string]float64{}
	for _, s := range got.Series {
		labels := ""
		for _, l := range s.Labels {
			labels += l.Key + "=" + l.Value.Key() + " "
		}
		for _, sample := range s.Samples {
			out[labels] += sample.Value
		}
	}
	return out
}

// counts: the counts of all groups add up to the spans found, those of all slots to the count of the window.
func (a asker) counts(r *rand.Rand, cond string, want int) {
	a.t.Helper()
	by := oneOf(r, "", " by(name)", " by(span.n)", " by(rootName, .n)", " by(event.n)", " by(resource.service.name)", " by(span.http.url, link.n)")
	q := "{ " + cond + " } | count_over_time()" + by
	whole, sum := a.samples(q, 0), 0.0
	for _, n := range whole {
		sum += n
	}
	if sum != float64(want) {
		a.t.Fatalf("%s: %v, want %d spans, in\n%s", q, whole, want, a.text)
	}
	slots := a.samples(q, 4e6)
	for _, series := range []map[string]float64{slots, whole} {
		maps.DeleteFunc(series, func(_ string, n float64) bool { return n == 0 })
	}
	if !maps.Equal(slots, whole) {
		a.t.Fatalf("%s: the slots have %v, the window %v", q, slots, whole)
	}
	if by == "" || strings.Contains(by, ",") { // by() of a search has one expression
		return
	}
	if got := len(a.spans("{ " + cond + " } |" + by)); got != want {
		a.t.Fatalf("{ %s } |%s: %d spans, want %d", cond, by, got, want)
	}
}

// setsOf: || is the union, a second stage and && the intersection, and two negations cancel out.
func (a asker) setsOf(l, r string, inL, inR []string) {
	a.t.Helper()
	union := slices.Compact(slices.Sorted(slices.Values(slices.Concat(inL, inR))))
	both := slices.DeleteFunc(slices.Clone(inL), func(id string) bool { return !slices.Contains(inR, id) })
	a.finds("{ "+l+" } || { "+r+" }", union)
	a.finds("{ ("+l+") || "+r+" }", union)
	a.finds("{ "+l+" } | { "+r+" }", both)
	a.finds("{ !(!("+l+")) }", inL)
	if !belowSpans(l) || !belowSpans(r) { // two conditions on events are about one event
		a.finds("{ "+l+" && ("+r+") }", both)
		a.finds("{ !("+l+") && !("+r+") }", a.spans("{ !(("+l+") || ("+r+")) }"))
	}
	a.finds("{ "+l+" } && { true }", a.spans("{ true } && { "+l+" }"))
}

func belowSpans(cond string) bool {
	return strings.HasPrefix(cond, "event") || strings.HasPrefix(cond, "link")
}

// structure: an operator and its negation divide the spans of the right side; & adds those of the left side.
func (a asker) structure(l, r string, inR []string) {
	a.t.Helper()
	left, right := "{ "+l+" }", "{ "+r+" }"
	for op, inverse := range map[string]string{">": "<", "<": ">", ">>": "<<", "<<": ">>", "~": "~"} {
		related := a.spans(left + " " + op + " " + right)
		apart := a.spans(left + " !" + op + " " + right)
		if divided := slices.Sorted(slices.Values(slices.Concat(related, apart))); !slices.Equal(divided, inR) {
			a.t.Fatalf("%s %s %s: %s, and negated %s, of %s, in\n%s", left, op, right, related, apart, inR, a.text)
		}
		if len(op) == 1 { // &>> and &<< find fewer: rule T6
			union := slices.Concat(related, a.spans(right+" "+inverse+" "+left))
			a.finds(left+" &"+op+" "+right, slices.Compact(slices.Sorted(slices.Values(union))))
		}
	}
}

// values: the values of a tag among the spans of a condition are the labels that by() gives them.
func (a asker) values(r *rand.Rand, cond string) {
	a.t.Helper()
	if belowSpans(cond) || strings.Count(cond, " ") != 2 || strings.ContainsAny(cond[:1], "-012t") || strings.HasSuffix(cond, "span.m") {
		return // a question about values reads only conditions on spans that compare with a constant
	}
	tag := oneOf(r, "name", "span.n", "span.s", "resource.n", "rootName", "resource.service.name")
	got, err := a.e.TagValues(a.t.Context(), tag, query.TagRequest{Query: "{ " + cond + " }"})
	if err != nil {
		a.t.Fatal(err)
	}
	var have []string
	for _, v := range got {
		have = append(have, v.Value)
	}
	var want []string
	for labels := range a.samples("{ "+cond+" } | count_over_time() by("+tag+")", 0) {
		if _, label, _ := strings.Cut(strings.TrimSuffix(labels, " "), "="); label != "" && label[1:] != "nil" {
			want = append(want, label[1:])
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(slices.Compact(have), want) {
		a.t.Fatalf("values of %s for { %s }: %q, by() has %q, in\n%s", tag, cond, have, want, a.text)
	}
}

// numbers: functions over the numbers of spans agree with the same numbers as select() lists them.
func (a asker) numbers(cond string) {
	a.t.Helper()
	var all []float64
	for _, s := range a.found("{ " + cond + " } | select(span.w)") {
		for _, attr := range s.Attrs {
			if v := attr.Value; attr.Key == "w" && (v.Type == eval.Int || v.Type == eval.Float) {
				all = append(all, v.Number())
			}
		}
	}
	slices.Sort(all)
	sum := 0.0
	for _, x := range all {
		sum += x
	}
	for function, want := range map[string]func() float64{
		"sum_over_time(span.w)": func() float64 { return sum }, "avg_over_time(span.w)": func() float64 { return sum / float64(len(all)) },
		"min_over_time(span.w)": func() float64 { return all[0] }, "max_over_time(span.w)": func() float64 { return all[len(all)-1] },
		"quantile_over_time(span.w, 0.5) with (exact=true)": func() float64 { return all[(len(all)+1)/2-1] },
	} {
		got := a.samples("{ "+cond+" } | "+function, 0)
		if len(all) == 0 && len(got) == 0 {
			continue
		}
		for _, x := range got {
			if len(all) == 0 || math.Abs(x-want()) > 1e-9 {
				a.t.Fatalf("{ %s } | %s: %v of %v, in\n%s", cond, function, x, all, a.text)
			}
		}
		if len(got) != 1 {
			a.t.Fatalf("{ %s } | %s: %v of %v, in\n%s", cond, function, got, all, a.text)
		}
	}
}

// compared: compare() counts each span once among its service names, in the selection or the baseline.
func (a asker) compared(l, r string, inL, inR []string) {
	a.t.Helper()
	want := map[string]float64{}
	for _, id := range inL {
		if slices.Contains(inR, id) {
			want["selection"]++
		} else {
			want["baseline"]++
		}
	}
	q, got := "{ "+l+" } | compare({ "+r+" })", map[string]float64{}
	for labels, n := range a.samples(q, 0) {
		meta, attr, _ := strings.Cut(labels, " ")
		if meta = meta[len("__meta_type=d"):]; n > 0 && strings.HasPrefix(attr, "resource.service.name=") {
			got[meta] += n
		}
	}
	for meta, n := range want {
		if got[meta] != n || got[meta+"_total"] != n {
			a.t.Fatalf("%s: %v, want %v, in\n%s", q, got, want, a.text)
		}
	}
}

func oneOf(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// relatedForest has traces with orphans, mixed types, events and links.
func relatedForest(r *rand.Rand) string {
	var b strings.Builder
	for n := range 3 {
		fmt.Fprintf(&b, "trace %c\n", 'a'+n)
		depth := 1
		for i := range 1 + r.IntN(9) {
			if i > 0 {
				depth = 1 + r.IntN(depth+1)
			}
			name := oneOf(r, "a", "b", "ab")
			if depth == 1 && r.IntN(3) == 0 {
				name = "?" + name
			}
			fmt.Fprintf(&b, "%s%s %s %s %s %dms %dms", strings.Repeat("  ", depth), name, oneOf(r, "-", "x", "y"),
				oneOf(r, "server", "client", "internal"), oneOf(r, "unset", "ok", "error"), r.IntN(20), r.IntN(6))
			for _, key := range []string{"n", "m", "s", "w", "http.url", "r:n", "r:s", "i:n"} {
				if r.IntN(2) == 0 {
					fmt.Fprintf(&b, " %s=%s", key, oneOf(r, "0", "1", "2", "1.5", "2.0", `"a"`, `"b"`, "true", "false"))
				}
			}
			for range r.IntN(3) {
				fmt.Fprintf(&b, " @%s+%dms(n=%s)", oneOf(r, "a", "b"), r.IntN(5), oneOf(r, "1", "2", "2.5"))
			}
			if r.IntN(3) == 0 {
				fmt.Fprintf(&b, " ^%d(n=%s)", r.IntN(9), oneOf(r, "1", "2.5"))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// relatedCond is a condition that has one meaning wherever it is.
func relatedCond(r *rand.Rand) string {
	order, number := oneOf(r, "=", "!=", "<", ">="), oneOf(r, "0", "1", "2.0", "1.5", "-1")
	attr := oneOf(r, "span.n", ".n", "resource.n", "instrumentation.n", "span.s", ".s", "span.http.url")
	match := oneOf(r, "=~", "!~") + " " + oneOf(r, `"a"`, `"a.*"`, `"a|b"`, `".*"`, `""`, `"(?i)A.*"`)
	return oneOf(r,
		attr+" "+order+" "+number, attr+" "+order+` "a"`, attr+" "+match, attr+oneOf(r, " = nil", " != nil"), attr+oneOf(r, " = true", " != false"),
		"name "+match, "kind = server", "status != error", "duration "+order+" 2ms", "resource.service.name "+match,
		"span.n + span.m "+order+" "+number, "-span.n "+order+" span.m", number+" "+order+" span.n",
		`event:name = "a"`, "event.n "+order+" "+number, "link.n "+order+" "+number, "event:timeSinceStart > 2ms",
		"traceDuration > 5ms", `rootName = "a"`, "span:childCount > 0", "true", "1 = 2",
	)
}
