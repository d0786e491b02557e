package eval

import (
	"math"
	"regexp/syntax"
	"slices"
	"strconv"

	"etude/trace"
	language "etude/traceql/syntax"
)

// This file derives from a filter the conditions under which it may keep a span of a part, in conjunctive form:
// all clauses must hold, and a clause holds if one of its conditions does. A query uses them to rule out parts
// without opening them. A condition may be weaker than the filter and never stronger. So a comparison that also
// holds where a value is missing gives none: !=, !~, = nil, a service name that may be "".

// clause is met by a part that meets one of its conditions.
type clause []trace.Condition

// clausesOf returns clauses that every span that satisfies a condition meets.
func clausesOf(c cond) []clause {
	switch c := c.(type) {
	case allOf:
		var all []clause
		for _, x := range c {
			all = append(all, clausesOf(x)...)
		}
		return all
	case anyOf:
		return eitherOf(c)
	case sameChild:
		var all []clause
		for _, l := range c.conds {
			all = append(all, clausesOf(l)...)
		}
		return all
	case leaf:
		if one := clauseOf(c.e); one != nil {
			return []clause{one}
		}
	}
	return nil
}

// maxPairs bounds the pairs of clauses that a query asks about in a part, maxBoth the conditions of a pair.
const maxPairs, maxBoth = 32, 64

// pairsOf returns the pairs of clauses of which a [trace.PairExcluder] may know whether one span meets both.
func pairsOf(has []clause) (pairs [][2]int) {
	for i, a := range has {
		if !slices.ContainsFunc(a, trace.Condition.IsAnchor) {
			continue
		}
		for j, b := range has {
			both := j < i && slices.ContainsFunc(b, trace.Condition.IsAnchor) // already there
			if i != j && !both && len(a)*len(b) <= maxBoth && len(pairs) < maxPairs {
				pairs = append(pairs, [2]int{i, j})
			}
		}
	}
	return pairs
}

// maxAlternatives bounds the conditions of a clause.
const maxAlternatives = 64

// eitherOf joins one clause of each alternative. If an alternative has none, the result has none.
func eitherOf(alternatives anyOf) []clause {
	var either clause
	for _, x := range alternatives {
		of := clausesOf(x)
		if len(of) == 0 || len(either)+len(of[0]) > maxAlternatives {
			return nil
		}
		either = append(either, of[0]...)
	}
	if either == nil {
		return nil
	}
	return []clause{either}
}

func clauseOf(e expr) clause {
	switch e := e.(type) {
	case *presence:
		if a, ok := e.x.(*attribute); ok && e.want && !a.isService() {
			return a.having(trace.Condition{})
		}
	case *constTest:
		if e.attr != nil {
			return attrClause(e)
		}
		if field, ok := e.x.(intrinsic); ok && e.id == nil {
			return intrinsicClause(field.name, e)
		}
	}
	return nil
}

// having returns the clause that a span has the attribute, with a value that meets
// the condition, at one of the levels where the attribute is looked up.
func (e *attribute) having(c trace.Condition) clause {
	c.Level, c.Key = e.level, e.Name
	out := clause{c}
	if e.inherits {
		c.Level = trace.ResourceLevel
		out = append(out, c)
	}
	return out
}

func attrClause(e *constTest) clause {
	if e.attr.isService() && e.test(textValue("")) {
		return nil
	}
	switch e.op {
	case "=":
		if texts := spellings(e.lit); texts != nil {
			c := numbers(e.op, e.lit)
			c.Texts = texts
			return e.attr.having(c)
		}
	case "=~":
		return e.attr.having(trace.Condition{Texts: literals(e.lit.Str)})
	case "<", "<=", ">", ">=":
		return e.attr.having(numbers(e.op, e.lit))
	}
	return nil
}

// numbers returns the condition that a number is on the right side of a constant. A number and the constant may
// be whole numbers that only rounding makes equal; so limits beyond 2^53 include themselves.
func numbers(op string, lit Value) (c trace.Condition) {
	x := lit.Number()
	if !lit.numeric() || math.IsNaN(x) {
		return c
	}
	c.Bounded, c.Least, c.Most = true, math.Inf(-1), math.Inf(1)
	strict := math.Abs(x) < 1<<53
	switch op {
	case "=":
		c.Least, c.Most = x, x
	case ">=":
		c.Least = x
	case "<=":
		c.Most = x
	case ">":
		if c.Least = x; strict {
			c.Least = math.Nextafter(x, math.Inf(1))
		}
	case "<":
		if c.Most = x; strict {
			c.Most = math.Nextafter(x, math.Inf(-1))
		}
	}
	return c
}

// spellings returns the texts of all values that equal a constant, or nil if they are unknown.
func spellings(v Value) []string {
	switch v.Type {
	case String:
		return []string{v.Str}
	case Bool:
		return []string{strconv.FormatBool(v.Int != 0)}
	case Int, Duration, Float:
		return numberSpellings(v)
	}
	return nil
}

// numberSpellings writes a number as a whole one, if it is, and as a float.
func numberSpellings(v Value) (out []string) {
	x := v.Number()
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	if v.exact() {
		out = append(out, strconv.FormatInt(v.Int, 10))
		if int64(x) != v.Int || math.Abs(x) >= 1<<53 { // Other whole numbers have the same float.
			return nil
		}
	} else if math.Abs(x) >= 1<<53 {
		return nil
	} else if x == math.Trunc(x) {
		out = append(out, strconv.FormatInt(int64(x), 10))
	}
	for _, format := range []byte("gfeGE") {
		out = append(out, strconv.FormatFloat(x, format, -1, 64))
	}
	if x == 0 {
		out = append(out, "-0", "-0e+00", "-0E+00")
	}
	return out
}

// literals returns the texts of a pattern that is a list of literals, and nil for any other pattern. A pattern
// matches whole texts.
func literals(pattern string) []string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	out, ok := literalsOf(re.Simplify())
	if !ok || len(out) > maxAlternatives {
		return nil
	}
	return out
}

func literalsOf(re *syntax.Regexp) (out []string, ok bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0
	case syntax.OpCapture:
		return literalsOf(re.Sub[0])
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if len(out) >= maxAlternatives {
					return nil, false
				}
				out = append(out, string(r))
			}
		}
		return out, true
	case syntax.OpConcat:
		return concatenated(re.Sub)
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			some, ok := literalsOf(sub)
			if !ok || len(out)+len(some) > maxAlternatives {
				return nil, false
			}
			out = append(out, some...)
		}
		return out, true
	}
	return nil, false
}

func concatenated(parts []*syntax.Regexp) (out []string, ok bool) {
	out = []string{""}
	for _, part := range parts {
		tails, ok := literalsOf(part)
		if !ok || len(out)*len(tails) > maxAlternatives {
			return nil, false
		}
		var longer []string
		for _, head := range out {
			for _, tail := range tails {
				longer = append(longer, head+tail)
			}
		}
		out = longer
	}
	return out, true
}

func intrinsicClause(name string, e *constTest) clause {
	switch name {
	case language.Name:
		return textClause(trace.SpanLevel, trace.Names, e)
	case language.ScopeName:
		return textClause(trace.ScopeLevel, trace.ScopeNames, e)
	case language.Status:
		return numberClause(trace.Statuses, Status, e)
	case language.Kind:
		return numberClause(trace.Kinds, Kind, e)
	case language.Duration:
		return durationClause(e)
	}
	return nil
}

func textClause(l trace.Level, column trace.Columns, e *constTest) clause {
	var texts []string
	switch {
	case e.op == "=" && e.lit.Type == String:
		texts = []string{e.lit.Str}
	case e.op == "=~":
		texts = literals(e.lit.Str)
	}
	if texts == nil {
		return nil
	}
	return clause{{Level: l, Of: column, Texts: texts}}
}

func numberClause(column trace.Columns, t Type, e *constTest) clause {
	if e.op != "=" || e.lit.Type != t {
		return nil
	}
	return clause{{Level: trace.SpanLevel, Of: column, Bounded: true, Min: e.lit.Int, Max: e.lit.Int}}
}

func durationClause(e *constTest) clause {
	if !e.lit.exact() || e.op == "!=" {
		return nil
	}
	lo, hi, invert := interval(e.op, e.lit)
	if invert { // < and > are one side without the limit itself
		switch {
		case lo == math.MinInt64 && hi < math.MaxInt64:
			lo, hi = hi+1, math.MaxInt64
		case hi == math.MaxInt64 && lo > math.MinInt64:
			lo, hi = math.MinInt64, lo-1
		default:
			return nil
		}
	}
	if lo > hi {
		return nil
	}
	return clause{{Level: trace.SpanLevel, Of: trace.Times, Bounded: true, Min: lo, Max: hi}}
}
