package eval

import (
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// touch is an attribute or intrinsic that the query reads and therefore reports. Tests are the conditions that
// select the values to report. Without tests the answer reports every value.
type touch struct {
	x     expr // *attribute or intrinsic
	key   string
	tests []*constTest
	all   bool
	isNil bool // asked for with = nil

	staged, tested bool // staged: by() or an aggregate reads it; tested: a condition or select() does
}

// Name returns the name of a span of the last trace of Trace. It returns "" if the query does not read names,
// or if no condition on the name selected it.
func (r *Run) Name(span int32) string {
	at := slices.IndexFunc(r.p.touched, func(t touch) bool { return t.x == expr(intrinsic{syntax.Name}) })
	if at < 0 {
		return ""
	}
	for _, v := range r.p.touched[at].at(r.at(span)) {
		return v.Str
	}
	return ""
}

// touch records the names that an expression reads. test, if any, is the condition that has x as an operand.
func (p *Program) touch(x expr, test expr) {
	switch x := x.(type) {
	case *attribute:
		p.note(x, x.Name, test)
	case intrinsic:
		p.note(x, x.name, test)
	case *arithmetic:
		p.touch(x.l, nil)
		p.touch(x.r, nil)
	case *comparison:
		p.touch(x.l, nil)
		p.touch(x.r, nil)
	case negation:
		p.touch(x.x, nil)
	case *constTest:
		p.touch(x.x, x)
	case *presence:
		p.touch(x.x, x)
	case condValue:
		p.touchConds(x.cond)
	}
}

func (p *Program) touchConds(c cond) {
	switch c := c.(type) {
	case allOf:
		for _, x := range c {
			p.touchConds(x)
		}
	case anyOf:
		for _, x := range c {
			p.touchConds(x)
		}
	case sameChild:
		for _, l := range c.conds {
			p.touch(l.e, nil)
		}
	case not:
		p.touchConds(c.x)
	case leaf:
		p.touch(c.e, nil)
	}
}

func (p *Program) note(x expr, key string, test expr) {
	var id any = x
	if a, ok := x.(*attribute); ok {
		id = a.slot
	}
	at, fresh := p.noted.of(id)
	if fresh {
		p.touched = append(p.touched, touch{x: x, key: key})
	}
	t := &p.touched[at]
	t.staged, t.tested = t.staged || p.staged, t.tested || !p.staged
	switch test := test.(type) {
	case *constTest:
		t.tests = append(t.tests, test)
	case *presence:
		t.all = t.all || test.want
		t.isNil = t.isNil || !test.want
	default:
		t.all = true
	}
}

func same(a, b expr) bool {
	if a, ok := a.(*attribute); ok {
		b, ok := b.(*attribute)
		return ok && a.slot == b.slot
	}
	return a == b
}

// Attrs returns the attributes that an answer reports for a span of the last trace of Trace: the values that
// the query reads and the span has, under the name without scope.
func (r *Run) Attrs(span int32) (out []Attr) {
	c := r.at(span)
	for i := range r.p.touched {
		t := &r.p.touched[i]
		if x, ok := t.x.(intrinsic); ok && slices.Contains(unreported, x.name) {
			continue
		}
		values := t.values(*c)
		for _, v := range values {
			out = append(out, Attr{t.key, v})
		}
		if len(values) == 0 && (t.isNil || t.all && hasFixedColumn(t.x)) {
			out = append(out, Attr{t.key, Value{}})
		}
	}
	return out
}

// values returns the values to report.
func (t *touch) values(c ctx) []Value {
	n := t.x.needs()
	switch {
	case n.event:
		return t.ofChildren(trace.EventLevel, &c)
	case n.link:
		return t.ofChildren(trace.LinkLevel, &c)
	}
	return t.at(&c)
}

func (t *touch) at(c *ctx) (out []Value) {
	attr, ok := t.x.(*attribute)
	if !ok {
		if v := t.x.value(c); v.Type != Nil && t.selects(v) {
			out = append(out, v)
		}
		return out
	}
	add := func(v Value) bool {
		if v, ok := t.selected(v); ok {
			out = append(out, v)
		}
		return true
	}
	if t.all {
		attr.each(c, add)
	} else {
		attr.eachTested(c, add)
	}
	return out
}

func (t *touch) selects(v Value) bool {
	return t.all || slices.ContainsFunc(t.tests, func(e *constTest) bool { return e.test(v) })
}
