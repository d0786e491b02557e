package eval

import (
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// Tempo keeps some attributes in columns of their own, and all others in general
// columns of keys and values. A column of its own has one type, and an entry in every row. So Tempo shows the
// attribute even where a span lacks it, and looks for it only there. The rules T1 to T4, and T17, T18 and T25
// elsewhere, follow from that.

// fixedColumns are the attributes that have a column of their own in every block
// of Tempo's format.
var fixedColumns = map[syntax.Scope][]string{
	syntax.ScopeResource: {"cluster", "namespace", "pod", "container",
		"k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name"},
	syntax.ScopeSpan: {"http.method", "http.url", "http.status_code",
		"http.route", "http.request.method", "server.address", "url.path", "url.route"},
}

// fixedTypes are the types of the columns of spans that Tempo reads by type.
var fixedTypes = map[string]trace.Type{
	"http.method": trace.String, "http.url": trace.String, "http.status_code": trace.Int,
}

// FixedColumn reports whether Tempo's format has a dedicated column for an attribute of spans or resources.
// Tempo shows such an attribute even if a span lacks it.
func FixedColumn(s syntax.Scope, name string) bool {
	return slices.Contains(fixedColumns[s], name)
}

// Rule T1: an answer reports an attribute with a column of its own as nil where a span
// lacks it.
func hasFixedColumn(x expr) bool {
	a, ok := x.(*attribute)
	return ok && FixedColumn(a.Scope, a.Name)
}

// columnType returns the type of the dedicated column of a span attribute. Values of other types are in the
// general columns.
func columnType(a *attribute) (t trace.Type, ok bool) {
	if a.level != trace.SpanLevel {
		return 0, false
	}
	t, ok = fixedTypes[a.Name]
	return t, ok
}

// Rule T2: = nil and != nil look for an attribute only in the column that it has for
// itself, so a status code sent as text is missing. ofColumn returns the columns to
// look into.
func (b *Bound) ofColumn(a *attribute) *keyColumns {
	own := &b.attr(a.slot).own
	if t, ok := columnType(a); ok && a.ofSpan() {
		k := own.ofType(t)
		k.opaque = nil
		return &k
	}
	return own
}

// Rule T3: a value of a span that is in its own column and fails a test without scope is
// not loaded, so it does not hide the value of the resource. hiding returns the columns
// whose values do hide it.
func (b *Bound) hiding(a *attribute) *keyColumns {
	k := b.attr(a.slot).own
	if t, ok := columnType(a); ok {
		k.cols[slices.Index(readable[:], t)] = nil
	}
	return &k
}

// eachTested is each for a test of the values, by rule T3.
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

// Rule T4: where an attribute has only values that the language cannot read, such as
// bytes, neither = nil nor != nil holds.
func (e *presence) value(c *ctx) Value {
	if !e.exists(c) {
		return boolValue(false)
	}
	attr, ok := e.x.(*attribute)
	switch {
	case ok && attr.ofSpan() && e.want:
		return boolValue(c.b.ofColumn(attr).first(c.b, c.row).Type != Nil)
	case ok && attr.ofSpan():
		return boolValue(!c.b.ofColumn(attr).given(c.row))
	}
	has := e.x.value(c).Type != Nil
	if ok && !e.want {
		return boolValue(!has && !attr.given(c))
	}
	return boolValue(has == e.want)
}
