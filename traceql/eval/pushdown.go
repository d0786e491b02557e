package eval

import (
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// Tempo 3.0.3 does not evaluate a query over whole spans. It hands the conditions
// to its columns first and loads only the values that they select. Where that
// shows in the answers recorded in testdata/conformance we answer alike. This
// file holds these rules, each with what was observed.

// loads is what a real Tempo 3.0.3 loads for the query that is being compiled.
type loads struct {
	names    map[string]bool // read so far
	selected bool            // a select() stands in front: no further names are loaded
	alone    bool            // see alone
	tests    []*constTest    // of attributes
	conds    []leaf          // of the filters
	reads    []expr          // names in by() and aggregates
	tree     bool            // there is a structural operator
}

// has tells whether an attribute or intrinsic is loaded. Behind a select() that
// is so only of names that stand in front of it: no condition on another holds,
// by() groups by nil and an aggregate finds no value.
func (l *loads) has(name syntax.Field) bool {
	if l.names == nil {
		l.names = map[string]bool{}
	}
	key := syntax.FieldText(name)
	if !l.selected {
		l.names[key] = true
	}
	return l.names[key]
}

// alone tells whether a query is a single filter without || and !, and neither
// by() nor an aggregate reads a value behind it. Only then are the spans that
// Tempo's columns select the result, with no expression left to evaluate.
func alone(p *syntax.Pipeline) bool {
	if inner, ok := p.Stages[0].(*syntax.Pipeline); ok && len(p.Stages) == 1 {
		return alone(inner)
	}
	f, ok := p.Stages[0].(*syntax.Filter)
	if !ok || !pureChain(f.Cond) {
		return false
	}
	for _, s := range p.Stages[1:] {
		switch s := s.(type) {
		case *syntax.Select, *syntax.Coalesce:
		case *syntax.Aggregate:
			if s.Arg != nil {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func pureChain(f syntax.Field) bool {
	switch f := f.(type) {
	case *syntax.Unary:
		return f.Op != "!"
	case *syntax.Binary:
		return f.Op != "||" && (f.Op != "&&" || pureChain(f.L) && pureChain(f.R))
	}
	return true
}

// span tells whether a span is loaded that satisfies { }. Beside a structural
// operator, a real Tempo 3.0.3 sees a span below no root only when some condition
// of the query selects it, or by() or an aggregate reads a value that it has.
func (l *loads) span(r *Run, span int32) bool {
	if !l.tree || r.t.numbers().left[span] > 0 {
		return true
	}
	c := r.at(span)
	return slices.ContainsFunc(l.conds, func(x leaf) bool { return x.holds(c) }) ||
		slices.ContainsFunc(l.reads, func(x expr) bool { return x.value(c).Type != Nil })
}

// test takes note of a comparison with a constant. It returns the expression to
// evaluate.
func (l *loads) test(e expr) expr {
	t, ok := e.(*constTest)
	if !ok || t.attr == nil {
		return e
	}
	l.tests = append(l.tests, t)
	if n := t.needs(); !l.alone && (n.event || n.link) {
		return firstChild{t, n.link}
	}
	return e
}

// maxLinked bounds the tests that are told about each other, since a query of the
// largest size has thousands of them and their pairs are many more. Beyond it
// each test sees the values of its own type.
const maxLinked = 100

// linkTests tells the tests of a query about each other. A real Tempo 3.0.3 asks
// for "b > 3 || a = 5.0" of the int column whether a value is above 3, of the
// float column whether it is 5.0, whichever attribute of the scope it belongs to.
// A value that is loaded then meets all conditions on its attribute: a = 5.0
// holds for the int 5, and a != "x" fails for an array in which another
// condition has kept the element "x".
func (l *loads) linkTests() {
	if len(l.tests) > maxLinked {
		return
	}
	for _, t := range l.tests {
		for _, other := range l.tests {
			if other != t && sameTable(t.attr, other.attr) && !hasColumn(other) {
				t.beside = append(t.beside, other)
			}
		}
	}
}

// sameTable tells whether values of two attributes may lie in one table.
func sameTable(a, b *attribute) bool {
	unscoped := func(s syntax.Scope) bool { return s == syntax.ScopeNone }
	ofSpan := func(s syntax.Scope) bool { return unscoped(s) || s == syntax.ScopeSpan || s == syntax.ScopeResource }
	return a.Scope == b.Scope || (unscoped(a.Scope) || unscoped(b.Scope)) && ofSpan(a.Scope) && ofSpan(b.Scope)
}

// hasColumn tells whether a test is about the column of a single attribute.
func hasColumn(t *constTest) bool {
	return t.attr.isService() || slices.Contains(fixedColumns[t.attr.Scope], t.attr.Name)
}

// besideLoads tells whether a test of another attribute loads the value.
func (e *constTest) besideLoads(v Value) bool {
	for _, t := range e.beside {
		if v.Type == t.lit.Type && t.test(v) {
			return true
		}
	}
	return false
}

func negative(op string) bool { return op == "!=" || op == "!~" }

// columnType returns the type of the column that a span attribute has for itself.
// Values of other types lie with those of all other attributes.
func columnType(a *attribute) (t trace.Type, ok bool) {
	if a.Scope != syntax.ScopeSpan && a.Scope != syntax.ScopeNone {
		return 0, false
	}
	t, ok = fixedTypes[a.Name]
	return t, ok
}

// ofColumn returns the columns in which = nil and != nil look for an attribute: a
// real Tempo 3.0.3 looks only into the one that it has for itself, and takes a
// status code sent as text for missing.
func (b *Bound) ofColumn(a *attribute) *keyColumns {
	own := &b.attr(a.slot).own
	if t, ok := columnType(a); ok && a.Scope == syntax.ScopeSpan {
		k := own.ofType(t)
		k.opaque = nil
		return &k
	}
	return own
}

// hiding returns the columns whose values on a span hide that of its resource
// from a test without scope. A value in a column of its own that fails the test
// is not loaded, so in a real Tempo 3.0.3 it hides nothing.
func (b *Bound) hiding(a *attribute) *keyColumns {
	k := b.attr(a.slot).own
	if t, ok := columnType(a); ok {
		k.cols[slices.Index(readable[:], t)] = nil
	}
	return &k
}

// eachTested is each for a test of the values.
func (e *attribute) eachTested(c *ctx, yield func(Value) bool) {
	_, ok := columnType(e)
	if !ok || e.Scope != syntax.ScopeNone {
		e.each(c, yield)
		return
	}
	hidden := !c.b.hiding(e).values(c.b, c.row, func(Value) bool { return false })
	if e.own(c).values(c.b, c.row, yield) && !hidden {
		c.b.attr(e.slot).resource.values(c.b, c.b.V.Resource(c.row), yield)
	}
}

// withoutConstants returns the operands of || that read something, or all if none
// does. A real Tempo 3.0.3 loads for "a || true" the spans that satisfy a.
func withoutConstants(operands []cond) []cond {
	reading := slices.DeleteFunc(slices.Clone(operands), func(c cond) bool { _, ok := c.(always); return ok })
	if len(reading) == 0 {
		return operands
	}
	return reading
}

// firstChild is a test of an attribute of events, or links, in a query that is
// not alone: there, in a real Tempo 3.0.3, the first event that has the attribute
// decides.
type firstChild struct {
	*constTest
	link bool
}

func (e firstChild) needs() reads { return reads{} }

func (e firstChild) value(c *ctx) Value {
	from, to := c.b.V.Events(c.row)
	if e.link {
		from, to = c.b.V.Links(c.row)
	}
	at := *c
	for child := from; child < to; child++ {
		if e.attr.own(c).given(child) {
			at.event, at.link = int64(child), int64(child)
			return e.constTest.value(&at)
		}
	}
	return boolValue(false)
}

func (e firstChild) parents(v *trace.View) []uint32 {
	if e.link {
		return v.LinkSpan
	}
	return v.EventSpan
}

// mask is value for all spans of a View.
func (e firstChild) mask(b *Bound) Mask {
	parents := e.parents(b.V)
	own := &b.attr(e.attr.slot).own
	hits := matches(b, e.constTest, own, len(parents))
	out, last := newMask(b.V.Spans()), int64(-1)
	for child := range given(b, own, len(parents)).Rows {
		if first := int64(parents[child]) != last; first && hits.Has(child) {
			out.set(parents[child])
		}
		last = int64(parents[child])
	}
	return out
}
