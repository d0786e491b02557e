package syntax

import "slices"

// operand is a spanset while the parser does not yet know whether the query combines spansets or whole
// pipelines. Both look the same until an operand contains a pipeline. From then on every operand must be in
// parentheses.
type operand struct {
	node     Spanset
	parens   bool // is in parentheses
	grouped  bool // contains a pipeline of several stages, or an aggregate
	groupFit bool // may be the other operand of a grouped one
}

// fits reports whether the operand may be part of a combination of pipelines.
func (o operand) fits() bool { return o.parens && o.groupFit }

var structuralOps = wordSet(">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~")

// spansets parses operands joined by && and ||, which have the lowest, equal precedence.
func (p *parser) spansets() operand {
	left := p.structurals()
	for p.is("&&") || p.is("||") {
		op := p.next()
		left = p.combine(op, left, p.structurals())
	}
	if t := p.peek(); slices.Contains([]kind{"=", "!=", "=~", "+", "-", "*", "/", "%", "^", "<=", ">=", "!"}, t.kind) {
		fail(t.pos, p.spansetHint(), "%s is not an operator between spansets", t.describe())
	}
	return left
}

// spansetHint explains an operator that is valid in a condition but not between spansets.
func (p *parser) spansetHint() string {
	if p.at > 0 && p.tokens[p.at-1].kind == "}" {
		return "conditions on one span belong inside one pair of braces"
	}
	return ""
}

func (p *parser) structurals() operand {
	left := p.spansetTerm()
	for structuralOps[string(p.peek().kind)] {
		op := p.next()
		left = p.combine(op, left, p.spansetTerm())
	}
	return left
}

func (p *parser) combine(op token, l, r operand) operand {
	out := operand{
		node:     &SpansetOp{Op: op.text, L: l.node, R: r.node, pos: op.pos},
		grouped:  l.grouped || r.grouped,
		groupFit: l.fits() && r.fits(),
	}
	// Left operands that were combined before have no parentheses.
	if _, chained := l.node.(*SpansetOp); chained && !l.parens {
		out.groupFit = l.groupFit && r.fits()
	}
	if out.grouped && !out.groupFit {
		fail(op.pos, "write ({...} | ...) "+op.text+" ({...})", "to combine whole pipelines, every operand must be in parentheses")
	}
	return out
}

func (p *parser) spansetTerm() operand {
	switch {
	case p.is("{"):
		return operand{node: p.filter()}
	case p.is("("):
		return p.group()
	}
	p.missingBraces()
	p.unexpected("\"{\", \"(\" or a stage such as count(), by() or select()")
	panic("unreachable")
}

// group parses parentheses where a spanset is expected.
func (p *parser) group() operand {
	defer p.enter()()
	open := p.next()
	inner := &Pipeline{pos: open.pos}
	grouped := p.stages(inner)
	if p.is("|") && p.metricsAhead() {
		fail(p.peek().pos, "metrics functions come last and cannot be combined", "a metrics function cannot be in parentheses")
	}
	p.expect(")", "to close a parenthesis")
	if single, ok := inner.Stages[0].(Spanset); ok && len(inner.Stages) == 1 && !isGroup(single) {
		op, compound := single.(*SpansetOp)
		fit := !compound || allParens(op)
		return operand{node: single, parens: true, grouped: grouped, groupFit: fit}
	}
	return operand{node: inner, parens: true, grouped: true, groupFit: true}
}

func isGroup(s Spanset) bool {
	_, ok := s.(*Pipeline)
	return ok
}

// allParens reports whether an expression combines whole pipelines, so that it can be an operand of such a
// combination.
func allParens(op *SpansetOp) bool {
	return holdsPipeline(op.L) || holdsPipeline(op.R)
}

func holdsPipeline(s Spanset) bool {
	switch s := s.(type) {
	case *Pipeline:
		return true
	case *SpansetOp:
		return holdsPipeline(s.L) || holdsPipeline(s.R)
	}
	return false
}

func (p *parser) filter() *Filter {
	f := &Filter{pos: p.next().pos}
	if p.accept("}") {
		return f
	}
	f.Cond = p.field()
	p.expect("}", "to close the filter, or an operator")
	return f
}

// missingBraces recognises a condition outside { }.
func (p *parser) missingBraces() {
	t := p.peek()
	_, bare := bareIntrinsics[t.text]
	if t.kind == kAttr || t.kind == kScope || t.kind == kWord && bare {
		fail(t.pos, "put conditions in braces: { "+t.text+" ... }", "expected a filter, found %s", t.describe())
	}
}

// aggregateAhead reports whether an aggregate follows, possibly in parentheses.
func (p *parser) aggregateAhead() bool {
	at := p.at
	for p.tokens[at].kind == "(" {
		at++
	}
	opened := at - p.at
	t := p.tokens[at]
	if t.kind != kWord || !slices.Contains(aggregateFuncs, t.text) {
		return false
	}
	// (count() > 1) is a pipeline in parentheses, (count()) > 1 is an aggregate.
	end := p.closing(at + 1)
	for i := range opened {
		if end+1+i >= len(p.tokens) || p.tokens[end+1+i].kind != ")" {
			return false
		}
	}
	return true
}

// closing returns the index of the parenthesis that matches the one at index at, or the last index before the
// end of the query.
func (p *parser) closing(at int) int {
	depth := 0
	for ; p.tokens[at].kind != kEOF; at++ {
		switch p.tokens[at].kind {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 {
			return at
		}
	}
	return at - 1
}

var aggregateFuncs = []string{"count", "min", "max", "avg", "sum"}

var compareOps = wordSet("=", "!=", "<", "<=", ">", ">=")

func (p *parser) aggregate() *Aggregate {
	a := &Aggregate{}
	p.aggregateCall(a)
	op := p.peek()
	if !compareOps[string(op.kind)] {
		p.unexpected("a comparison such as > 1 after %s()", a.Func)
	}
	a.Op = p.next().text
	a.Value = p.signedNumber("an aggregate is compared with a number")
	return a
}

func (p *parser) aggregateCall(a *Aggregate) {
	defer p.enter()()
	if p.accept("(") {
		p.aggregateCall(a)
		p.expect(")", "after an aggregate")
		return
	}
	t := p.next()
	if t.kind != kWord || !slices.Contains(aggregateFuncs, t.text) {
		fail(t.pos, "", "expected an aggregate, found %s", t.describe())
	}
	a.Func, a.pos = t.text, t.pos
	p.expect("(", "after "+t.text)
	if t.text != "count" {
		a.Arg = p.field()
	} else if !p.is(")") {
		p.unexpected("\")\" since count takes no arguments")
	}
	p.expect(")", "to close "+t.text+"(")
}

// signedNumber parses [-] INT | FLOAT | DURATION, possibly in parentheses.
func (p *parser) signedNumber(why string) *Literal {
	defer p.enter()()
	if p.accept("(") {
		n := p.signedNumber(why)
		p.expect(")", "after a number")
		return n
	}
	pos, minus := p.peek().pos, p.accept("-")
	n := p.number(why)
	n.pos = pos
	if minus {
		n.Int, n.Float = -n.Int, -n.Float
	}
	return n
}

func (p *parser) number(why string) *Literal {
	switch t := p.peek(); t.kind {
	case kInt, kFloat, kDur:
		return p.literal()
	}
	p.unexpected("a number (%s)", why)
	panic("unreachable")
}
