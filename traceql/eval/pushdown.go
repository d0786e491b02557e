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
	selected bool            // a select() precedes: no further names are loaded
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

// columnType returns the type of the column that a span attribute has for itself.
// Values of other types lie with those of all other attributes.
func columnType(a *attribute) (t trace.Type, ok bool) {
	if a.level != trace.SpanLevel {
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
	if t, ok := columnType(a); ok && a.ofSpan() {
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
	if !ok || !e.inherits {
		e.each(c, yield)
		return
	}
	hidden := !c.b.hiding(e).values(c.b, c.row, func(Value) bool { return false })
	if e.own(c).values(c.b, c.row, yield) && !hidden {
		c.b.attr(e.slot).resource.values(c.b, c.b.V.Resource(c.row), yield)
	}
}
