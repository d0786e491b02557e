package assert

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Comparison compares two durations, as in "database >= 50% of trace". A label means its longest span. The
// label trace means the whole trace, from its first start to its last end.
type Comparison struct {
	text        string
	left, right operand
	op          string
}

// operand is a fixed duration, or factor times the duration of a label.
type operand struct {
	text   string
	factor float64
	label  string // "" for a fixed duration
	fixed  time.Duration
}

var (
	comparisonText = expression(`^\s*(.+?)\s*(<=|>=|<|>)\s*(.+?)\s*$`)
	operandText    = expression(`^(?:(\d+(?:\.\d+)?)\s*(?:%\s*of|\*|x)\s+)?(\S+)$`)
)

func parseComparison(text string) (c Comparison, err error) {
	m := comparisonText().FindStringSubmatch(text)
	if m == nil {
		return c, fmt.Errorf("%q is not a comparison of durations such as 'database < 2s' or 'database >= 50%% of trace'", text)
	}
	c = Comparison{text: strings.TrimSpace(text), op: m[2]}
	if c.left, err = parseOperand(m[1]); err == nil {
		c.right, err = parseOperand(m[3])
	}
	return c, err
}

func parseOperand(text string) (o operand, err error) {
	m := operandText().FindStringSubmatch(text)
	if m == nil {
		return o, fmt.Errorf("%q is not a duration: want a label, trace, 2s, '50%% of LABEL' or '1.5 * LABEL'", text)
	}
	o = operand{text: text, factor: 1}
	if m[1] != "" {
		o.factor, err = strconv.ParseFloat(m[1], 64)
		if strings.Contains(text, "%") {
			o.factor /= 100
		}
	}
	if fixed, notFixed := time.ParseDuration(m[2]); notFixed == nil {
		o.fixed = fixed
	} else {
		o.label = m[2]
	}
	return o, err
}

// UnmarshalYAML parses a comparison.
func (c *Comparison) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: want a comparison such as 'database < 2s'", node.Line)
	}
	parsed, err := parseComparison(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*c = parsed
	return nil
}

// value returns the operand's duration in a trace, and false when its label has no span.
func (o operand) value(t *Trace, labelled map[string][]*Span) (time.Duration, bool) {
	base := o.fixed
	switch {
	case o.label == wholeTrace:
		base = t.Duration()
	case o.label != "":
		spans := labelled[o.label]
		if len(spans) == 0 {
			return 0, false
		}
		for _, s := range spans {
			base = max(base, s.Duration())
		}
	}
	return time.Duration(o.factor * float64(base)), true
}

// broken describes the violation, or returns "" when the comparison holds. It does not report a label without
// spans: the counts of spans do.
func (c Comparison) broken(t *Trace, labelled map[string][]*Span) string {
	left, haveLeft := c.left.value(t, labelled)
	right, haveRight := c.right.value(t, labelled)
	if !haveLeft || !haveRight || compare(left, c.op, right) {
		return ""
	}
	text := c.text + " does not hold"
	for _, o := range []struct {
		operand
		is time.Duration
	}{{c.left, left}, {c.right, right}} {
		if o.label != "" {
			text += fmt.Sprintf("; %s is %s", o.text, short(o.is))
		}
	}
	return text
}

func compare(l time.Duration, op string, r time.Duration) bool {
	switch op {
	case "<":
		return l < r
	case "<=":
		return l <= r
	case ">":
		return l > r
	}
	return l >= r
}

// short formats a duration with three or four digits.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit || d <= -unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

// span is the time from one instant to a later one, both in unix nanoseconds.
func span(from, to uint64) time.Duration { return time.Duration(to - from) }
