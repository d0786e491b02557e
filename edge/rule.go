package edge

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"slices"
	"strconv"
	"strings"

	"github.com/vulcand/predicate"
)

// maxRuleLength bounds the text of one rule, in bytes.
const maxRuleLength = 16 << 10

// rule is a compiled routing rule of Traefik's syntax: matchers such as
// Host(`a.localhost`), joined by &&, || and !, with parentheses.
type rule struct {
	text     string
	match    matcher
	hosts    []string // what Host names, for telling people where to go
	prefixes []string // what PathPrefix names, likewise
}

// ruleError says what is wrong with a rule and where.
type ruleError struct {
	line, column int // both count from 1; column counts bytes
	text         string
}

func (e *ruleError) Error() string {
	if e.line > 1 {
		return fmt.Sprintf("line %d, column %d: %s", e.line, e.column, e.text)
	}
	return fmt.Sprintf("column %d: %s", e.column, e.text)
}

// parseRule compiles a rule. Errors are of type *ruleError.
//
// The predicate library evaluates the rule but reports no positions. So the
// syntax tree, which is Go's own, is checked first, completely; what passes
// the check evaluates.
func parseRule(text string) (rule, error) {
	if strings.TrimSpace(text) == "" {
		return rule{}, &ruleError{1, 1, "the rule is empty"}
	}
	if len(text) > maxRuleLength {
		return rule{}, &ruleError{1, 1, fmt.Sprintf("the rule has %d bytes, more than the %d allowed", len(text), maxRuleLength)}
	}
	tree, err := parser.ParseExpr(text)
	if err != nil {
		return rule{}, syntaxError(err)
	}
	c := ruleChecker{text: text, rule: rule{text: text}}
	if err := c.check(tree); err != nil {
		return rule{}, err
	}
	value, err := ruleEvaluator.Parse(text)
	if err != nil {
		return rule{}, &ruleError{1, 1, err.Error()}
	}
	match, ok := value.(matcher)
	if !ok {
		return rule{}, &ruleError{1, 1, "the rule matches nothing: write for example Host(`name`)"}
	}
	c.rule.match = match
	return c.rule, nil
}

// ruleEvaluator turns a checked rule into a matcher.
var ruleEvaluator = newRuleEvaluator()

func newRuleEvaluator() predicate.Parser {
	functions := make(map[string]any, len(matcherKinds))
	for name, kind := range matcherKinds {
		functions[name] = kind.build
	}
	p, err := predicate.NewParser(predicate.Def{
		Operators: predicate.Operators{
			AND: func(a, b matcher) matcher { return func(r *request) bool { return a(r) && b(r) } },
			OR:  func(a, b matcher) matcher { return func(r *request) bool { return a(r) || b(r) } },
			NOT: func(a matcher) matcher { return func(r *request) bool { return !a(r) } },
		},
		Functions: functions,
	})
	if err != nil {
		panic(err) // the definition above is constant
	}
	return p
}

// syntaxError takes the first position out of an error of Go's parser.
func syntaxError(err error) error {
	var list scanner.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		return &ruleError{1, 1, err.Error()}
	}
	first := list[0]
	text := first.Msg
	if strings.HasSuffix(text, "before newline in argument list") { // Go's word for the end of the text
		text = "expected ')' or ','"
	}
	return &ruleError{max(first.Pos.Line, 1), max(first.Pos.Column, 1), text}
}

// ruleChecker walks the tree of a rule and reports the first thing that is not
// part of the rule language.
type ruleChecker struct {
	text string
	rule rule
}

func (c *ruleChecker) check(node ast.Expr) error {
	switch n := node.(type) {
	case *ast.ParenExpr:
		return c.check(n.X)
	case *ast.UnaryExpr:
		if n.Op != token.NOT {
			return c.errorf(n.OpPos, "operator %s is not part of a rule: use &&, || and !", n.Op)
		}
		return c.check(n.X)
	case *ast.BinaryExpr:
		if n.Op != token.LAND && n.Op != token.LOR {
			return c.errorf(n.OpPos, "operator %s is not part of a rule: use &&, || and !", n.Op)
		}
		if err := c.check(n.X); err != nil {
			return err
		}
		return c.check(n.Y)
	case *ast.CallExpr:
		return c.checkCall(n)
	default:
		return c.errorf(node.Pos(), "expected a matcher such as Host(`name`)")
	}
}

// checkCall checks one matcher: its name, the number of arguments, and each
// argument by itself, so that the error points at the argument.
func (c *ruleChecker) checkCall(call *ast.CallExpr) error {
	name, ok := call.Fun.(*ast.Ident)
	if !ok {
		return c.errorf(call.Pos(), "expected a matcher such as Host(`name`)")
	}
	kind, ok := matcherKinds[name.Name]
	if !ok {
		return c.errorf(call.Pos(), "unknown matcher %s: known are %s", name.Name, strings.Join(matcherNames(), ", "))
	}
	if n := len(call.Args); n < kind.min || n > kind.max {
		return c.errorf(call.Pos(), "%s takes %s, not %d", name.Name, kind.arity(), n)
	}
	if call.Ellipsis.IsValid() {
		return c.errorf(call.Ellipsis, "... is not part of a rule")
	}
	args := make([]string, len(call.Args))
	for i, arg := range call.Args {
		literal, ok := arg.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return c.errorf(arg.Pos(), "%s takes text in backquotes or double quotes", name.Name)
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			return c.errorf(arg.Pos(), "read text %s: %v", literal.Value, err)
		}
		args[i] = text
		if err := kind.checkArg(i, text); err != nil {
			return c.errorf(arg.Pos(), "%s: %v", name.Name, err)
		}
	}
	c.note(name.Name, args)
	return nil
}

// note keeps what a person could type into a browser to reach the route.
func (c *ruleChecker) note(name string, args []string) {
	switch matcherKinds[name].label {
	case "Host":
		for _, host := range args {
			c.rule.hosts = append(c.rule.hosts, strings.ToLower(host))
		}
	case "PathPrefix", "Path":
		c.rule.prefixes = append(c.rule.prefixes, args...)
	}
}

// errorf places an error. Positions of Go's expression parser count from 1 over
// the bytes of the text.
func (c *ruleChecker) errorf(pos token.Pos, format string, args ...any) error {
	offset := min(max(int(pos)-1, 0), len(c.text))
	before := c.text[:offset]
	return &ruleError{
		line:   strings.Count(before, "\n") + 1,
		column: offset - strings.LastIndexByte(before, '\n'),
		text:   fmt.Sprintf(format, args...),
	}
}

// matcherNames lists the matchers in their usual spelling.
func matcherNames() []string {
	var names []string
	for _, kind := range matcherKinds {
		names = append(names, kind.label)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
