package eval

import (
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// unreported are the intrinsics that an answer shows elsewhere or not at all.
var unreported = []string{syntax.Name, syntax.Duration, syntax.TraceDuration, syntax.TraceID, syntax.SpanID,
	syntax.RootName, syntax.RootService}

// Omits reports whether an answer leaves out a field of the trace: its duration, or the
// name or service of its root.
//
// Rule T11: an answer does so when the query groups with by(), and some by() or
// aggregate reads the field but no condition or select() does.
func (p *Program) Omits(field string) bool {
	return p.groups && slices.ContainsFunc(p.touched, func(t touch) bool {
		return t.x == expr(intrinsic{field}) && t.staged && !t.tested
	})
}

// Rule T12: of several events or links, an answer reports the values of the last one
// that has any.
func (t *touch) ofChildren(l trace.Level, c *ctx) []Value {
	from, to := c.b.V.Down(l, c.row)
	for i := int64(to) - 1; i >= int64(from); i-- {
		c.single(l, i)
		if out := t.at(c); len(out) > 0 {
			return out
		}
	}
	if from == to && t.all {
		return t.at(c) // an intrinsic has a value even so
	}
	return nil
}

// Rule T13: an answer reports those elements of an array that a condition selected.
func (t *touch) selected(v Value) (Value, bool) {
	passes := func(v Value) bool {
		return slices.ContainsFunc(t.tests, func(e *constTest) bool { return e.test(v) })
	}
	if t.all || v.Type != Array {
		return v, t.all || passes(v)
	}
	var left []Value
	for _, e := range v.Elems {
		if passes(e) {
			left = append(left, e)
		}
	}
	return arrayValue(left)
}
