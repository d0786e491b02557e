package syntax

import "slices"

var (
	countFuncs  = []string{"rate", "count_over_time"}
	valueFuncs  = []string{"min_over_time", "max_over_time", "sum_over_time", "avg_over_time", "histogram_over_time"}
	metricFuncs = slices.Concat(countFuncs, valueFuncs, []string{"quantile_over_time", "compare"})
)

// metricsAhead reports whether the next "|" begins a metrics stage.
func (p *parser) metricsAhead() bool {
	t := p.tokens[p.at+1]
	return t.kind == kWord && (slices.Contains(metricFuncs, t.text) || t.text == "topk" || t.text == "bottomk")
}

// metrics parses the first stage and the stages after it.
func (p *parser) metrics() *Metrics {
	t := p.peek()
	if !p.isAnyWord(metricFuncs...) {
		fail(t.pos, "", "%s needs a metrics function such as rate() before it", t.describe())
	}
	p.next()
	m := &Metrics{Func: t.text, pos: t.pos}
	p.expect("(", "after "+t.text)
	switch {
	case t.text == "compare":
		m.Compare = p.compareArgs()
	case slices.Contains(countFuncs, t.text):
		p.expect(")", "since "+t.text+" takes no arguments")
	default:
		p.valueArgs(m)
	}
	if m.Compare == nil && p.isWord("by") {
		p.next()
		p.expect("(", "after by")
		m.By = p.attrList()
	}
	p.secondStages(m)
	return m
}

// valueArgs parses the attribute and, for a quantile, the numbers after it.
func (p *parser) valueArgs(m *Metrics) {
	m.Arg = p.attr()
	for m.Func == "quantile_over_time" && p.accept(",") {
		t := p.peek()
		if t.kind != kInt && t.kind != kFloat {
			p.unexpected("a quantile between 0 and 1")
		}
		p.next()
		q := t.float
		if t.kind == kInt {
			q = float64(t.num)
		}
		m.Quantiles = append(m.Quantiles, q)
	}
	if m.Func == "quantile_over_time" && len(m.Quantiles) == 0 {
		p.unexpected("\",\" and a quantile such as .99")
	}
	p.expect(")", "to close "+m.Func+"(")
}

func (p *parser) compareArgs() *Compare {
	if !p.is("{") {
		p.unexpected("a filter in braces as the first argument of compare")
	}
	c := &Compare{Filter: p.filter(), TopN: 10}
	if p.accept(",") {
		c.TopN, c.HasTopN = p.integer("the number of values to keep"), true
	}
	if c.HasTopN && p.accept(",") {
		c.Start = p.integer("the start of the selection in unix nanoseconds")
		p.expect(",", "and the end of the selection")
		c.End = p.integer("the end of the selection in unix nanoseconds")
		c.HasWindow = true
	}
	p.expect(")", "to close compare(")
	return c
}

func (p *parser) integer(what string) int64 {
	if !p.is(string(kInt)) {
		p.unexpected("an integer, %s", what)
	}
	return p.next().num
}

func (p *parser) secondStages(m *Metrics) {
	for {
		t := p.peek()
		switch {
		case compareOps[string(t.kind)]:
			p.next()
			v := p.signedNumber("samples are compared with a number")
			m.Second = append(m.Second, SecondStage{Op: t.text, Value: v, pos: t.pos})
		case t.kind == "|":
			p.next()
			m.Second = append(m.Second, p.ranking())
		default:
			return
		}
		checkStages(len(m.Second), t.pos)
	}
}

func (p *parser) ranking() SecondStage {
	if !p.isAnyWord("topk", "bottomk") {
		p.unexpected("topk or bottomk: no other stage may follow a metrics function")
	}
	t := p.next()
	p.expect("(", "after "+t.text)
	k := p.integer("how many series to keep")
	p.expect(")", "to close "+t.text+"(")
	return SecondStage{Func: t.text, K: k, pos: t.pos}
}

func (p *parser) hints() []Hint {
	p.next()
	p.expect("(", "after with")
	hints := []Hint{p.hint()}
	for p.accept(",") {
		hints = append(hints, p.hint())
	}
	p.expect(")", "to close with(")
	return hints
}

func (p *parser) hint() Hint {
	t := p.peek()
	if t.kind != kWord || reserved[t.text] {
		p.unexpected("the name of a hint")
	}
	p.next()
	p.expect("=", "after the name of a hint")
	v := p.peek()
	switch v.kind {
	case kString, kInt, kFloat, kDur:
		return Hint{Name: t.text, Value: p.literal(), pos: t.pos}
	case kWord:
		if l := wordLiteral(v); l != nil && l.Type != LitNil {
			p.next()
			return Hint{Name: t.text, Value: l, pos: t.pos}
		}
	}
	p.unexpected("a literal as the value of hint %s", t.text)
	panic("unreachable")
}
