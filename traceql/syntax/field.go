package syntax

import (
	"slices"
	"strings"
)

// levels has the precedence of each binary operator of a field expression; a higher level binds tighter. && and
// || have the same level, as the language defines: { a || b && c } groups from left to right.
var levels = map[kind]int{
	"&&": 1, "||": 1,
	"=": 2, "!=": 2, "<": 2, "<=": 2, ">": 2, ">=": 2, "=~": 2, "!~": 2,
	"+": 3, "-": 3,
	"*": 5, "/": 5, "%": 5,
	"^": 6,
}

// Unary operators take operands of these levels and above: -a * b is -(a * b), !a + b is (!a) + b.
const (
	minusOperand = 4
	notOperand   = 5
)

func (p *parser) field() Field { return p.binary(1) }

// binary parses an expression whose operators have at least the given level.
func (p *parser) binary(level int) Field {
	left := p.unary()
	for {
		op := p.peek()
		l, ok := levels[op.kind]
		if !ok || l < level {
			return left
		}
		p.next()
		left = &Binary{Op: op.text, L: left, R: p.rightOf(l), pos: op.pos}
	}
}

// rightOf parses the right operand of an operator. ^ groups to the right, all others to the left.
func (p *parser) rightOf(level int) Field {
	if level == levels["^"] {
		defer p.enter()()
		return p.binary(level)
	}
	return p.binary(level + 1)
}

func (p *parser) unary() Field {
	t := p.peek()
	operand := 0
	switch t.kind {
	case "-":
		operand = minusOperand
	case "!":
		operand = notOperand
	default:
		return p.primary()
	}
	defer p.enter()()
	p.next()
	return &Unary{Op: t.text, X: p.binary(operand), pos: t.pos}
}

func (p *parser) primary() Field {
	switch t := p.peek(); t.kind {
	case "(":
		defer p.enter()()
		p.next()
		f := p.field()
		p.expect(")", "to close a parenthesis, or an operator")
		return f
	case kString, kInt, kFloat, kDur:
		return p.literal()
	case kWord:
		if l := wordLiteral(t); l != nil {
			p.next()
			return l
		}
	}
	return p.attr()
}

// literal parses a literal that is not a word.
func (p *parser) literal() *Literal {
	t := p.next()
	l := &Literal{Str: t.str, Int: t.num, Float: t.float, pos: t.pos}
	switch t.kind {
	case kString:
		l.Type = LitString
	case kInt:
		l.Type = LitInt
	case kFloat:
		l.Type = LitFloat
	case kDur:
		l.Type = LitDuration
	}
	return l
}

// wordLiteral returns the literal for a word, or nil.
func wordLiteral(t token) *Literal {
	l := &Literal{pos: t.pos}
	switch t.text {
	case "nil":
		return l
	case "true", "false":
		l.Type = LitBool
		if t.text == "true" {
			l.Int = 1
		}
		return l
	case "minInt":
		l.Type, l.Int = LitInt, -1<<63
		return l
	case "maxInt":
		l.Type, l.Int = LitInt, 1<<63-1
		return l
	}
	if n, ok := wordNumber(statusWords, t.text); ok {
		l.Type, l.Int = LitStatus, n
		return l
	}
	if n, ok := wordNumber(kindWords, t.text); ok {
		l.Type, l.Int = LitKind, n
		return l
	}
	return nil
}

// attr parses an attribute or intrinsic.
func (p *parser) attr() Field {
	t := p.peek()
	switch t.kind {
	case kAttr:
		p.next()
		return &AttrRef{Attr: t.attr, pos: t.pos}
	case kScope:
		return p.scopedIntrinsic()
	case kWord:
		if name, ok := bareIntrinsics[t.text]; ok {
			p.next()
			return &Intrinsic{Name: name, pos: t.pos}
		}
		p.badWord(t)
	}
	p.unexpected("an attribute, an intrinsic or a literal")
	panic("unreachable")
}

func (p *parser) scopedIntrinsic() Field {
	scope := p.next()
	t := p.next()
	name, ok := scopedIntrinsics[scope.text+t.text]
	if t.kind != kWord || !ok {
		hint := ""
		if scope.str != "trace" {
			hint = "attributes are written with a dot: " + scope.str + "." + t.text
		}
		fail(scope.pos, hint, "unknown intrinsic: %s%s", scope.text, t.text)
	}
	return &Intrinsic{Name: name, pos: scope.pos}
}

// badWord reports a word that is not an intrinsic.
func (p *parser) badWord(t token) {
	hint := "attributes need a scope: ." + t.text + ", span." + t.text + " or resource." + t.text
	if scoped := withScope(t.text); len(scoped) > 0 {
		hint = "write " + strings.Join(scoped, " or ")
	}
	switch t.text {
	case "parent":
		hint = "use a structural operator such as { } > { }"
	case "and", "AND", "or", "OR", "not", "NOT":
		hint = p.mistake(t)
	}
	if reserved[t.text] {
		fail(t.pos, hint, "%q is not allowed here", t.text)
	}
	fail(t.pos, hint, "unknown identifier: %s", t.text)
}

// withScope returns the intrinsics that a bare word may mean.
func withScope(word string) (scoped []string) {
	for name := range scopedIntrinsics {
		if strings.HasSuffix(name, ":"+word) {
			scoped = append(scoped, name)
		}
	}
	slices.Sort(scoped)
	return scoped
}
