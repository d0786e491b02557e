package eval

import (
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// Rule T7: by() groups the spans for which an arithmetic expression has no value under
// false.
func orFalse(e expr) expr {
	switch e.(type) {
	case *arithmetic, negation:
		return falseForNil{e}
	}
	return e
}

type falseForNil struct{ expr }

func (e falseForNil) value(c *ctx) Value {
	if v := e.expr.value(c); v.Type != Nil {
		return v
	}
	return boolValue(false)
}

// Rule T8: arithmetic with an operand that is there and not a number yields false.
var noNumber = boolValue(false)

// Rule T9: an intrinsic of events or links has a value for a span that has none of
// them: "" or zero. Conditions are not affected, since they ask for an event first.
func (e intrinsic) ofNone() Value {
	switch e.name {
	case syntax.EventTime:
		return Value{Type: Duration}
	case syntax.LinkSpanID:
		return textValue(trace.SpanID{}.String())
	}
	return textValue("")
}

// Rule T10: by(), an aggregate and a metrics function read an attribute of events or
// links from the first one that a condition on it has matched: after { event.n = 3 },
// by(event.n) groups by 3.
func (p *Program) ofMatched(x expr) expr {
	attr, ok := x.(*attribute)
	if n := x.needs(); !ok || !n.event && !n.link {
		return x
	}
	at := slices.IndexFunc(p.touched, func(t touch) bool { return same(t.x, x) })
	if at < 0 || len(p.touched[at].tests) == 0 {
		return x
	}
	return &matched{attribute: attr, tests: slices.Clone(p.touched[at].tests)}
}

// matched is an attribute of events or links that follows conditions on it.
type matched struct {
	*attribute
	tests []*constTest
}

func (e *matched) value(c *ctx) (v Value) {
	find := func(x Value) bool {
		for _, t := range e.tests {
			if t.test(x) {
				v = x
				return false
			}
		}
		return true
	}
	from, to := c.b.V.Down(e.level, c.row)
	for row := from; row < to && v.Type == Nil; row++ {
		e.own(c).values(c.b, row, find)
	}
	if v.Type == Nil {
		return e.attribute.value(c)
	}
	return v
}
