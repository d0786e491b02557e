package labs

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"etude/assert"
)

// judge checks an answer by the kind of the lab.
func (e *Engine) judge(ctx context.Context, l *Lab, v vars, answer string) (Result, error) {
	if answer == "" && l.Answer != "none" {
		return Result{Says: "There is no answer yet. " + v.fill(l.Question)}, nil
	}
	switch l.Answer {
	case "text", "choice":
		return e.judgeText(ctx, l, v, answer)
	case "query":
		return e.judgeQuery(ctx, l, v, answer)
	case "lines":
		return e.judgeLines(ctx, l, v, answer)
	}
	return e.judgeSpans(ctx, l, v)
}

// judgeText compares the answer with the accepted ones. For a wrong answer it chooses a useful reply.
func (e *Engine) judgeText(ctx context.Context, l *Lab, v vars, answer string) (Result, error) {
	given := plainAnswer(answer)
	for _, a := range l.Check.Accept {
		right, err := e.accepted(ctx, a, v)
		if err != nil {
			return Result{}, err
		}
		if slices.ContainsFunc(right, func(r string) bool { return sameAnswer(given, plainAnswer(r)) }) {
			return Result{Passed: true}, nil
		}
	}
	for _, w := range l.Check.Wrong {
		pattern, err := w.pattern(v.shown(given))
		if err != nil {
			return Result{}, err
		}
		if pattern.MatchString(given) {
			return Result{Says: v.fill(w.Say)}, nil
		}
	}
	return Result{Says: "No. " + v.fill(l.Check.Else)}, nil
}

// plainAnswer removes insignificant differences: case, quotes, blanks, and leading zeros of an id.
func plainAnswer(s string) string {
	return strings.TrimLeft(strings.ToLower(strings.Join(strings.Fields(strings.Trim(strings.TrimSpace(s), "`\"'.")), " ")), "0")
}

// shortID is the minimum number of digits of a shortened id.
const shortID = 6

func sameAnswer(given, right string) bool {
	if given == right {
		return true
	}
	_, err := strconv.ParseUint(given[:min(15, len(given))], 16, 64)
	return err == nil && len(given) >= shortID && len(right) >= 15 && strings.HasPrefix(right, given)
}

// shown returns the variables in the form that an answer may have: where the answer is a prefix of an id, the
// id is replaced by the answer.
func (v vars) shown(answer string) vars {
	out := vars{}
	for key, value := range v {
		out[key] = regexp.QuoteMeta(strings.TrimLeft(value, "0"))
		if sameAnswer(answer, plainAnswer(value)) {
			out[key] = regexp.QuoteMeta(answer)
		}
	}
	return out
}

// accepted returns the right answers, usually queried from the spans.
func (e *Engine) accepted(ctx context.Context, a Accepted, v vars) (right []string, err error) {
	if a.Value != "" {
		return []string{v.fill(a.Value)}, nil
	}
	query := v.fill(a.Names + a.Traces + a.Links + a.Missing)
	found, err := e.stage.Search(ctx, query)
	if err != nil {
		return nil, err
	}
	received := 0
	for _, m := range found {
		received += m.Spans
		if a.Traces != "" {
			right = append(right, m.TraceID)
			continue
		}
		t, err := e.stage.Trace(ctx, m.TraceID)
		if err != nil {
			return nil, err
		}
		for _, s := range t.Spans {
			if !slices.Contains(m.SpanIDs, s.ID) {
				continue
			}
			if a.Names != "" {
				right = append(right, s.Name, s.String())
			}
			for _, link := range s.Links {
				right = append(right, link.TraceID)
			}
		}
	}
	if a.Missing != "" {
		right = []string{strconv.Itoa(a.Of - received)}
		if a.Of == received {
			right = []string{"0", "none", ""}
		}
	}
	return right, nil
}

// judgeQuery compares the results of the learner's query with the right ones, within the spans of the run.
func (e *Engine) judgeQuery(ctx context.Context, l *Lab, v vars, answer string) (Result, error) {
	given, err := e.stage.Search(ctx, answer)
	if err != nil {
		return Result{Says: "The query does not work: " + err.Error()}, nil //nolint:nilerr // the learner's mistake
	}
	if !l.Check.mentions.MatchString(answer) {
		return Result{Says: v.fill(l.Check.Else)}, nil
	}
	mine, err := e.stage.Search(ctx, v.fill(`{ resource.lab = "${run}" }`))
	if err != nil {
		return Result{}, err
	}
	want, err := e.stage.Search(ctx, v.fill(l.Check.Same+l.Check.Sees))
	if err != nil {
		return Result{}, err
	}
	if len(want) == 0 {
		return Result{Says: v.fill(l.Check.Else)}, nil
	}
	missed, extra := compareTraces(given, want, mine)
	if len(missed) == 0 && len(extra) == 0 {
		if l.Check.Sees != "" && spansIn(given, want) != spansIn(want, want) {
			return Result{Says: fmt.Sprintf("The traces are right, the spans are not: your query finds %d spans in them, want %d. %s",
				spansIn(given, want), spansIn(want, want), v.fill(l.Check.Else))}, nil
		}
		return Result{Passed: true}, nil
	}
	return Result{Says: e.misses(ctx, len(given), missed, extra) + "\n" + v.fill(l.Check.Else)}, nil
}

// compareTraces returns the traces of the run that a query misses, and those that it finds wrongly.
func compareTraces(given, want, mine []assert.Match) (missed, extra []string) {
	in := func(list []assert.Match, id string) bool {
		return slices.ContainsFunc(list, func(m assert.Match) bool { return m.TraceID == id })
	}
	for _, m := range want {
		if !in(given, m.TraceID) {
			missed = append(missed, m.TraceID)
		}
	}
	for _, m := range given {
		if in(mine, m.TraceID) && !in(want, m.TraceID) {
			extra = append(extra, m.TraceID)
		}
	}
	return missed, extra
}

// spansIn counts the spans that a query found in the traces of another query.
func spansIn(given, traces []assert.Match) (n int) {
	for _, m := range given {
		if slices.ContainsFunc(traces, func(t assert.Match) bool { return t.TraceID == m.TraceID }) {
			n += m.Spans
		}
	}
	return n
}

// misses describes the errors of a query, with an example trace.
func (e *Engine) misses(ctx context.Context, found int, missed, extra []string) string {
	var parts []string
	name := func(id string) string {
		t, err := e.stage.Trace(ctx, id)
		if err != nil || len(t.Spans) == 0 {
			return id
		}
		return fmt.Sprintf("%s (%s, %d spans)", id, t.Spans[0], len(t.Spans))
	}
	parts = append(parts, fmt.Sprintf("Not yet: your query finds %s.", traces(found)))
	if len(missed) > 0 {
		parts = append(parts, fmt.Sprintf("It misses %s, such as %s.", traces(len(missed)), name(missed[0])))
	}
	if len(extra) > 0 {
		parts = append(parts, fmt.Sprintf("It finds %s too many, such as %s.", traces(len(extra)), name(extra[0])))
	}
	return strings.Join(parts, " ")
}

func traces(n int) string {
	if n == 1 {
		return "1 trace"
	}
	return fmt.Sprintf("%d traces", n)
}

// judgeSpans runs the working copy, if there is one, and checks the expectations against the spans.
func (e *Engine) judgeSpans(ctx context.Context, l *Lab, v vars) (Result, error) {
	if l.Check.Program != nil {
		v = vars{"run": newRun(l.ID), "where": v["where"]}
		if says, err := e.runWork(ctx, l, v); says != "" || err != nil {
			return Result{Says: says}, err
		}
	}
	spec, err := l.expectations(v)
	if err != nil {
		return Result{}, err
	}
	c := assert.NewChecker(spec, e.stage)
	if err := c.Finish(ctx); err != nil {
		return Result{}, err
	}
	r := Result{Verdicts: c.Verdicts()}
	held := 0
	for _, verdict := range r.Verdicts {
		if verdict.Outcome == assert.Passed {
			held++
		} else if r.Says == "" {
			r.Says = verdict.String()
		}
	}
	if r.Passed = held == len(r.Verdicts); r.Passed {
		return r, nil
	}
	r.Says = fmt.Sprintf("%d of %d expectations hold. The first that does not:\n%s\n%s", held, len(r.Verdicts), r.Says, v.fill(l.Check.Else))
	return r, nil
}

// judgeLines checks the learner's expectations against drawings, each in its own backend: they must hold for
// the right ones and fail for the wrong ones.
func (e *Engine) judgeLines(ctx context.Context, l *Lab, v vars, answer string) (Result, error) {
	parse := assert.ParseLines
	if strings.HasPrefix(answer, "expect:") {
		parse = assert.ParseYAML
	}
	spec, err := parse([]byte(answer))
	if err != nil {
		return Result{Says: "The expectations cannot be read: " + err.Error()}, nil //nolint:nilerr // the learner's mistake
	}
	for _, catch := range l.Check.Catches {
		verdicts, err := e.onDrawing(ctx, l, catch.Draw, spec)
		if err != nil {
			return Result{}, err
		}
		failed := slices.IndexFunc(verdicts, func(v assert.Verdict) bool { return v.Outcome == assert.Failed })
		switch {
		case catch.Holds && failed >= 0:
			return Result{Says: v.fill(catch.Say) + "\n" + verdicts[failed].String(), Verdicts: verdicts}, nil
		case !catch.Holds && failed < 0:
			return Result{Says: v.fill(catch.Say), Verdicts: verdicts}, nil
		}
	}
	return Result{Passed: true}, nil
}

func (e *Engine) onDrawing(ctx context.Context, l *Lab, name string, spec *assert.Spec) ([]assert.Verdict, error) {
	b, err := e.stage.Fresh()
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := draw(ctx, b.Send, l.files, name, vars{"run": "x"}); err != nil {
		return nil, err
	}
	c := assert.NewChecker(spec, b)
	if err := c.Finish(ctx); err != nil {
		return nil, err
	}
	return c.Verdicts(), nil
}
