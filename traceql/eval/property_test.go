package eval

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"etude/trace"
	"etude/traceql/evaltest"
)

// TestAgainstNaive compares the evaluator with the plain one of naive_test.go:
// random queries over random forests, in one table and spread over three.
// ETUDE_EVAL_QUERIES=100000 asks for so many queries.
func TestAgainstNaive(t *testing.T) {
	t.Parallel()
	count, found := 4_000, 0
	if n, err := strconv.Atoi(os.Getenv("ETUDE_EVAL_QUERIES")); err == nil {
		count = n
	}
	var g *generator
	var traces []plainTrace
	var views [][]*trace.View
	for i := range count {
		if i%20 == 0 {
			g = &generator{Rand: rand.New(rand.NewPCG(uint64(i), 4))}
			traces = g.forest()
			views = [][]*trace.View{plainViews(t, traces, 1), plainViews(t, traces, 3), plainViews(t, traces, 12)}
		}
		query, stages := g.query()
		want := naiveAnswer(traces, stages)
		if want != "" {
			found++
		}
		for _, v := range views {
			src := evaltest.Sources(v)[i%3]
			if got := fastAnswer(t, src, v, query); got != want {
				t.Fatalf("query %d, %d tables, %T: %s\n got %s\nwant %s\n%s", i, len(v), src, query, got, want, forestText(traces))
			}
		}
	}
	t.Logf("%d queries, %d with a result", count, found)
	if found*5 < count {
		t.Errorf("only %d of %d queries had a result", found, count)
	}
}

func forestText(traces []plainTrace) (out string) {
	for _, tr := range traces {
		for _, s := range tr {
			out += fmt.Sprintln(s.id, s.parent, s.fields())
		}
		out += "\n"
	}
	return out
}

func naiveAnswer(traces []plainTrace, stages []plainStage) string {
	var out []string
	for n, tr := range traces {
		sets := []plainTrace{tr}
		for _, s := range stages {
			sets = s(tr, sets)
		}
		for _, set := range sets {
			text := fmt.Sprintf("%c:", 'a'+n)
			for _, s := range set {
				text += fmt.Sprint(" ", slices.Index(tr, s))
			}
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// known is shared by all queries, as an engine does it.
var known Places

func fastAnswer(t *testing.T, src trace.Source, views []*trace.View, query string) string {
	run := start(t, compile(t, query), t.Context(), src, &known)
	var out []string
	for _, id := range traceIDs(views) {
		sets, err := run.Trace(load(t, run, id))
		if err != nil {
			return "error: " + err.Error()
		}
		if len(sets) > 0 && !isCandidate(t, run, id) {
			t.Errorf("%s: trace %s has a result but is no candidate", query, id.Short())
		}
		for _, s := range sets {
			text := fmt.Sprintf("%c:", id[15])
			for _, i := range s.Spans {
				text += fmt.Sprint(" ", i)
			}
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// generator makes forests, and queries as text and as plain stages at once.
type generator struct {
	*rand.Rand
	q *plainQuery // the one being made
}

func pickOf[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) forest() (traces []plainTrace) {
	for range 3 {
		var tr plainTrace
		size := 1 + g.IntN(12)
		for i := range size {
			tr = append(tr, g.span(i, tr))
			tr[i].trace = len(traces)
		}
		g.Shuffle(len(tr), func(i, j int) { tr[i], tr[j] = tr[j], tr[i] })
		traces = append(traces, tr)
	}
	return traces
}

// span makes one more span: below another one, a root, an orphan, or sharing an
// id with a client. Starts differ, so that no span repeats another.
func (g *generator) span(i int, have plainTrace) *plainSpan {
	s := &plainSpan{
		id: i + 1, name: pickOf(g, "a", "b", "c"), service: pickOf(g, "", "x", "y"),
		kind: pickOf(g, "server", "client", "internal"), status: pickOf(g, "unset", "ok", "error"),
		start: i, ms: g.IntN(5), attrs: g.attrs(), ofRes: g.attrs(),
	}
	for range g.IntN(3) {
		s.events = append(s.events, plainEvent{pickOf(g, "a", "b"), g.scalars()})
	}
	switch n := g.IntN(20); {
	case len(have) == 0 && n < 15 || n == 0: // a root
	case len(have) == 0 || n == 1:
		s.parent = 900
	case n == 2:
		s.parent = i + 2 // perhaps a later one, perhaps a circle
	case n == 3:
		s.parent = s.id
	default:
		s.parent = have[g.IntN(len(have))].id
	}
	if len(have) > 0 && g.IntN(12) == 0 {
		twin := have[g.IntN(len(have))]
		s.id = twin.id
		if g.IntN(4) > 0 {
			s.kind, twin.kind = "server", "client"
		}
	}
	return s
}

func (g *generator) attrs() map[string]plainValue {
	out := map[string]plainValue{}
	for _, key := range []string{"n", "s", "http.url"} {
		if g.IntN(3) > 0 {
			out[key] = g.value()
		}
	}
	return out
}

// scalars are attributes without arrays, which the text form of events lacks.
func (g *generator) scalars() map[string]plainValue {
	out := g.attrs()
	for key, v := range out {
		if _, ok := v.([]plainValue); ok {
			out[key] = g.literal()
		}
	}
	return out
}

func (g *generator) value() plainValue {
	switch g.IntN(6) {
	case 0:
		return []plainValue{g.int(), g.int()}
	case 1:
		return []plainValue{pickOf(g, "a", "b"), pickOf(g, "b", "c")}
	}
	return g.literal()
}

func (g *generator) int() plainValue { return int64(g.IntN(4)) }

func (g *generator) literal() plainValue {
	return pickOf[plainValue](g, g.int(), g.int(), float64(g.IntN(3))+0.5, pickOf(g, "a", "b", "c"), g.IntN(2) == 0)
}

func (g *generator) query() (string, []plainStage) {
	g.q = &plainQuery{known: map[string]bool{}}
	if g.IntN(8) == 0 {
		l, left := g.pipeline(false)
		r, right := g.pipeline(false)
		op := pickOf(g, "&&", "||", ">", "<<", "!>>", "&~")
		return fmt.Sprintf("(%s) %s (%s)", l, op, r), []plainStage{plainSpanset(plainOp(op, grouped(left), grouped(right)))}
	}
	return g.pipeline(true)
}

// grouped is a pipeline in parentheses that makes no groups.
func grouped(stages []plainStage) plainNode {
	return func(t, in plainTrace) plainTrace {
		sets := []plainTrace{in}
		for _, s := range stages {
			sets = s(t, sets)
		}
		return slices.Concat(sets...)
	}
}

func (g *generator) pipeline(groups bool) (string, []plainStage) {
	outside := g.q.selected
	defer func() { g.q.selected = outside }()
	text, n := g.spanset(2)
	stages := []plainStage{plainSpanset(n)}
	for range g.IntN(3) {
		more, s := g.stage(groups)
		text, stages = text+" | "+more, append(stages, s)
	}
	if len(stages) == 1 && !groups { // else the parentheses would be plain ones
		text, stages = text+" | count() > 0", append(stages, plainKeep(func(plainTrace) bool { return true }))
	}
	return text, stages
}

func (g *generator) stage(groups bool) (string, plainStage) {
	n, op := g.IntN(4), pickOf(g, ">", "<=", "=", "!=")
	switch g.IntN(7) {
	case 6:
		name := pickOf(g, "span.n", "duration")
		g.q.selected = true
		return "select(" + name + ")", plainKeep(func(plainTrace) bool { return true })
	case 0:
		text, node := g.spanset(1)
		return text, plainSpanset(node)
	case 1:
		return fmt.Sprintf("count() %s %d", op, n), plainKeep(func(set plainTrace) bool { return plainOrdered(op, int64(len(set)), int64(n)) })
	case 2:
		known := g.q.reading("duration")
		return fmt.Sprintf("max(duration) %s %dms", op, n), plainKeep(func(set plainTrace) bool {
			longest := slices.MaxFunc(set, func(a, b *plainSpan) int { return cmp.Compare(a.ms, b.ms) })
			return known && plainOrdered(op, int64(longest.ms), int64(n))
		})
	case 3:
		known := g.q.reading("duration")
		return fmt.Sprintf("sum(duration) %s %dms", op, 3*n), plainKeep(func(set plainTrace) bool {
			sum := 0
			for _, s := range set {
				sum += s.ms
			}
			return known && plainOrdered(op, int64(sum), int64(3*n))
		})
	}
	if !groups {
		return "coalesce()", plainCoalesce
	}
	name, value := g.grouping()
	if name == "" {
		return "coalesce()", plainCoalesce
	}
	if !g.q.reading(name) {
		value = func(*plainSpan) plainValue { return nil }
	}
	return "by(" + name + ")", plainBy(value)
}

func (g *generator) grouping() (name string, value func(*plainSpan) plainValue) {
	switch g.IntN(5) {
	case 3:
		tests := slices.Clone(g.q.onEvents)
		return "event.n", func(s *plainSpan) plainValue { return s.eventValue(tests) }
	case 0:
		return "name", func(s *plainSpan) plainValue { return s.name }
	case 1:
		return "span.n", func(s *plainSpan) plainValue { return s.attrs["n"] }
	case 2:
		return ".s", func(s *plainSpan) plainValue { return s.unscoped("s") }
	}
	return "", nil
}

// eventValue is the first n of an event that a test has matched, else the first.
func (s *plainSpan) eventValue(tests []*plainTest) plainValue {
	for _, e := range s.events {
		for _, x := range tests {
			if plainCompare(e.attrs["n"], x.op, x.lit) {
				return e.attrs["n"]
			}
		}
	}
	for _, e := range s.events {
		if e.attrs["n"] != nil {
			return e.attrs["n"]
		}
	}
	return nil
}

func (s *plainSpan) unscoped(key string) plainValue {
	if v, ok := s.attrs[key]; ok {
		return v
	}
	return s.ofRes[key]
}

func (g *generator) spanset(depth int) (string, plainNode) {
	if depth == 0 || g.IntN(3) == 0 {
		return g.filter()
	}
	l, left := g.spanset(depth - 1)
	r, right := g.spanset(depth - 1)
	op := pickOf(g, "&&", "||", pickOf(g, "", "!", "&")+pickOf(g, ">", ">>", "<", "<<", "~"))
	return fmt.Sprintf("(%s) %s (%s)", l, op, r), plainOp(op, left, right)
}

func (g *generator) filter() (string, plainNode) {
	if g.IntN(6) == 0 {
		return "{ }", plainFilter(spanTest(func(plainTrace, *plainSpan) bool { return true }))
	}
	text, c := g.cond(2)
	return "{ " + text + " }", plainFilter(c)
}

func (g *generator) cond(depth int) (string, *plainCond) {
	if g.IntN(20) == 0 {
		value := g.IntN(2) == 0
		text := pickOf(g, map[bool][]string{true: {"true", "1 = 1", `"a" != "b"`}, false: {"false", "1 = 2", "1.5 > 2"}}[value]...)
		return text, &plainCond{fixed: true, test: func(plainTrace, *plainSpan, *plainEvent) bool { return value }}
	}
	if depth == 0 || g.IntN(2) == 0 {
		text, c := g.leaf()
		name, _, _ := strings.Cut(text, " ")
		if !g.q.reading(name) {
			return text, &plainCond{fixed: true, test: func(plainTrace, *plainSpan, *plainEvent) bool { return false }}
		}
		return text, c
	}
	l, left := g.cond(depth - 1)
	if g.IntN(5) == 0 {
		return "!(" + l + ")", &plainCond{op: "!", parts: []*plainCond{left}}
	}
	r, right := g.cond(depth - 1)
	op := pickOf(g, "&&", "||")
	return fmt.Sprintf("(%s) %s (%s)", l, op, r), &plainCond{op: op, parts: []*plainCond{left, right}}
}

func (g *generator) leaf() (string, *plainCond) {
	ordering := pickOf(g, "=", "!=", "<", ">=")
	equality := pickOf(g, "=", "!=")
	name, number := pickOf(g, "a", "b", "c"), int64(g.IntN(4))
	switch g.IntN(11) {
	case 9:
		return g.arithLeaf(equality)
	case 10:
		return g.idLeaf(equality)
	case 0:
		return fmt.Sprintf("name %s %q", ordering, name), spanTest(func(_ plainTrace, s *plainSpan) bool { return plainOrdered(ordering, s.name, name) })
	case 1:
		kind := pickOf(g, "server", "client")
		return fmt.Sprintf("kind %s %s", equality, kind), spanTest(func(_ plainTrace, s *plainSpan) bool { return plainOrdered(equality, s.kind, kind) })
	case 2:
		return fmt.Sprintf("duration %s %dms", ordering, number), spanTest(func(_ plainTrace, s *plainSpan) bool { return plainOrdered(ordering, int64(s.ms), number) })
	case 3:
		return fmt.Sprintf("resource.service.name %s %q", equality, "x"), spanTest(func(_ plainTrace, s *plainSpan) bool { return plainOrdered(equality, s.service, "x") })
	case 4:
		return fmt.Sprintf("span:childCount %s %d", ordering, number), spanTest(func(t plainTrace, s *plainSpan) bool {
			count := int64(0)
			for _, child := range t {
				if t.parentOf(child) == s {
					count++
				}
			}
			return plainOrdered(ordering, count, number)
		})
	case 5:
		return "event:name = \"a\"", &plainCond{event: true, test: func(_ plainTrace, _ *plainSpan, e *plainEvent) bool { return e.name == "a" }}
	}
	return g.attrLeaf(ordering)
}

// arithLeaf compares two sums or products. A missing operand makes the comparison
// false; one that is not a number makes its side the bool false.
func (g *generator) arithLeaf(op string) (string, *plainCond) {
	side := func() (string, func(*plainSpan) plainValue) {
		key, n, times := pickOf(g, "n", "s", "nope"), g.IntN(3), g.IntN(2) == 0
		text, value := fmt.Sprintf("span.%s + %d", key, n), func(x float64) float64 { return x + float64(n) }
		if times {
			text, value = fmt.Sprintf("span.%s * %d", key, n), func(x float64) float64 { return x * float64(n) }
		}
		known := g.q.reading("span." + key)
		return text, func(s *plainSpan) plainValue {
			if !known {
				return nil
			}
			switch v := s.attrs[key].(type) {
			case int64:
				return plainValue(value(float64(v)))
			case float64:
				return plainValue(value(v))
			case nil:
				return nil
			}
			return false
		}
	}
	l, left := side()
	r, right := side()
	return l + " " + op + " " + r, spanTest(func(_ plainTrace, s *plainSpan) bool {
		a, b := left(s), right(s)
		return a != nil && b != nil && plainCompare(a, op, b)
	})
}

// idLeaf asks for a span or trace by its id in some spelling.
func (g *generator) idLeaf(op string) (string, *plainCond) {
	spell := func(short string) string {
		short = strings.Repeat("0", g.IntN(16-len(short))) + short
		return pickOf(g, short, strings.ToUpper(short))
	}
	if n := g.IntN(3); g.IntN(2) == 0 {
		return fmt.Sprintf("trace:id %s %q", op, spell(strconv.FormatInt(int64('a'+n), 16))), spanTest(func(t plainTrace, _ *plainSpan) bool {
			return (t[0].trace == n) == (op == "=")
		})
	}
	id := 1 + g.IntN(12)
	return fmt.Sprintf("span:id %s %q", op, spell(strings.TrimLeft(evaltest.SpanID(id).String(), "0"))), spanTest(func(_ plainTrace, s *plainSpan) bool {
		return (s.id == id) == (op == "=")
	})
}

func spanTest(f func(plainTrace, *plainSpan) bool) *plainCond {
	return &plainCond{test: func(t plainTrace, s *plainSpan, _ *plainEvent) bool { return f(t, s) }}
}

// attrLeaf compares an attribute of some scope with a literal or nil.
func (g *generator) attrLeaf(op string) (string, *plainCond) {
	x := &plainTest{scope: pickOf(g, "span.", "resource.", ".", "event."), key: pickOf(g, "n", "s", "http.url"), op: op, lit: g.literal()}
	if _, ok := x.lit.(bool); ok && op != "=" {
		x.op = "!="
	}
	if g.IntN(5) == 0 {
		return g.nilLeaf(x)
	}
	if q := g.q; x.scope+x.key == "event.n" && (!q.selected || q.known["event.n"]) {
		q.onEvents = append(q.onEvents, x)
	}
	c := &plainCond{event: x.scope == "event.", test: func(_ plainTrace, s *plainSpan, e *plainEvent) bool {
		return slices.ContainsFunc(x.values(s, e), func(v plainValue) bool { return plainCompare(v, x.op, x.lit) })
	}}
	return x.scope + x.key + " " + x.op + " " + plainText(x.lit), c
}

// nilLeaf tests whether an attribute is there. One that has a column for itself
// is not when its value is of another type.
func (g *generator) nilLeaf(x *plainTest) (string, *plainCond) {
	x.op = pickOf(g, "=", "!=")
	return x.scope + x.key + " " + x.op + " nil", &plainCond{event: x.scope == "event.", test: func(_ plainTrace, s *plainSpan, e *plainEvent) bool {
		v := x.values(s, e)[0]
		if _, ok := v.(string); x.scope == "span." && x.key == "http.url" && !ok {
			v = nil
		}
		return (v == nil) == (x.op == "=")
	}}
}

// values are the values that a test speaks of. The value of a span hides that of
// its resource, but not when it is in a column for itself and fails the test.
func (x *plainTest) values(s *plainSpan, e *plainEvent) []plainValue {
	switch x.scope {
	case "span.":
		return []plainValue{s.attrs[x.key]}
	case "resource.":
		return []plainValue{s.ofRes[x.key]}
	case "event.":
		return []plainValue{e.attrs[x.key]}
	}
	if _, ok := s.attrs[x.key].(string); ok && x.key == "http.url" {
		return []plainValue{s.attrs[x.key], s.ofRes[x.key]}
	}
	return []plainValue{s.unscoped(x.key)}
}
