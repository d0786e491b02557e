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
)

// maxRuleLength bounds the text of one rule, in bytes.
const maxRuleLength = 16 << 10

// rule is a compiled routing rule of Traefik's syntax: matchers such as
// Host(`a.localhost`), joined by &&, || and !, with parentheses.
type rule struct {
	text     string
	match    matcher
	hosts    []string // arguments of Host, shown to people and in span names
	prefixes []string // arguments of Path and PathPrefix, shown to people
	queries  bool     // it reads the query
	warnings []string // about valid arguments that are probably a mistake
}

// ruleError describes a mistake in a rule and its position.
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
// The syntax of rules is Go's expression syntax, so Go's parser reads them. One walk over the tree checks each
// node and turns it into a matcher. It refuses every node that is not part of the rule language.
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
	c := compiler{text: text, rule: rule{text: text}}
	if c.rule.match, err = c.compile(tree); err != nil {
		return rule{}, err
	}
	return c.rule, nil
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

// compiler walks the tree of a rule and stops at the first node that is not part of the rule language.
type compiler struct {
	text string
	rule rule
}

func (c *compiler) compile(node ast.Expr) (matcher, error) {
	switch n := node.(type) {
	case *ast.ParenExpr:
		return c.compile(n.X)
	case *ast.UnaryExpr:
		if n.Op != token.NOT {
			return nil, c.errorf(n.OpPos, "operator %s is not part of a rule: use &&, || and !", n.Op)
		}
		x, err := c.compile(n.X)
		return func(r *request) bool { return !x(r) }, err
	case *ast.BinaryExpr:
		return c.compileBinary(n)
	case *ast.CallExpr:
		return c.compileCall(n)
	default:
		return nil, c.errorf(node.Pos(), "expected a matcher such as Host(`name`)")
	}
}

func (c *compiler) compileBinary(n *ast.BinaryExpr) (matcher, error) {
	if n.Op != token.LAND && n.Op != token.LOR {
		return nil, c.errorf(n.OpPos, "operator %s is not part of a rule: use &&, || and !", n.Op)
	}
	x, err := c.compile(n.X)
	if err != nil {
		return nil, err
	}
	y, err := c.compile(n.Y)
	if n.Op == token.LAND {
		return func(r *request) bool { return x(r) && y(r) }, err
	}
	return func(r *request) bool { return x(r) || y(r) }, err
}

// compileCall checks one matcher: its name, the number of arguments, and each argument separately, so that the
// error points at the argument.
func (c *compiler) compileCall(call *ast.CallExpr) (matcher, error) {
	name, ok := call.Fun.(*ast.Ident)
	if !ok {
		return nil, c.errorf(call.Pos(), "expected a matcher such as Host(`name`)")
	}
	kind, ok := matcherKinds[name.Name]
	if !ok {
		return nil, c.errorf(call.Pos(), "unknown matcher %s: known are %s", name.Name, strings.Join(matcherNames(), ", "))
	}
	if call.Ellipsis.IsValid() {
		return nil, c.errorf(call.Ellipsis, "... is not part of a rule")
	}
	args := make([]string, len(call.Args))
	for i, arg := range call.Args {
		literal, ok := arg.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return nil, c.errorf(arg.Pos(), "%s takes text in backquotes or double quotes", name.Name)
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			return nil, c.errorf(arg.Pos(), "read text %s: %v", literal.Value, err)
		}
		args[i] = text
	}
	// Traefik 2 takes any number of key=value.
	if n, pairs := len(args), kind.label == "Query" && slices.ContainsFunc(args, isPair); n < kind.min || n > kind.max && !pairs {
		return nil, c.errorf(call.Pos(), "%s takes %s, not %d", name.Name, kind.arity(), n)
	}
	for i, arg := range call.Args {
		if err := kind.check(i, args); err != nil {
			return nil, c.errorf(arg.Pos(), "%s: %v", name.Name, err)
		}
	}
	c.note(kind.label, args)
	return kind.build(args...), nil
}

// note records the hosts and paths that a person can open in a browser, and the warnings.
func (c *compiler) note(label string, args []string) {
	switch label {
	case "Host":
		for _, host := range args {
			c.rule.hosts = append(c.rule.hosts, strings.ToLower(host))
		}
	case "Query", "QueryRegexp":
		c.rule.queries = true
	case "PathPrefix", "Path":
		for _, path := range args {
			switch {
			case isTemplate(path):
			case strings.Contains(path, "*"):
				c.rule.warnings = append(c.rule.warnings, fmt.Sprintf("%s: in %q the * stands for itself: for all paths below, use PathPrefix", label, path))
				fallthrough
			default:
				c.rule.prefixes = append(c.rule.prefixes, path)
			}
		}
	}
}

// errorf makes an error with a position. Positions of Go's expression parser count
// bytes of the text from 1.
func (c *compiler) errorf(pos token.Pos, format string, args ...any) error {
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
