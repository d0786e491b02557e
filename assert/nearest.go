package assert

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"etude/traceql/syntax"
)

// To explain why a query matched too little, the checker runs weaker queries. For a filter that joins
// conditions by &&, it leaves out each condition in turn: if spans match without a condition, this condition is
// not met. For a relation, it runs each side alone. For a pipeline, it runs the first stages alone.

// maxConditions limits the number of queries for one failure.
const maxConditions = 12

// nearest describes the spans nearest to a query that matched only n spans.
func (c *Checker) nearest(ctx context.Context, query string, n int) (string, error) {
	q, err := syntax.Parse(query)
	if err != nil || len(q.Pipeline.Stages) == 0 {
		return "", nil // the query is valid; it has no parts to run alone
	}
	if len(q.Pipeline.Stages) > 1 {
		return c.nearestOfStages(ctx, q.Pipeline.Stages)
	}
	switch first := q.Pipeline.Stages[0].(type) {
	case *syntax.Filter:
		return c.nearestOfFilter(ctx, first, n)
	case *syntax.SpansetOp:
		return c.nearestOfRelation(ctx, first)
	}
	return "", nil
}

// nearestOfFilter runs the filter without each condition in turn.
func (c *Checker) nearestOfFilter(ctx context.Context, f *syntax.Filter, n int) (string, error) {
	conditions := conjuncts(f.Cond)
	if len(conditions) < 2 || len(conditions) > maxConditions {
		return c.nothingLike(ctx, conditions)
	}
	var best []Match
	var missing syntax.Field
	for i, left := range conditions {
		found, err := c.source.Search(ctx, "{ "+join(slices.Delete(slices.Clone(conditions), i, i+1))+" }")
		if err != nil {
			return "", err
		}
		if total(found) > max(n, total(best)) {
			best, missing = found, left
		}
	}
	if missing == nil {
		return c.nothingLike(ctx, conditions)
	}
	text := fmt.Sprintf("%s %s all but `%s`", plural(total(best)-n, "span"), verb(total(best)-n, "matches", "match"), plain(syntax.FieldText(missing)))
	spans, err := c.spansOf(ctx, best, maxListed)
	if err != nil {
		return "", err
	}
	for _, s := range spans {
		if actual := actualOf(missing, s); actual != "" {
			return text + "; the nearest: " + s.String() + " has " + actual, nil
		}
	}
	return text, nil
}

// nothingLike names a condition that no span meets, and the values that spans have.
func (c *Checker) nothingLike(ctx context.Context, conditions []syntax.Field) (string, error) {
	for _, condition := range conditions[:min(maxConditions, len(conditions))] {
		found, err := c.source.Search(ctx, "{ "+join([]syntax.Field{condition})+" }")
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			continue
		}
		values, spans, err := c.valuesOf(ctx, condition)
		switch {
		case err != nil:
			return "", err
		case spans == 0:
			return "no spans have been received", nil
		case len(values) == 0:
			return fmt.Sprintf("no span matches `%s`", plain(syntax.FieldText(condition))), nil
		}
		return fmt.Sprintf("no span matches `%s`; there is %s", plain(syntax.FieldText(condition)), strings.Join(values, ", ")), nil
	}
	return "", nil
}

// valuesOf lists the spans' values of a condition's field, and counts the spans it compared.
func (c *Checker) valuesOf(ctx context.Context, condition syntax.Field) (values []string, spans int, err error) {
	found, err := c.source.Search(ctx, "{ }")
	if err != nil {
		return nil, 0, err
	}
	for _, m := range found[:min(50, len(found))] {
		t, err := c.source.Trace(ctx, m.TraceID)
		if err != nil {
			return nil, 0, err
		}
		spans += len(t.Spans)
		for _, s := range t.Spans {
			if v := actualOf(condition, s); v != "" && !slices.Contains(values, v) && len(values) < 8 {
				values = append(values, v)
			}
		}
	}
	return values, spans, nil
}

func (c *Checker) nearestOfRelation(ctx context.Context, op *syntax.SpansetOp) (string, error) {
	left, err := c.source.Search(ctx, fmt.Sprint(op.L))
	if err != nil {
		return "", err
	}
	right, err := c.source.Search(ctx, fmt.Sprint(op.R))
	if err != nil {
		return "", err
	}
	for _, side := range []struct {
		found []Match
		query syntax.Spanset
	}{{left, op.L}, {right, op.R}} {
		if len(side.found) == 0 {
			deeper, err := c.nearest(ctx, fmt.Sprint(side.query), 0)
			return strings.TrimSuffix(fmt.Sprintf("no span matches %s alone; %s", plain(fmt.Sprint(side.query)), deeper), "; "), err
		}
	}
	text := fmt.Sprintf("%s alone matches %s and %s matches %s", plain(fmt.Sprint(op.L)), plural(total(left), "span"), plain(fmt.Sprint(op.R)), plural(total(right), "span"))
	if !shareTrace(left, right) {
		return text + ", but in different traces", nil
	}
	if syntax.Structural(op.Op) {
		return text + ", but they are not in the relation " + op.Op, nil
	}
	return text, nil
}

func (c *Checker) nearestOfStages(ctx context.Context, stages []syntax.Stage) (string, error) {
	texts := make([]string, len(stages))
	for i, s := range stages {
		texts[i] = fmt.Sprint(s)
	}
	for n := len(stages) - 1; n > 0; n-- {
		front := strings.Join(texts[:n], " | ")
		found, err := c.source.Search(ctx, front)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return fmt.Sprintf("%s matches %s, and %s leaves none", plain(front), foundText(total(found), found), plain(texts[n])), nil
		}
	}
	return c.nearest(ctx, texts[0], 0)
}

func total(found []Match) (n int) {
	for _, m := range found {
		n += m.Spans
	}
	return n
}

func shareTrace(a, b []Match) bool {
	ids := map[string]bool{}
	for _, m := range a {
		ids[m.TraceID] = true
	}
	return slices.ContainsFunc(b, func(m Match) bool { return ids[m.TraceID] })
}

// conjuncts splits a && b && c. && and || have the same precedence and bind to the left, so a chain that
// contains || is one condition.
func conjuncts(f syntax.Field) []syntax.Field {
	if b, ok := f.(*syntax.Binary); ok && b.Op == "&&" {
		return append(conjuncts(b.L), conjuncts(b.R)...)
	}
	if f == nil {
		return nil
	}
	return []syntax.Field{f}
}

func join(conditions []syntax.Field) string {
	texts := make([]string, len(conditions))
	for i, c := range conditions {
		texts[i] = "(" + syntax.FieldText(c) + ")"
	}
	return strings.Join(texts, " && ")
}

// actualOf describes a span's value of a condition's field, such as "status unset", or returns "".
func actualOf(condition syntax.Field, s *Span) string {
	b, ok := condition.(*syntax.Binary)
	if !ok {
		return ""
	}
	for _, side := range []syntax.Field{b.L, b.R} {
		switch x := side.(type) {
		case *syntax.AttrRef:
			if value, there := attribute(x.Attr, s); there {
				return fmt.Sprintf("%s %q", x, value)
			}
			return fmt.Sprintf("no %s", x)
		case *syntax.Intrinsic:
			return intrinsic(x.Name, s)
		}
	}
	return ""
}

func attribute(a syntax.Attr, s *Span) (string, bool) {
	if a.Scope == syntax.ScopeSpan || a.Scope == syntax.ScopeNone {
		if v, ok := s.Attributes[a.Name]; ok {
			return v, true
		}
	}
	if a.Scope == syntax.ScopeResource || a.Scope == syntax.ScopeNone {
		v, ok := s.Resource[a.Name]
		return v, ok
	}
	for _, e := range s.Events {
		if v, ok := e.Attributes[a.Name]; ok && a.Scope == syntax.ScopeEvent {
			return v, true
		}
	}
	return "", false
}

func intrinsic(name string, s *Span) string {
	switch name {
	case syntax.Name:
		return fmt.Sprintf("name %q", s.Name)
	case syntax.Status:
		return "status " + s.Status
	case syntax.StatusMessage:
		return fmt.Sprintf("statusMessage %q", s.Message)
	case syntax.Kind:
		return "kind " + s.Kind
	case syntax.Duration:
		return "duration " + short(time.Duration(s.Duration()))
	case syntax.ScopeName:
		return fmt.Sprintf("instrumentation:name %q", s.Scope)
	case syntax.EventName:
		if len(s.Events) == 0 {
			return "no event"
		}
		return fmt.Sprintf("event:name %q", s.Events[0].Name)
	}
	return ""
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// plain writes the strings of a canonical query with the quotes that people type.
func plain(query string) string {
	if strings.ContainsAny(query, "\"\\") {
		return query
	}
	return strings.ReplaceAll(query, "`", "\"")
}
