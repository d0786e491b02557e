package assert

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Spec is a list of expectations.
type Spec struct {
	Expect []Expectation `yaml:"expect" json:"expect" jsonschema:"The expectations. One may be a plain line of TraceQL: '{...}' must match, '! {...}' must not, '=2 {...}', '>=1 {...}' and '<=3 {...}' count spans."`
}

// Expectation is one expectation. Exactly one of Must, Never and Trace is set.
type Expectation struct {
	Name   string   `yaml:"name,omitempty" json:"name,omitempty" jsonschema:"A name for reports. The default is the query."`
	Must   string   `yaml:"must,omitempty" json:"must,omitempty" jsonschema:"TraceQL that must match at least one span, or the number of spans in count."`
	Never  string   `yaml:"never,omitempty" json:"never,omitempty" jsonschema:"TraceQL that must match no span."`
	Trace  string   `yaml:"trace,omitempty" json:"trace,omitempty" jsonschema:"TraceQL that selects traces. Each of them must satisfy spans, order, durations and whole."`
	Count  *Count   `yaml:"count,omitempty" json:"count,omitempty" jsonschema:"The number of spans that must match or, with trace, the number of traces."`
	Within Duration `yaml:"within,omitempty" json:"within,omitempty" jsonschema:"How long after the end of the command etude waits for the expectation to hold, because other processes may send spans later. The default is 0."`

	Spans     map[string]Pattern `yaml:"spans,omitempty" json:"spans,omitempty" jsonschema:"The spans that each trace must have, by labels of your choice."`
	Order     []string           `yaml:"order,omitempty" json:"order,omitempty" jsonschema:"Labels in the order in which their spans must start."`
	Durations []Comparison       `yaml:"durations,omitempty" json:"durations,omitempty" jsonschema:"Comparisons of durations: 'database < 2s', 'redis < database', 'database >= 50% of trace', 'call <= 1.5 * redis'."`
	Whole     bool               `yaml:"whole,omitempty" json:"whole,omitempty" jsonschema:"Each trace must have one root, and every other span a parent in the trace."`

	line int // in the file; 0 when unknown
}

// Pattern describes spans of a trace. An empty field matches anything.
type Pattern struct {
	Service    string         `yaml:"service,omitempty" json:"service,omitempty" jsonschema:"The resource's service.name."`
	Name       string         `yaml:"name,omitempty" json:"name,omitempty" jsonschema:"The name of the span."`
	Kind       string         `yaml:"kind,omitempty" json:"kind,omitempty" jsonschema:"unspecified, internal, server, client, producer or consumer."`
	Status     string         `yaml:"status,omitempty" json:"status,omitempty" jsonschema:"unset, ok or error."`
	Message    string         `yaml:"message,omitempty" json:"message,omitempty" jsonschema:"The message of the status."`
	Attributes map[string]any `yaml:"attributes,omitempty" json:"attributes,omitempty" jsonschema:"Attributes of the span. The value '*' matches any."`
	Resource   map[string]any `yaml:"resource,omitempty" json:"resource,omitempty" jsonschema:"Attributes of the resource. The value '*' matches any."`
	Events     []string       `yaml:"events,omitempty" json:"events,omitempty" jsonschema:"Names of events that the span must have."`
	Links      *Count         `yaml:"links,omitempty" json:"links,omitempty" jsonschema:"The number of links that the span must have."`
	Parent     string         `yaml:"parent,omitempty" json:"parent,omitempty" jsonschema:"A label: each of these spans must be a child of a span with that label. The value 'none' means a root."`
	Under      string         `yaml:"under,omitempty" json:"under,omitempty" jsonschema:"A label: each of these spans must be a descendant of a span with that label, at any depth."`
	Count      *Count         `yaml:"count,omitempty" json:"count,omitempty" jsonschema:"The number of such spans that each trace must have. The default is at least one."`
}

// Duration is a time.Duration, written in files as 1.5s.
type Duration time.Duration

// Count is a range of numbers, both ends included.
type Count struct {
	Min int `yaml:"min,omitempty" json:"min,omitempty"`
	Max int `yaml:"max,omitempty" json:"max,omitempty"` // 0: no upper bound, unless Min is 0 too
}

// bounded reports whether more spans can violate the count.
func (c Count) bounded() bool { return c.Max > 0 || c.Min == 0 }

func (c Count) holds(n int) bool { return n >= c.Min && (!c.bounded() || n <= c.Max) }

// String formats the count for a sentence: "exactly 2", "at least 1", "1 to 3".
func (c Count) String() string {
	switch {
	case c.Min == 0 && c.Max == 0:
		return "none"
	case c.Min == c.Max:
		return fmt.Sprintf("exactly %d", c.Min)
	case c.Max == 0:
		return fmt.Sprintf("at least %d", c.Min)
	case c.Min == 0:
		return fmt.Sprintf("at most %d", c.Max)
	}
	return fmt.Sprintf("%d to %d", c.Min, c.Max)
}

// wanted returns the default for a missing count.
func wanted(c *Count) Count {
	if c == nil {
		return Count{Min: 1}
	}
	return *c
}

// Title is the name, or the query if there is no name.
func (e *Expectation) Title() string {
	if e.Name != "" {
		return e.Name
	}
	switch {
	case e.Never != "":
		return "never " + oneLine(e.Never)
	case e.Trace != "":
		return "traces of " + oneLine(e.Trace)
	case e.Count != nil:
		return e.Count.String() + " " + oneLine(e.Must)
	}
	return oneLine(e.Must)
}

// query is the first TraceQL query to run.
func (e *Expectation) query() string { return e.Must + e.Never + e.Trace }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// check finds mistakes that the types do not exclude.
func (e *Expectation) check() error {
	given := 0
	for _, q := range []string{e.Must, e.Never, e.Trace} {
		if q != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return fmt.Errorf("an expectation needs one of must, never and trace, with a TraceQL query")
	case given > 1:
		return fmt.Errorf("an expectation has only one of must, never and trace; write one expectation for each")
	case e.Never != "" && e.Count != nil:
		return fmt.Errorf("count has no effect with never: write must with a count instead")
	case e.Within < 0:
		return fmt.Errorf("within %s: want 0 or more", time.Duration(e.Within))
	case e.Trace == "" && (len(e.Spans) > 0 || len(e.Order) > 0 || len(e.Durations) > 0 || e.Whole):
		return fmt.Errorf("spans, order, durations and whole need trace, which selects the traces they describe")
	}
	if err := checkQuery(e.query()); err != nil {
		return err
	}
	return e.checkLabels()
}

// checkLabels finds labels that are used but not described.
func (e *Expectation) checkLabels() error {
	known := func(where, label string) error {
		if _, ok := e.Spans[label]; ok {
			return nil
		}
		return fmt.Errorf("%s names %q, which is not a label under spans%s", where, label, didYouMean(label, sortedKeys(e.Spans)))
	}
	for _, label := range sortedKeys(e.Spans) {
		if err := checkPattern(e.Spans[label]); err != nil {
			return fmt.Errorf("spans: %s: %w", label, err)
		}
		for _, other := range []string{e.Spans[label].Parent, e.Spans[label].Under} {
			if other == "" || other == noParent {
				continue
			}
			if err := known("spans: "+label, other); err != nil {
				return err
			}
		}
	}
	for _, label := range e.Order {
		if err := known("order", label); err != nil {
			return err
		}
	}
	for _, c := range e.Durations {
		for _, o := range []operand{c.left, c.right} {
			if o.label == "" || o.label == wholeTrace {
				continue
			}
			if err := known("durations: "+c.text, o.label); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	noParent   = "none"
	wholeTrace = "trace"
)

var (
	kinds    = []string{"unspecified", "internal", "server", "client", "producer", "consumer"}
	statuses = []string{"unset", "ok", "error"}
)

func checkPattern(p Pattern) error {
	if p.Kind != "" && !slices.Contains(kinds, p.Kind) {
		return fmt.Errorf("kind %q: want one of %s", p.Kind, strings.Join(kinds, ", "))
	}
	if p.Status != "" && !slices.Contains(statuses, p.Status) {
		return fmt.Errorf("status %q: want one of %s", p.Status, strings.Join(statuses, ", "))
	}
	return nil
}

// didYouMean suggests the known word with the same beginning.
func didYouMean(word string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	return " (there: " + strings.Join(known, ", ") + ")"
}
