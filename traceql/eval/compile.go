package eval

import (
	"fmt"
	"slices"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/syntax"
)

// Program is a compiled query. It is immutable; any number of [Run]s may use it.
type Program struct {
	attrs   []syntax.Attr
	filters []filter
	stages  []stage
	touched []touch
	slots   positions[syntax.Attr] // of attrs
	noted   positions[any]         // of touched, by slot or intrinsic
	groups  bool                   // a stage is by()
	staged  bool                   // set while touch visits the operands of by() or an aggregate
	loads   loads

	value    expr   // of CompileValue
	operands []expr // of metrics

	// MostRecent is the hint most_recent=true.
	MostRecent bool

	tempoStructure bool // see RelateAsTempo
}

// RelateAsTempo makes structural operators relate spans as Tempo 3.0.3 does: only below a root that has
// arrived, and not the two halves of a Zipkin span. The caller calls it before a Run starts.
func (p *Program) RelateAsTempo() { p.tempoStructure = true }

// filter is the condition of one { } of the query.
type filter struct {
	cond  cond
	work  int      // of one row, see poll
	exact bool     // a mask decides it
	all   bool     // it is { }
	whole bool     // it holds for all spans of a trace or for none
	has   []clause // clauses that every span it keeps meets
	pairs [][2]int // of clauses; see pairsOf
	text  string   // see recorded
}

// Compile translates a query that package check has accepted. It ignores the stages of a metrics query after
// the pipeline.
func Compile(q *syntax.Query) (*Program, error) {
	p := &Program{}
	for _, h := range slices.Backward(q.Hints) { // the first of a name counts
		if h.Name == "most_recent" && h.Value.Type == syntax.LitBool {
			p.MostRecent = h.Value.Int != 0
		}
	}
	stages, err := p.pipeline(q.Pipeline)
	p.stages = stages
	return p, err
}

// CompileValue prepares [Run.Rows] and [Run.Values]. Each condition alone selects spans; without conditions
// every span is selected. x is the attribute or intrinsic to read, or nil.
func CompileValue(conds []syntax.Field, x syntax.Field) *Program {
	p := &Program{}
	if len(conds) == 0 {
		conds = []syntax.Field{nil}
	}
	for _, c := range conds {
		p.filter(c)
	}
	if x != nil {
		p.value = p.expr(x)
	}
	return p
}

func (p *Program) pipeline(from *syntax.Pipeline) ([]stage, error) {
	outside := p.loads.selected
	defer func() { p.loads.selected = outside }()
	var stages []stage
	for _, s := range from.Stages {
		compiled, err := p.stage(s)
		if err != nil {
			return nil, err
		}
		stages = append(stages, compiled...)
	}
	return stages, nil
}

func (p *Program) stage(s syntax.Stage) ([]stage, error) {
	switch s := s.(type) {
	case *syntax.Pipeline: // one pipeline in parentheses is that pipeline
		return p.pipeline(s)
	case syntax.Spanset:
		node, err := p.spanset(s)
		return []stage{spansetStage{node}}, err
	case *syntax.Aggregate:
		a := &aggregate{fn: s.Func, key: s.Call(), op: s.Op, limit: Literal(s.Value)}
		if s.Arg != nil {
			a.arg = p.read(s.Arg)
		}
		return []stage{a}, nil
	case *syntax.By:
		p.groups = true
		g := &grouping{key: s.String(), x: orFalse(p.read(s.Expr))}
		return []stage{g}, nil
	case *syntax.Select:
		for _, f := range s.Attrs {
			p.touch(p.name(f), nil)
		}
		p.loads.selected = true
		return nil, nil
	case *syntax.Coalesce:
		return []stage{coalesce{}}, nil
	}
	return nil, fmt.Errorf("evaluate query: unknown stage %T", s)
}

func (p *Program) spanset(s syntax.Spanset) (node, error) {
	switch s := s.(type) {
	case *syntax.Filter:
		return p.filter(s.Cond), nil
	case *syntax.Pipeline:
		stages, err := p.pipeline(s)
		return &group{stages}, err
	case *syntax.SpansetOp:
		l, err := p.spanset(s.L)
		if err != nil {
			return nil, err
		}
		r, err := p.spanset(s.R)
		if err != nil {
			return nil, err
		}
		if syntax.Structural(s.Op) {
			return newStructural(s.Op, l, r), nil
		}
		return &logical{and: s.Op == "&&", l: l, r: r}, nil
	}
	return nil, fmt.Errorf("evaluate query: unknown spanset %T", s)
}

func (p *Program) filter(f syntax.Field) node {
	c := cond(always(true))
	if f != nil {
		c = p.cond(f)
		if chain, ok := c.(allOf); ok {
			c = joinChildren(chain)
		}
		p.touchConds(c)
	}
	has := clausesOf(c)
	made := filter{cond: c, work: workOf(c), exact: !c.needs().trace, all: c == cond(always(true)), whole: ofTrace(c), has: has, pairs: pairsOf(has)}
	if f != nil {
		made.text = recorded(syntax.FieldText(f), &made)
	}
	p.filters = append(p.filters, made)
	return pick(len(p.filters) - 1)
}

// ofTrace reports whether a condition reads only values that all spans of a trace share.
func ofTrace(c cond) bool {
	l, ok := c.(leaf)
	if !ok {
		return false
	}
	test, ok := l.e.(*constTest)
	if !ok {
		return false
	}
	switch test.x {
	case intrinsic{syntax.TraceDuration}, intrinsic{syntax.RootName}, intrinsic{syntax.RootService}:
		return true
	}
	return false
}

// joinChildren makes the event conditions of a pure chain of && hold for one and the same event, and the link
// conditions for one link. It leaves a chain with || or ! unchanged: there each condition may hold for a
// different event or link.
func joinChildren(chain allOf) cond {
	var events, links []leaf
	var others allOf
	for _, x := range chain {
		if k, ok := x.(always); ok {
			others = append(others, k)
			continue
		}
		l, ok := x.(leaf)
		if !ok {
			return chain
		}
		switch n := l.needs(); {
		case n.event && !n.link:
			events = append(events, l)
		case n.link && !n.event:
			links = append(links, l)
		default:
			others = append(others, l)
		}
	}
	if len(events) > 0 {
		others = append(others, sameChild{conds: events, level: trace.EventLevel})
	}
	if len(links) > 0 {
		others = append(others, sameChild{conds: links, level: trace.LinkLevel})
	}
	slices.SortStableFunc(others, func(a, b cond) int { return cost(a) - cost(b) })
	return others
}

// workOf counts the conditions of a filter.
func workOf(c cond) (n int) {
	switch c := c.(type) {
	case allOf:
		for _, x := range c {
			n += workOf(x)
		}
		return n
	case anyOf:
		for _, x := range c {
			n += workOf(x)
		}
		return n
	case not:
		return workOf(c.x)
	case sameChild:
		return len(c.conds)
	}
	return 1
}

// cost orders the conditions of a chain: conditions that columns decide come first.
func cost(c cond) int {
	switch c := c.(type) {
	case always:
		return 0
	case leaf:
		switch e := c.e.(type) {
		case *presence:
			return 2
		case *constTest:
			return costOfTest(e)
		}
		return 9
	case sameChild:
		return 4
	}
	return 5
}

func costOfTest(e *constTest) int {
	switch {
	case e.needs().trace:
		return 8
	case e.attr == nil:
		return 3
	case e.attr.level == trace.ResourceLevel || e.attr.level == trace.ScopeLevel:
		return 1
	}
	return 2
}

func (p *Program) cond(f syntax.Field) cond {
	switch f := f.(type) {
	case *syntax.Literal:
		return always(f.Type == syntax.LitBool && f.Int != 0)
	case *syntax.Unary:
		if f.Op == "!" {
			return p.negated(f)
		}
	case *syntax.Binary:
		switch f.Op {
		case "&&":
			return allOf(p.chain(nil, f, "&&"))
		case "||":
			return anyOf(p.chain(nil, f, "||"))
		}
	case *syntax.AttrRef:
		// A bare attribute holds if it is the bool true. Answers report its value unchanged.
		p.touch(p.expr(f), nil)
		return p.condOf(p.comparison("=", p.expr(f), constant{boolValue(true)}))
	}
	return p.condOf(p.expr(f))
}

func (p *Program) condOf(e expr) cond {
	if k, ok := e.(constant); ok {
		return always(k.v.isTrue())
	}
	return leaf{e}
}

// negated compiles !x. Of an attribute only the bool false makes it true.
func (p *Program) negated(f *syntax.Unary) cond {
	if a, ok := f.X.(*syntax.AttrRef); ok {
		return p.condOf(p.comparison("=", p.expr(a), constant{boolValue(false)}))
	}
	return not{p.cond(f.X)}
}

// chain appends the operands of nested && or ||.
func (p *Program) chain(out []cond, f syntax.Field, op string) []cond {
	if b, ok := f.(*syntax.Binary); ok && b.Op == op {
		return p.chain(p.chain(out, b.L, op), b.R, op)
	}
	return append(out, p.cond(f))
}

// read compiles an operand of by() or an aggregate.
func (p *Program) read(f syntax.Field) expr {
	p.staged = true
	defer func() { p.staged = false }()
	x := p.expr(f)
	p.touch(x, nil)
	return p.ofMatched(x)
}

// name compiles an attribute or intrinsic.
func (p *Program) name(f syntax.Field) expr {
	if a, ok := f.(*syntax.AttrRef); ok {
		return p.attribute(a.Attr)
	}
	return intrinsic{f.(*syntax.Intrinsic).Name}
}

func (p *Program) attribute(a syntax.Attr) *attribute {
	slot, fresh := p.slots.of(a)
	if fresh {
		p.attrs = append(p.attrs, a)
	}
	return &attribute{Attr: a, slot: slot, level: LevelOf(a.Scope), inherits: a.Scope == syntax.ScopeNone}
}

func (p *Program) expr(f syntax.Field) expr {
	switch f := f.(type) {
	case *syntax.Literal:
		return constant{Literal(f)}
	case *syntax.AttrRef, *syntax.Intrinsic:
		if p.loads.has(f) {
			return p.name(f)
		}
	case *syntax.Unary:
		if f.Op == "-" {
			return fold(negation{p.expr(f.X)})
		}
		return condValue{p.cond(f)}
	case *syntax.Binary:
		return p.binary(f)
	}
	return constant{}
}

func (p *Program) binary(f *syntax.Binary) expr {
	switch f.Op {
	case "&&", "||":
		return condValue{p.cond(f)}
	case "+", "-", "*", "/", "%", "^":
		return fold(&arithmetic{op: f.Op, l: p.expr(f.L), r: p.expr(f.R)})
	}
	return p.comparison(f.Op, p.expr(f.L), p.expr(f.R))
}

// fold computes an expression of constants at once. One without a value, such as
// 1 / 0, stays as it is: as a constant it would be the literal nil.
func fold(e expr) expr {
	constants := false
	switch e := e.(type) {
	case negation:
		_, constants = e.x.(constant)
	case *arithmetic:
		_, l := e.l.(constant)
		_, r := e.r.(constant)
		constants = l && r
	}
	if constants {
		if v := e.value(nil); v.Type != Nil {
			return constant{v}
		}
	}
	return e
}

func (p *Program) comparison(op string, l, r expr) expr {
	if _, ok := l.(constant); ok {
		if _, ok := r.(constant); !ok && op != "=~" && op != "!~" {
			l, r, op = r, l, flip(op)
		}
	}
	lit, ok := r.(constant)
	switch {
	case !ok:
		return &comparison{op: op, l: l, r: r}
	case lit.v.Type == Nil:
		if c, ok := l.(constant); ok && c.v.Type == Nil {
			return constant{boolValue(false)} // nil = nil and nil != nil
		}
		return &presence{x: l, want: op == "!="}
	}
	e := newConstTest(op, l, lit.v)
	if _, ok := l.(constant); ok {
		return constant{e.value(nil)}
	}
	return e
}

func newConstTest(op string, x expr, lit Value) expr {
	e := &constTest{x: x, op: op, lit: lit}
	e.attr, _ = x.(*attribute)
	if op == "=~" || op == "!~" {
		re, size, err := check.Regexp(lit.Str)
		if err != nil { // package check has refused it
			return constant{boolValue(false)}
		}
		e.re = newPattern(lit.Str, re, size)
	}
	if field, ok := x.(intrinsic); ok {
		e.id = newIDTest(field.name, op, lit.Str)
	}
	return e
}
