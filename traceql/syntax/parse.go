package syntax

import "slices"

// MaxLength is the maximum length of a query in bytes.
const MaxLength = 131072

// maxDepth limits the nesting of parentheses, unary operators and powers.
const maxDepth = 200

// maxStages limits the stages of a pipeline, and those after a metrics function: each adds to the data that
// every spanset carries to the next stage.
const maxStages = 500

// Parse parses a whole query. The error is an [*Error].
func Parse(src string) (q *Query, err error) {
	defer catch(&err)
	p := newParser(src)
	q = p.query()
	p.expectEnd()
	return q, nil
}

// ParseField parses a single attribute or intrinsic such as resource.service.name.
func ParseField(src string) (f Field, err error) {
	defer catch(&err)
	p := newParser(src)
	f = p.attr()
	p.expectEnd()
	return f, nil
}

// parser parses the tokens of a query. It reports errors by calling fail.
type parser struct {
	tokens []token
	at     int
	depth  int
}

func newParser(src string) *parser {
	if len(src) > MaxLength {
		fail(Pos{Line: 1, Col: 1}, "", "the query has %d bytes, at most %d are allowed", len(src), MaxLength)
	}
	return &parser{tokens: scan(src)}
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != kEOF {
		p.at++
	}
	return t
}

// is reports whether the next token is this punctuation.
func (p *parser) is(text string) bool { return p.peek().kind == kind(text) }

// isWord reports whether the next token is this word.
func (p *parser) isWord(text string) bool {
	t := p.peek()
	return t.kind == kWord && t.text == text
}

func (p *parser) isAnyWord(words ...string) bool {
	t := p.peek()
	return t.kind == kWord && slices.Contains(words, t.text)
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(text, where string) token {
	if !p.is(text) {
		p.unexpected("%q %s", text, where)
	}
	return p.next()
}

func (p *parser) expectEnd() {
	if !p.is(string(kEOF)) {
		p.unexpected("the end of the query or \"|\"")
	}
}

// enter counts one level of nesting. The caller calls the returned function when it leaves the level.
func (p *parser) enter() func() {
	if p.depth++; p.depth > maxDepth {
		fail(p.peek().pos, "", "the query is nested deeper than %d levels", maxDepth)
	}
	return func() { p.depth-- }
}

func (p *parser) query() *Query {
	q := &Query{Pipeline: &Pipeline{pos: p.peek().pos}}
	grouped := p.stages(q.Pipeline)
	if p.is("|") && grouped {
		fail(p.peek().pos, "", "nothing may follow a combination of pipelines in parentheses")
	}
	if p.accept("|") {
		q.Metrics = p.metrics()
	}
	for p.isWord("with") {
		q.Hints = p.hints()
	}
	return q
}

// stages parses the stages of a pipeline up to the end or up to a metrics stage, whose "|" it does not consume.
// It reports whether the stages combine whole pipelines; no stage may follow such a combination.
func (p *parser) stages(into *Pipeline) (grouped bool) {
	if p.isWord("coalesce") {
		fail(p.peek().pos, "begin with { }", "coalesce() cannot start a pipeline")
	}
	stage, grouped := p.stage()
	into.Stages = append(into.Stages, stage)
	for !grouped && p.is("|") && !p.metricsAhead() {
		p.next()
		stage, g := p.stage()
		if g {
			fail(stage.Pos(), "", "a pipeline in parentheses cannot follow \"|\"")
		}
		into.Stages = append(into.Stages, stage)
		checkStages(len(into.Stages), stage.Pos())
	}
	return grouped
}

func checkStages(n int, at Pos) {
	if n > maxStages {
		fail(at, "", "the query has more than %d stages", maxStages)
	}
}

func (p *parser) stage() (s Stage, grouped bool) {
	switch t := p.peek(); {
	case p.isWord("by"):
		return p.by(), false
	case p.isWord("select"):
		return p.selection(), false
	case p.isWord("coalesce"):
		p.next()
		p.expect("(", "after coalesce")
		p.expect(")", "since coalesce takes no arguments")
		return &Coalesce{pos: t.pos}, false
	case p.aggregateAhead():
		return p.aggregate(), false
	}
	x := p.spansets()
	return x.node, x.grouped
}

func (p *parser) by() *By {
	b := &By{pos: p.next().pos}
	p.expect("(", "after by")
	b.Expr = p.field()
	if p.is(",") {
		fail(p.peek().pos, "group by one, then by the next: | by(a) | by(b)", "by() takes one expression")
	}
	p.expect(")", "to close by(")
	return b
}

func (p *parser) selection() *Select {
	s := &Select{pos: p.next().pos}
	p.expect("(", "after select")
	s.Attrs = p.attrList()
	return s
}

// attrList parses names up to and including the closing parenthesis.
func (p *parser) attrList() []Field {
	attrs := []Field{p.attr()}
	for p.accept(",") {
		attrs = append(attrs, p.attr())
	}
	p.expect(")", "or \",\" after a name")
	return attrs
}

// unexpected fails with the expected and the found token.
func (p *parser) unexpected(format string, args ...any) {
	t := p.peek()
	fail(t.pos, p.mistake(t), "expected "+format+", found %s", append(args, t.describe())...)
}

// mistake recognises common mistakes by the unexpected token.
func (p *parser) mistake(t token) string {
	before := kEOF
	if p.at > 0 {
		before = p.tokens[p.at-1].kind
	}
	switch {
	case t.kind == "=" && before == "=":
		return "equality is a single ="
	case t.kind == "!>" || t.kind == "!<":
		return "write <= for not greater, >= for not less"
	case t.kind == kWord && (t.text == "and" || t.text == "AND"):
		return "write && for and"
	case t.kind == kWord && (t.text == "or" || t.text == "OR"):
		return "write || for or"
	case t.kind == kWord && (t.text == "not" || t.text == "NOT"):
		return "write ! for not"
	case t.kind == kEOF && p.opened("{") > p.opened("}"):
		return "a { is not closed"
	case t.kind == kEOF && p.opened("(") > p.opened(")"):
		return "a ( is not closed"
	}
	return ""
}

// opened counts a bracket in the whole query.
func (p *parser) opened(bracket string) (n int) {
	for _, t := range p.tokens {
		if t.kind == kind(bracket) {
			n++
		}
	}
	return n
}
