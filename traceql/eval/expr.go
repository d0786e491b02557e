package eval

import (
	"etude/trace"
	"etude/traceql/syntax"
)

// ctx is the place where a row expression is evaluated: a span of a Trace, and
// the event or link that a condition is about.
type ctx struct {
	b     *Bound
	t     *Trace // nil while a mask is made: nothing about the whole trace is known
	span  int    // index into t.Spans
	row   uint32
	event int64 // row of the event table, -1 for none
	link  int64
}

// reads says which facts an expression needs beyond the row of its span.
type reads struct {
	event, link, trace bool
}

func (r reads) with(o reads) reads {
	return reads{r.event || o.event, r.link || o.link, r.trace || o.trace}
}

// expr is a compiled field expression.
type expr interface {
	value(c *ctx) Value
	needs() reads
	declare(n *trace.Need)
}

type constant struct{ v Value }

func (e constant) value(*ctx) Value { return e.v }
func (e constant) needs() reads     { return reads{} }

// at returns the row of a level at this place: the span's row, or the row of the current event or link; -1 if
// there is none.
func (c *ctx) at(l trace.Level) int64 {
	switch l {
	case trace.EventLevel:
		return c.event
	case trace.LinkLevel:
		return c.link
	}
	return int64(c.b.V.Up(l, c.row))
}

// attribute reads an attribute; slot indexes the Program's list.
type attribute struct {
	syntax.Attr
	slot  int
	level trace.Level
	// inherits is set for an attribute without a scope: if a span lacks it, the resource's value counts.
	inherits bool
}

func (e *attribute) needs() reads {
	return reads{event: e.level == trace.EventLevel, link: e.level == trace.LinkLevel}
}

// value returns the first value. If the place has no current event or link, the first one with the attribute counts.
func (e *attribute) value(c *ctx) (v Value) {
	found := func(x Value) bool { v = x; return false }
	if c.at(e.level) >= 0 {
		e.each(c, found)
		return v
	}
	from, to := c.b.V.Down(e.level, c.row)
	for row := from; row < to && v.Type == Nil; row++ {
		e.own(c).values(c.b, row, found)
	}
	return v
}

func (e *attribute) own(c *ctx) *keyColumns { return &c.b.attr(e.slot).own }

// each yields all values of the attribute at c until yield returns false.
func (e *attribute) each(c *ctx, yield func(Value) bool) {
	row := c.at(e.level)
	if row < 0 {
		return
	}
	if !e.inherits && !e.isService() { // Fast path: one row has all of them.
		e.own(c).values(c.b, uint32(row), yield)
		return
	}
	some := false
	count := func(v Value) bool { some = true; return yield(v) }
	more := e.own(c).values(c.b, uint32(row), count) && !some
	if more && e.inherits {
		more = c.b.attr(e.slot).resource.values(c.b, c.b.V.Resource(c.row), count) && !some
	}
	if more && e.isService() {
		yield(textValue(""))
	}
}

// given reports whether the place has the attribute, readable or not.
func (e *attribute) given(c *ctx) bool {
	a, row := c.b.attr(e.slot), c.at(e.level)
	return row >= 0 && a.own.given(uint32(row)) || e.inherits && a.resource.given(c.b.V.Resource(c.row))
}

// isService reports whether this is the service.name of a resource, which always exists: it is "" if the client
// sent none.
func (e *attribute) isService() bool {
	return (e.level == trace.ResourceLevel || e.inherits) && e.Name == "service.name"
}

// ofSpan reports whether only the span may have the attribute.
func (e *attribute) ofSpan() bool { return e.level == trace.SpanLevel && !e.inherits }

type arithmetic struct {
	op   string
	l, r expr
}

func (e *arithmetic) value(c *ctx) Value { return arith(e.op, e.l.value(c), e.r.value(c)) }
func (e *arithmetic) needs() reads       { return e.l.needs().with(e.r.needs()) }

type negation struct{ x expr }

func (e negation) value(c *ctx) Value { return negate(e.x.value(c)) }
func (e negation) needs() reads       { return e.x.needs() }

// comparison is any comparison of two expressions.
type comparison struct {
	op   string
	l, r expr
}

func (e *comparison) value(c *ctx) Value { return boolValue(Compare(e.op, e.l.value(c), e.r.value(c))) }
func (e *comparison) needs() reads       { return e.l.needs().with(e.r.needs()) }

// constTest compares an attribute or any other expression with a constant. Numbers
// of different types compare as numbers.
type constTest struct {
	x    expr
	attr *attribute // x, if it is an attribute
	op   string
	lit  Value
	re   *pattern // for =~ and !~
	id   *idTest  // for an intrinsic that is an id
}

func (e *constTest) needs() reads { return e.x.needs() }

func (e *constTest) value(c *ctx) (v Value) {
	if e.re != nil {
		return boolValue(e.matches(c))
	}
	if e.attr == nil {
		return boolValue(e.test(e.x.value(c)))
	}
	hit := false
	e.attr.eachTested(c, func(v Value) bool { hit = e.test(v); return !hit })
	return boolValue(hit)
}

// matches is value for a regular expression, whose work counts.
func (e *constTest) matches(c *ctx) (hit bool) {
	if e.attr == nil {
		v := e.x.value(c)
		return !e.stopped(c, v) && e.test(v)
	}
	e.attr.eachTested(c, func(v Value) bool { hit = !e.stopped(c, v) && e.test(v); return !hit })
	return hit
}

// stopped counts the work of a regular expression on a value.
func (e *constTest) stopped(c *ctx, v Value) bool {
	return c != nil && c.b != nil && c.b.poll.Stop(e.re.work(v.Str))
}

// test applies the comparison to a value.
func (e *constTest) test(v Value) bool {
	if e.id != nil && v.Type == String {
		return e.id.holds(v.Str)
	}
	if e.op == opContains && v.Type != Array {
		return containsText(v, e.lit)
	}
	if e.re == nil && e.op != opContains {
		return Compare(e.op, v, e.lit)
	}
	switch v.Type {
	case String:
		return e.re.match(v.Str, nil) == (e.op == "=~")
	case Array:
		return anyElem(v.Elems, e.test)
	}
	return false
}

// testText is test for a text on which a regular expression may need long.
func (e *constTest) testText(text string, poll *Poll) bool {
	if e.re == nil || e.id != nil {
		return e.test(textValue(text))
	}
	return e.re.match(text, poll) == (e.op == "=~")
}

// presence is x = nil or x != nil.
type presence struct {
	x    expr
	want bool
}

func (e *presence) needs() reads { return e.x.needs() }

// exists reports whether the span has an event or link.
func (e *presence) exists(c *ctx) bool {
	n := e.x.needs()
	return !(n.event && c.event < 0 || n.link && c.link < 0)
}

// condValue turns a condition into a value.
type condValue struct{ cond cond }

func (e condValue) value(c *ctx) Value { return boolValue(e.cond.holds(c)) }
func (e condValue) needs() reads       { return e.cond.needs() }

// intrinsic reads a built-in field.
type intrinsic struct{ name string }

func (e intrinsic) needs() (r reads) {
	switch e.name {
	case syntax.EventName, syntax.EventTime:
		r.event = true
	case syntax.LinkTraceID, syntax.LinkSpanID:
		r.link = true
	case syntax.TraceDuration, syntax.RootName, syntax.RootService, syntax.ChildCount,
		syntax.NestedSetLeft, syntax.NestedSetRight, syntax.NestedSetParent:
		r.trace = true
	}
	return r
}

func (e intrinsic) value(c *ctx) Value {
	v, row := c.b.V, c.row
	switch e.name {
	case syntax.Name:
		return textValue(v.Text(v.Name[row]))
	case syntax.Duration:
		return Value{Type: Duration, Int: v.Duration(row)}
	case syntax.Status:
		return Value{Type: Status, Int: int64(v.Status[row])}
	case syntax.StatusMessage:
		return textValue(v.Text(v.StatusMessage.Get(row)))
	case syntax.Kind:
		return Value{Type: Kind, Int: int64(v.Kind[row])}
	case syntax.SpanID:
		return textValue(v.SpanID[row].String())
	case syntax.ParentID:
		return textValue(v.Parent[row].String())
	case syntax.TraceID:
		return textValue(v.TraceIDs[v.Trace[row]].Short())
	case syntax.ScopeName:
		return textValue(v.Text(v.ScopeName[v.Scope[row]]))
	case syntax.ScopeVersion:
		return textValue(v.Text(v.ScopeVersion[v.Scope[row]]))
	case syntax.EventName, syntax.EventTime:
		return e.eventValue(c)
	case syntax.LinkTraceID, syntax.LinkSpanID:
		return e.linkValue(c)
	}
	return e.traceValue(c)
}

// eventValue reads the current event, or the first one if the place has none.
func (e intrinsic) eventValue(c *ctx) Value {
	row := c.event
	if row < 0 {
		from, to := c.b.V.Events(c.row)
		if from == to {
			return e.ofNone()
		}
		row = int64(from)
	}
	if e.name == syntax.EventName {
		return textValue(c.b.V.Text(c.b.V.EventName[row]))
	}
	start, at := c.b.V.Start[c.b.V.EventSpan[row]], c.b.V.EventTime[row]
	if start == 0 || at == 0 {
		return Value{Type: Duration} // the client sent no time
	}
	return Value{Type: Duration, Int: trace.Took(start, at) - trace.Took(at, start)} // one of the two terms is 0
}

// linkValue reads the current link, or the first one if the place has none.
func (e intrinsic) linkValue(c *ctx) Value {
	row := c.link
	if row < 0 {
		from, to := c.b.V.Links(c.row)
		if from == to {
			return e.ofNone()
		}
		row = int64(from)
	}
	if e.name == syntax.LinkTraceID {
		return textValue(c.b.V.LinkTraceID[row].Short())
	}
	return textValue(c.b.V.LinkSpanID[row].String())
}

// traceValue reads a field of the whole trace. It yields nil if the trace is unknown.
func (e intrinsic) traceValue(c *ctx) Value {
	if c.t == nil {
		return Value{}
	}
	switch e.name {
	case syntax.TraceDuration:
		return Value{Type: Duration, Int: c.t.Duration()}
	case syntax.RootName:
		name, _ := c.t.Root()
		return textValue(name)
	case syntax.RootService:
		_, service := c.t.Root()
		return textValue(service)
	}
	n := c.t.numbers()
	out := Value{Type: Int}
	switch e.name {
	case syntax.ChildCount:
		out.Int = n.children[c.span]
	case syntax.NestedSetLeft:
		out.Int = n.shown(c.span, n.left[c.span])
	case syntax.NestedSetRight:
		out.Int = n.shown(c.span, n.right[c.span])
	case syntax.NestedSetParent:
		out.Int = n.shown(c.span, n.up[c.span])
	}
	return out
}
