package assert

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Checker evaluates a Spec repeatedly while spans arrive. It is not safe for concurrent use.
type Checker struct {
	spec     *Spec
	source   Source
	verdicts []Verdict
}

// NewChecker returns a Checker whose verdicts are all open.
func NewChecker(spec *Spec, source Source) *Checker {
	c := &Checker{spec: spec, source: source}
	for i := range spec.Expect {
		c.verdicts = append(c.verdicts, Verdict{Name: spec.Expect[i].Title(), Outcome: Open, Wanted: wantedText(&spec.Expect[i])})
	}
	return c
}

// Update evaluates the open expectations while more spans may come.
func (c *Checker) Update(ctx context.Context) error { return c.evaluate(ctx, false) }

// Finish evaluates the open expectations when no more spans will come. Afterwards no verdict is open.
func (c *Checker) Finish(ctx context.Context) error { return c.evaluate(ctx, true) }

// Verdicts returns the verdicts in the order of the Spec.
func (c *Checker) Verdicts() []Verdict { return c.verdicts }

// Decided reports whether no verdict is open.
func (c *Checker) Decided() bool {
	for _, v := range c.verdicts {
		if v.Outcome == Open {
			return false
		}
	}
	return true
}

// Wait returns the longest time after the end of the command that an open expectation allows.
func (c *Checker) Wait() (longest time.Duration) {
	for i, v := range c.verdicts {
		if v.Outcome == Open {
			longest = max(longest, time.Duration(c.spec.Expect[i].Within))
		}
	}
	return longest
}

func (c *Checker) evaluate(ctx context.Context, final bool) error {
	for i := range c.verdicts {
		if c.verdicts[i].Outcome != Open {
			continue
		}
		e := &c.spec.Expect[i]
		check := c.countSpans
		if e.Trace != "" {
			check = c.checkTraces
		}
		if err := check(ctx, e, &c.verdicts[i], final); err != nil {
			return fmt.Errorf("check %s: %w", e.Title(), err)
		}
	}
	return nil
}

func wantedText(e *Expectation) string {
	switch {
	case e.Never != "":
		return "no span matches " + oneLine(e.Never)
	case e.Must != "":
		return countOf(wanted(e.Count), "span") + " with " + oneLine(e.Must)
	case len(e.Spans) == 0 && !e.Whole:
		return countOf(wanted(e.Count), "trace") + " with " + oneLine(e.Trace)
	}
	return countOf(wanted(e.Count), "trace") + " with " + oneLine(e.Trace) + ", each as described"
}

func countOf(c Count, noun string) string {
	if max(c.Min, c.Max) == 1 {
		return c.String() + " " + noun
	}
	return c.String() + " " + noun + "s"
}

// countSpans decides must and never.
func (c *Checker) countSpans(ctx context.Context, e *Expectation, v *Verdict, final bool) error {
	want := wanted(e.Count)
	if e.Never != "" {
		want = Count{}
	}
	found, err := c.source.Search(ctx, e.query())
	if err != nil {
		return err
	}
	n := 0
	for _, m := range found {
		n += m.Spans
	}
	switch {
	case want.holds(n) && (final || !want.bounded()):
		v.Outcome = Passed
	case final, want.bounded() && n > max(want.Max, 0): // more spans cannot change this
		v.Outcome = Failed
	default:
		return nil
	}
	v.Found = foundText(n, found)
	if v.Outcome == Passed {
		return nil
	}
	v.Traces = someIDs(found)
	if n > want.Max && want.bounded() {
		names, err := c.whichSpans(ctx, found)
		v.Found += ": " + names
		return err
	}
	v.Nearest, err = c.nearest(ctx, e.query(), n)
	return err
}

func foundText(spans int, found []Match) string {
	if spans == 0 {
		return "no span"
	}
	return plural(spans, "span") + " in " + plural(len(found), "trace")
}

// someIDs returns the first ids, as many as a report shows.
func someIDs(found []Match) (ids []string) {
	for _, m := range found[:min(3, len(found))] {
		ids = append(ids, m.TraceID)
	}
	return ids
}

// whichSpans names the first matching spans.
func (c *Checker) whichSpans(ctx context.Context, found []Match) (string, error) {
	spans, err := c.spansOf(ctx, found, 3)
	var names []string
	for _, s := range spans {
		names = append(names, s.String())
	}
	if total(found) > len(spans) {
		names = append(names, "...")
	}
	return strings.Join(names, ", "), err
}

// spansOf returns the first matching spans.
func (c *Checker) spansOf(ctx context.Context, found []Match, most int) (spans []*Span, err error) {
	for _, m := range found {
		if len(spans) >= most {
			break
		}
		t, err := c.source.Trace(ctx, m.TraceID)
		if err != nil {
			return nil, err
		}
		for _, id := range m.SpanIDs {
			if s := t.byID[id]; s != nil && len(spans) < most {
				spans = append(spans, s)
			}
		}
	}
	return spans, nil
}
