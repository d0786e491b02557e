package generator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Policy decides which spans count. A missing condition holds for any span; a span counts when it passes every
// policy.
type Policy struct {
	Include    *Match // all attributes must match
	IncludeAny *Match // at least one must match
	Exclude    *Match // spans for which all match do not count
}

// Match compares attributes of a span with values.
type Match struct {
	Regex      bool // whether values are regular expressions, found anywhere in the text
	Attributes []Condition
}

// Condition is one comparison. The key is resource.X or span.X for an attribute, or one of kind
// (SPAN_KIND_...), name, status (STATUS_CODE_...). The value is the text of the attribute as a label.
type Condition struct{ Key, Value string }

// ParsePolicy parses a policy from one line: an action, then conditions separated by commas, as in
//
//	include kind=SPAN_KIND_SERVER, resource.service.name=shop
//	exclude name~^/health
//
// The action is include, include_any or exclude. = compares the whole text, ~ is a regular expression; one line
// has only one of the two. A backslash before a comma or a backslash makes it part of the value.
func ParsePolicy(line string) (Policy, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	m, err := parseMatch(rest)
	if err != nil {
		return Policy{}, fmt.Errorf("filter %q: %w", line, err)
	}
	var p Policy
	switch word {
	case "include":
		p.Include = m
	case "include_any":
		p.IncludeAny = m
	case "exclude":
		p.Exclude = m
	default:
		return Policy{}, fmt.Errorf("filter %q: begins with %q: want include, include_any or exclude", line, word)
	}
	_, err = compilePolicy(p)
	if err != nil {
		return Policy{}, fmt.Errorf("filter %q: %w", line, err)
	}
	return p, nil
}

func parseMatch(text string) (*Match, error) {
	m := &Match{}
	for i, part := range splitEscaped(text) {
		at := strings.IndexAny(part, "=~")
		if at <= 0 {
			return nil, fmt.Errorf("condition %q: want key=value or key~expression", part)
		}
		regex := part[at] == '~'
		if i > 0 && regex != m.Regex {
			return nil, fmt.Errorf("condition %q: = and ~ cannot be in one filter; use two filters", part)
		}
		m.Regex = regex
		m.Attributes = append(m.Attributes, Condition{strings.TrimSpace(part[:at]), part[at+1:]})
	}
	return m, nil
}

// splitEscaped splits at commas without a backslash before them.
func splitEscaped(text string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == ',' || text[i+1] == '\\'):
			i++
			part.WriteByte(text[i])
		case c == ',':
			parts = append(parts, strings.TrimSpace(part.String()))
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, strings.TrimSpace(part.String()))
}

// policy is a compiled Policy.
type policy struct{ include, includeAny, exclude []test }

// test is a compiled Condition.
type test struct {
	from  origin
	key   string // key of an attribute
	value string
	regex *regexp.Regexp // instead of value
}

// origin is the source of the left side of a Condition.
type origin uint8

const (
	fromKind origin = iota
	fromName
	fromStatus
	fromResource
	fromSpan
)

func compilePolicies(ps []Policy) (compiled []policy, err error) {
	for _, p := range ps {
		c, err := compilePolicy(p)
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, c)
	}
	return compiled, nil
}

func compilePolicy(p Policy) (c policy, err error) {
	for _, m := range []struct {
		from *Match
		to   *[]test
	}{{p.Include, &c.include}, {p.IncludeAny, &c.includeAny}, {p.Exclude, &c.exclude}} {
		if *m.to, err = compileMatch(m.from); err != nil {
			return policy{}, err
		}
	}
	if c.include == nil && c.includeAny == nil && c.exclude == nil {
		return policy{}, fmt.Errorf("a filter needs include, include_any or exclude")
	}
	return c, nil
}

func compileMatch(m *Match) (tests []test, err error) {
	if m == nil {
		return nil, nil
	}
	if len(m.Attributes) == 0 {
		return nil, fmt.Errorf("a match needs at least one attribute")
	}
	for _, a := range m.Attributes {
		t := test{value: a.Value}
		if t.from, t.key, err = splitKey(a.Key); err != nil {
			return nil, err
		}
		if m.Regex {
			if t.regex, err = regexp.Compile(a.Value); err != nil {
				return nil, fmt.Errorf("condition on %s: %w", a.Key, err)
			}
		}
		tests = append(tests, t)
	}
	return tests, nil
}

func splitKey(key string) (origin, string, error) {
	switch key {
	case "kind":
		return fromKind, "", nil
	case "name":
		return fromName, "", nil
	case "status":
		return fromStatus, "", nil
	}
	scope, name, _ := strings.Cut(key, ".")
	switch {
	case name == "":
	case scope == "resource":
		return fromResource, name, nil
	case scope == "span":
		return fromSpan, name, nil
	}
	return 0, "", fmt.Errorf("condition on %q: want resource.NAME, span.NAME, kind, name or status", key)
}

// passes reports whether a span counts.
func passes(ps []policy, s *span) bool {
	holds := func(t test) bool { return t.holds(s) }
	fails := func(t test) bool { return !t.holds(s) }
	for _, p := range ps {
		if slices.ContainsFunc(p.include, fails) ||
			p.includeAny != nil && !slices.ContainsFunc(p.includeAny, holds) ||
			p.exclude != nil && !slices.ContainsFunc(p.exclude, fails) {
			return false
		}
	}
	return true
}

func (t *test) holds(s *span) bool {
	text, ok := s.text(t.from, t.key)
	if t.regex != nil {
		return ok && t.regex.MatchString(text)
	}
	return ok && text == t.value
}

// spanKeys returns the span attributes that the policies read.
func spanKeys(ps []policy) (keys []string) {
	for _, p := range ps {
		for _, t := range slices.Concat(p.include, p.includeAny, p.exclude) {
			if t.from == fromSpan {
				keys = append(keys, t.key)
			}
		}
	}
	return keys
}
