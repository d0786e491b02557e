package eval

import (
	"regexp"
	"slices"
	"strings"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/syntax"
)

// idFields are the intrinsics that hold an id, with the number of its hex digits.
var idFields = map[string]int{
	syntax.TraceID: 2 * len(trace.TraceID{}), syntax.LinkTraceID: 2 * len(trace.TraceID{}),
	syntax.SpanID: 2 * len(trace.SpanID{}), syntax.ParentID: 2 * len(trace.SpanID{}), syntax.LinkSpanID: 2 * len(trace.SpanID{}),
}

// idTest compares an id with a literal by their bytes: a literal may omit leading zeros and use upper-case
// digits. A pattern holds if it matches the id with or without leading zeros.
type idTest struct {
	op     string
	digits int
	lit    string // all digits in lower case; "" if the literal is not an id
	re     *regexp.Regexp
}

// newIDTest returns nil for an intrinsic that is not an id.
func newIDTest(field, op, lit string) *idTest {
	digits, ok := idFields[field]
	if !ok {
		return nil
	}
	t := &idTest{op: op, digits: digits}
	if op == "=~" || op == "!~" {
		re, _, err := check.Regexp("(?i)" + lit)
		if err == nil {
			t.re = re
		}
		return t
	}
	if lit == "" && field == syntax.ParentID && op == "!=" { // it asks for spans with a parent
		lit = "0"
	}
	t.lit = spellID(lit, digits)
	return t
}

// spellID returns all digits of an id in lower case, or "" if text is not an id.
func spellID(text string, digits int) string {
	if text == "" {
		return ""
	}
	text = strings.ToLower(strings.TrimLeft(text, "0"))
	if len(text) > digits || strings.Trim(text, "0123456789abcdef") != "" {
		return ""
	}
	return strings.Repeat("0", digits-len(text)) + text
}

func (t *idTest) holds(id string) bool {
	switch {
	case t.re != nil:
		full := spellID(id, t.digits)
		return (t.re.MatchString(full) || t.re.MatchString(shortID(full))) == (t.op == "=~")
	case t.lit == "":
		return t.op == "!="
	}
	return ordered(t.op, strings.Compare(spellID(id, t.digits), t.lit))
}

func shortID(full string) string {
	if short := strings.TrimLeft(full, "0"); short != "" {
		return short
	}
	return "0"
}

// spanIDMask decides = and != for a column of span ids.
func (t *idTest) spanIDMask(column []trace.SpanID) (Mask, bool) {
	id, ok := spanIDOf(t.lit)
	if !ok || t.op != "=" && t.op != "!=" {
		return nil, false
	}
	return fill(len(column), func(row int) bool { return (column[row] == id) == (t.op == "=") }), true
}

func spanIDOf(lit string) (id trace.SpanID, ok bool) {
	full, err := trace.ParseTraceID(lit)
	if lit == "" || err != nil {
		return id, false
	}
	return trace.SpanID(slices.Clone(full[8:])), true
}
