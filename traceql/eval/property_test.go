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
	"time"

	"etude/trace"
)

// TestAgainstNaive compares the evaluator with the plain one of naive_test.go:
// random queries over random forests, in one table and spread over three. It
// stops after two seconds; ETUDE_EVAL_QUERIES=10000 asks for so many queries.
func TestAgainstNaive(t *testing.T) {
	t.Parallel()
	count, limit := 10_000, 2*time.Second
	if n, err := strconv.Atoi(os.Getenv("ETUDE_EVAL_QUERIES")); err == nil {
		count, limit = n, time.Hour
	}
	began, found := time.Now(), 0
	var g *generator
	var traces []plainTrace
	var views [][]*trace.View
	for i := range count {
		if time.Since(began) > limit {
			count = i
			break
		}
		if i%20 == 0 {
			g = &generator{rand.New(rand.NewPCG(uint64(i), 4))}
			traces = g.forest()
			views = [][]*trace.View{plainViews(t, traces, 1), plainViews(t, traces, 3)}
		}
		query, stages := g.query()
		want := naiveAnswer(traces, stages)
		if want != "" {
			found++
		}
		for _, v := range views {
			if got := fastAnswer(t, v, query); got != want {
				t.Fatalf("query %d, %d tables: %s\n got %s\nwant %s\n%s", i, len(v), query, got, want, forestText(traces))
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

func fastAnswer(t *testing.T, views []*trace.View, query string) string {
	run := compile(t, query).Start(t.Context(), views)
	var out []string
	for _, id := range traceIDs(views) {
		var tr Trace
		tr.Load(views, id)
		sets, err := run.Trace(&tr)
		if err != nil {
			return "error: " + err.Error()
		}
		if len(sets) > 0 && !isCandidate(run, views, id) {
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
type generator struct{ *rand.Rand }

func pickOf[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) forest() (traces []plainTrace) {
	for range 3 {
		var tr plainTrace
		size := 1 + g.IntN(12)
		for i := range size {
			tr = append(tr, g.span(i, tr))
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
	for _, key := range []string{"n", "s"} {
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
	switch g.IntN(6) {
	case 0:
		text, node := g.spanset(1)
		return text, plainSpanset(node)
	case 1:
		return fmt.Sprintf("count() %s %d", op, n), plainKeep(func(set plainTrace) bool { return plainOrdered(op, int64(len(set)), int64(n)) })
	case 2:
		return fmt.Sprintf("max(duration) %s %dms", op, n), plainKeep(func(set plainTrace) bool {
			longest := slices.MaxFunc(set, func(a, b *plainSpan) int { return cmp.Compare(a.ms, b.ms) })
			return plainOrdered(op, int64(longest.ms), int64(n))
		})
	case 3:
		return fmt.Sprintf("sum(duration) %s %dms", op, 3*n), plainKeep(func(set plainTrace) bool {
			sum := 0
			for _, s := range set {
				sum += s.ms
			}
			return plainOrdered(op, int64(sum), int64(3*n))
		})
	}
	if !groups {
		return "coalesce()", plainCoalesce
	}
	switch g.IntN(4) {
	case 0:
		return "by(name)", plainBy(func(s *plainSpan) plainValue { return s.name })
	case 1:
		return "by(span.n)", plainBy(func(s *plainSpan) plainValue { return s.attrs["n"] })
	case 2:
		return "by(.s)", plainBy(func(s *plainSpan) plainValue { return s.unscoped("s") })
	}
	return "coalesce()", plainCoalesce
}

func (s *plainSpan) unscoped(key string) plainValue {
	if v, ok := s.attrs[key]; ok {
		return v
	}
	return s.ofRes[key]
}

func (g *generator) spanset(depth int) (string, plainNode) {
	if depth == 0 || g.IntN(3) == 0 {
		if g.IntN(6) == 0 {
			return "{ }", plainFilter(&plainCond{test: func(plainTrace, *plainSpan, *plainEvent) bool { return true }})
		}
		text, c := g.cond(2)
		return "{ " + text + " }", plainFilter(c)
	}
	l, left := g.spanset(depth - 1)
	r, right := g.spanset(depth - 1)
	op := pickOf(g, "&&", "||", pickOf(g, "", "!", "&")+pickOf(g, ">", ">>", "<", "<<", "~"))
	return fmt.Sprintf("(%s) %s (%s)", l, op, r), plainOp(op, left, right)
}

func (g *generator) cond(depth int) (string, *plainCond) {
	if depth == 0 || g.IntN(2) == 0 {
		return g.leaf()
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
	switch g.IntN(9) {
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

func spanTest(f func(plainTrace, *plainSpan) bool) *plainCond {
	return &plainCond{test: func(t plainTrace, s *plainSpan, _ *plainEvent) bool { return f(t, s) }}
}

// attrLeaf compares an attribute of some scope with a literal or nil.
func (g *generator) attrLeaf(op string) (string, *plainCond) {
	key, scope, lit := pickOf(g, "n", "s"), pickOf(g, "span.", "resource.", ".", "event."), g.literal()
	if _, ok := lit.(bool); ok && op != "=" {
		op = "!="
	}
	isNil := g.IntN(5) == 0
	text := scope + key + " " + op + " " + plainText(lit)
	if isNil {
		op = pickOf(g, "=", "!=")
		text = scope + key + " " + op + " nil"
	}
	test := func(_ plainTrace, s *plainSpan, e *plainEvent) bool {
		var v plainValue
		switch scope {
		case "span.":
			v = s.attrs[key]
		case "resource.":
			v = s.ofRes[key]
		case "event.":
			v = e.attrs[key]
		default:
			v = s.unscoped(key)
		}
		if isNil {
			return (v == nil) == (op == "=")
		}
		return plainCompare(v, op, lit)
	}
	return text, &plainCond{event: scope == "event.", test: test}
}
