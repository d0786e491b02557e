package check

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"

	ql "etude/traceql/syntax"
)

// domains has the operand types of each operator; nil means every type.
var domains = map[string][]Type{
	"+": {Int, Float, Duration}, "-": {Int, Float, Duration}, "*": {Int, Float, Duration},
	"/": {Int, Float, Duration}, "%": {Int, Float, Duration}, "^": {Int, Float, Duration},
	"=": nil, "!=": nil,
	"<": {Int, Float, Duration, String}, "<=": {Int, Float, Duration, String},
	">": {Int, Float, Duration, String}, ">=": {Int, Float, Duration, String},
	"=~": {String}, "!~": {String},
	"&&": {Bool}, "||": {Bool},
}

// field checks an expression and determines its static type, from the leaves up. It visits each part once, at
// any depth.
func field(f ql.Field) (Type, error) {
	switch f := f.(type) {
	case *ql.Literal:
		return literalTypes[f.Type], nil
	case *ql.Intrinsic:
		return intrinsicTypes[f.Name], nil
	case *ql.AttrRef:
		if f.Parent {
			return Dynamic, errorf(f, "%s: attributes of the parent span are not available, use a structural operator such as { } > { }", f)
		}
	case *ql.Unary:
		return unary(f)
	case *ql.Binary:
		r, err := field(f.R)
		if err != nil {
			return r, err
		}
		l, err := field(f.L)
		if err != nil {
			return l, err
		}
		return typeOf(f.Op, l, r), binary(f, l, r)
	}
	return Dynamic, nil
}

func unary(f *ql.Unary) (Type, error) {
	t, err := field(f.X)
	if err != nil {
		return t, err
	}
	if f.Op == "!" && t != Bool && t != Dynamic || f.Op == "-" && !t.numeric() && t != Dynamic {
		return t, errorf(f, "operator %s does not accept a %s", f.Op, t)
	}
	return t, nil
}

func binary(f *ql.Binary, l, r Type) error {
	if l == Nil || r == Nil {
		return nilTest(f)
	}
	if !match(l, r) {
		return errorf(f, "%s %s %s: a %s and a %s cannot be compared or combined", f.L, f.Op, f.R, l, r)
	}
	for _, t := range []Type{l, r} {
		if domain := domains[f.Op]; domain != nil && t != Dynamic && !slices.Contains(domain, t) {
			return errorf(f, "operator %s does not accept a %s", f.Op, t)
		}
	}
	if f.Op == "=~" || f.Op == "!~" {
		return pattern(f)
	}
	return nil
}

func match(l, r Type) bool {
	return l == Dynamic || r == Dynamic || l == r || l.numeric() && r.numeric()
}

// nilTest checks x = nil and x != nil.
func nilTest(f *ql.Binary) error {
	if f.Op != "=" && f.Op != "!=" {
		return errorf(f, "nil can only be tested with = and !=")
	}
	for _, side := range []ql.Field{f.L, f.R} {
		if f.Op == "=" && neverNil(side) {
			return errorf(f, "%s is never nil", side)
		}
	}
	return nil
}

func neverNil(f ql.Field) bool {
	switch f := f.(type) {
	case *ql.Intrinsic:
		return true
	case *ql.AttrRef:
		return f.Scope == ql.ScopeResource && f.Name == "service.name"
	}
	return false
}

// pattern checks the right side of a regular expression match.
func pattern(f *ql.Binary) error {
	lit, ok := f.R.(*ql.Literal)
	if !ok || lit.Type != ql.LitString {
		return errorf(f, "the right side of %s must be a string", f.Op)
	}
	if _, ok := f.L.(*ql.Literal); ok {
		return nil
	}
	if _, _, err := Regexp(lit.Str); err != nil {
		return errorf(lit, "invalid regular expression %s: %v", lit, err)
	}
	return nil
}

// MaxPattern limits the size of a regular expression in instructions: a letter is one, and x{1000} a thousand.
// Matching may take that many steps for each letter of a text.
const MaxPattern = 16_384

// Regexp compiles a TraceQL pattern: RE2, anchored at both ends, where "." also matches a newline. It also
// returns the approximate size.
func Regexp(pattern string) (re *regexp.Regexp, size int, err error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	if size = instructions(tree); size > MaxPattern {
		return nil, size, fmt.Errorf("%d instructions, at most %d allowed: shorten it, or use fewer repetitions", size, MaxPattern)
	}
	re, err = regexp.Compile("^(?s:" + pattern + ")$")
	return re, size, err
}

// instructions estimates the size of a compiled pattern without compiling it.
func instructions(tree *syntax.Regexp) int {
	n := 1
	for _, sub := range tree.Sub {
		n += instructions(sub)
	}
	switch tree.Op {
	case syntax.OpLiteral:
		n += len(tree.Rune)
	case syntax.OpRepeat:
		n *= max(tree.Min, tree.Max, 1)
	}
	return min(n, 1<<40)
}
