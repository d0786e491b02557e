package assert

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// checkTraces checks an expectation about whole traces. More spans may make a trace right or wrong, so the
// verdict stays open to the end.
func (c *Checker) checkTraces(ctx context.Context, e *Expectation, v *Verdict, final bool) error {
	if !final {
		return nil
	}
	found, err := c.source.Search(ctx, e.Trace)
	if err != nil {
		return err
	}
	v.Outcome, v.Found = Passed, plural(len(found), "trace")
	if want := wanted(e.Count); !want.holds(len(found)) {
		v.Outcome, v.Traces = Failed, someIDs(found)
		if len(found) == 0 {
			v.Nearest, err = c.nearest(ctx, e.Trace, 0)
		}
		return err
	}
	for _, m := range found {
		t, err := c.source.Trace(ctx, m.TraceID)
		if err != nil {
			return err
		}
		if wrong := e.wrongIn(t); len(wrong) > 0 {
			v.Outcome, v.Traces = Failed, []string{t.ID}
			v.Found = fmt.Sprintf("trace %s of %s:\n%s", t.ID, plural(len(t.Spans), "span"), strings.Join(wrong, "\n"))
			return nil
		}
	}
	return nil
}

// wrongIn lists the differences between a trace and its description.
func (e *Expectation) wrongIn(t *Trace) (wrong []string) {
	labelled := map[string][]*Span{}
	for _, label := range sortedKeys(e.Spans) {
		p := e.Spans[label]
		for _, s := range t.Spans {
			if len(p.differs(s)) == 0 {
				labelled[label] = append(labelled[label], s)
			}
		}
		if n := len(labelled[label]); !wanted(p.Count).holds(n) {
			wrong = append(wrong, fmt.Sprintf("%s: want %s, found %d%s", label, wanted(p.Count), n, p.nearestIn(t, n)))
		}
	}
	for _, label := range sortedKeys(e.Spans) {
		wrong = append(wrong, e.misplaced(t, label, labelled)...)
	}
	wrong = append(wrong, outOfOrder(e.Order, labelled)...)
	for _, c := range e.Durations {
		if text := c.broken(t, labelled); text != "" {
			wrong = append(wrong, text)
		}
	}
	if e.Whole {
		wrong = append(wrong, t.broken()...)
	}
	return wrong
}

// differs lists the fields in which a span differs from its description.
func (p *Pattern) differs(s *Span) (fields []string) {
	text := func(field, want, have string) {
		if want != "" && want != have {
			fields = append(fields, fmt.Sprintf("%s %s", field, orNothing(have)))
		}
	}
	text("service", p.Service, s.Service)
	text("name", p.Name, s.Name)
	text("kind", p.Kind, s.Kind)
	text("status", p.Status, s.Status)
	text("message", p.Message, s.Message)
	fields = append(fields, differ("attribute ", p.Attributes, s.Attributes)...)
	fields = append(fields, differ("resource ", p.Resource, s.Resource)...)
	for _, name := range p.Events {
		if !slices.ContainsFunc(s.Events, func(e Event) bool { return e.Name == name }) {
			fields = append(fields, fmt.Sprintf("no event %q", name))
		}
	}
	if p.Links != nil && !p.Links.holds(len(s.Links)) {
		fields = append(fields, plural(len(s.Links), "link"))
	}
	return fields
}

// fields counts a pattern's conditions on a single span.
func (p *Pattern) fields() (n int) {
	for _, text := range []string{p.Service, p.Name, p.Kind, p.Status, p.Message} {
		if text != "" {
			n++
		}
	}
	if p.Links != nil {
		n++
	}
	return n + len(p.Attributes) + len(p.Resource) + len(p.Events)
}

func differ(what string, want map[string]any, have map[string]string) (fields []string) {
	for _, key := range sortedKeys(want) {
		value, there := have[key]
		switch {
		case !there:
			fields = append(fields, "no "+what+key)
		case want[key] != "*" && wantText(want[key]) != value:
			fields = append(fields, fmt.Sprintf("%s%s %q", what, key, value))
		}
	}
	return fields
}

// wantText formats a value of a file like the values of attributes.
func wantText(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = wantText(e)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func orNothing(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

// nearestIn names the span with the fewest differences, when there are too few matching spans.
func (p *Pattern) nearestIn(t *Trace, found int) string {
	if found > wanted(p.Count).Min {
		return ""
	}
	var nearest *Span
	var least []string
	for _, s := range t.Spans {
		if d := p.differs(s); len(d) > 0 && (nearest == nil || len(d) < len(least)) {
			nearest, least = s, d
		}
	}
	if nearest == nil || len(least) > 2 || len(least) >= p.fields() {
		return ""
	}
	return fmt.Sprintf("; the nearest: %s has %s", nearest, strings.Join(least, " and "))
}

// misplaced lists the spans whose parent is not the wanted one.
func (e *Expectation) misplaced(t *Trace, label string, labelled map[string][]*Span) (wrong []string) {
	p := e.Spans[label]
	for _, s := range labelled[label] {
		parent := t.ParentOf(s)
		switch {
		case p.Parent == "":
		case p.Parent == noParent && s.Parent != "":
			wrong = append(wrong, fmt.Sprintf("%s: %s has the parent %s, want none", label, s, nameOf(parent, s)))
		case p.Parent != noParent && (parent == nil || !slices.Contains(labelled[p.Parent], parent)):
			wrong = append(wrong, fmt.Sprintf("%s: %s has the parent %s, want %s", label, s, nameOf(parent, s), p.Parent))
		}
		if p.Under != "" && !t.above(s, labelled[p.Under]) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is not below %s", label, s, p.Under))
		}
	}
	return wrong
}

func nameOf(parent, child *Span) string {
	switch {
	case parent != nil:
		return parent.String()
	case child.Parent == "":
		return "none"
	}
	return child.Parent + ", which was not received"
}

func outOfOrder(order []string, labelled map[string][]*Span) (wrong []string) {
	for i := 0; i+1 < len(order); i++ {
		before, after := labelled[order[i]], labelled[order[i+1]]
		if len(before) == 0 || len(after) == 0 {
			continue // the counts of spans report this
		}
		if last, first := before[len(before)-1], after[0]; last.Start > first.Start { // both are sorted by start
			wrong = append(wrong, fmt.Sprintf("order: %s (%s) starts %s after %s (%s), want it before",
				order[i], last, short(span(first.Start, last.Start)), order[i+1], first))
		}
	}
	return wrong
}

// broken lists the reasons why a trace is not a single tree.
func (t *Trace) broken() (wrong []string) {
	var roots []string
	for _, s := range t.Spans {
		switch {
		case s.Parent == "":
			roots = append(roots, s.String())
		case t.ParentOf(s) == nil:
			wrong = append(wrong, fmt.Sprintf("%s is an orphan: its parent %s was not received", s, s.Parent))
		}
	}
	if len(roots) != 1 {
		wrong = append(wrong, fmt.Sprintf("want one root, found %d: %s", len(roots), strings.Join(roots, ", ")))
	}
	return wrong
}
