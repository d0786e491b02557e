package query

import (
	"slices"

	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// columnsOf returns the columns of a View that hold the values of an attribute
// or intrinsic. Ok is false where columns alone do not tell: values within
// arrays, an unscoped name that both spans and resources have, what only whole
// traces know. Those are asked of package eval.
func columnsOf(v *trace.View, f syntax.Field) (cols []column, ok bool) {
	switch f := f.(type) {
	case *syntax.AttrRef:
		return attrColumns(v, f)
	case *syntax.Intrinsic:
		return intrinsicColumns(v, f.Name)
	}
	return nil, false
}

func attrColumns(v *trace.View, f *syntax.AttrRef) (cols []column, ok bool) {
	switch f.Scope {
	case syntax.ScopeResource:
		return keyColumns(&v.ResourceAttrs, resourceTable, f.Name)
	case syntax.ScopeInstrumentation:
		return keyColumns(&v.ScopeAttrs, scopeTable, f.Name)
	case syntax.ScopeEvent:
		return keyColumns(&v.EventAttrs, eventTable, f.Name)
	case syntax.ScopeLink:
		return keyColumns(&v.LinkAttrs, linkTable, f.Name)
	case syntax.ScopeSpan:
		return keyColumns(&v.SpanAttrs, spanTable, f.Name)
	}
	own, ok := keyColumns(&v.SpanAttrs, spanTable, f.Name)
	if !ok {
		return nil, false
	}
	// A span's own value hides that of its resource.
	inherited, ok := keyColumns(&v.ResourceAttrs, resourceTable, f.Name)
	if !ok || len(own) > 0 && len(inherited) > 0 {
		return nil, false
	}
	return append(own, inherited...), true
}

// keyColumns returns the columns of a key that the language can read.
func keyColumns(a *trace.Attrs, of table, key string) (cols []column, ok bool) {
	for c := range a.OfKey(key) {
		if len(c.Rows) == 0 {
			continue
		}
		switch c.Type {
		case trace.String, trace.Int, trace.Double, trace.Bool:
			cols = append(cols, column{id: columnID{of: of, typ: c.Type, field: key}, typ: c.Type, codes: c.Codes, nums: c.Nums, rows: c.Rows, of: of})
		case trace.Array:
			return nil, false
		}
	}
	return cols, true
}

func intrinsicColumns(v *trace.View, name string) (cols []column, ok bool) {
	c := column{id: columnID{intrinsic: true, field: name}, typ: trace.String}
	switch name {
	case syntax.Name:
		c.codes = v.Name
	case syntax.EventName:
		c.codes, c.of = v.EventName, eventTable
	case syntax.ScopeName:
		c.codes, c.of = v.ScopeName, scopeTable
	case syntax.ScopeVersion:
		c.codes, c.of = v.ScopeVersion, scopeTable
	default:
		return nil, false
	}
	return []column{c}, true
}

// messageColumn returns the status messages; the oldest position stands for all
// spans without one, so the column serves only where every span is selected.
func messageColumn(v *trace.View) column {
	c := column{id: columnID{intrinsic: true, field: syntax.StatusMessage}, typ: trace.String, codes: []uint32{0}}
	for _, code := range v.StatusMessage.All() {
		c.codes = append(c.codes, code)
	}
	if len(c.codes) > v.Spans() {
		c.codes = c.codes[1:]
	}
	return c
}

// selection are the rows of a View that a request is about.
type selection struct {
	v                 *trace.View
	rows              *eval.Mask // nil for all spans
	events, links     eval.Mask  // nil for all of these spans
	scopes, resources []bool     // that some selected span has
}

func newSelection(v *trace.View, rows *eval.Mask) *selection {
	s := &selection{v: v, rows: rows, scopes: make([]bool, v.Scopes()), resources: make([]bool, v.Resources())}
	if rows != nil {
		for row := range rows.Rows {
			s.scopes[v.Scope[row]] = true
		}
	} else {
		for _, scope := range v.Scope {
			s.scopes[scope] = true
		}
	}
	for scope, used := range s.scopes {
		if used {
			s.resources[v.ScopeResource[scope]] = true
		}
	}
	return s
}

// keep returns the test of a table's rows, nil when all are selected.
func (s *selection) keep(t table) func(row uint32) bool {
	switch t {
	case resourceTable:
		return func(row uint32) bool { return s.resources[row] }
	case scopeTable:
		return func(row uint32) bool { return s.scopes[row] }
	}
	if s.rows == nil {
		return nil
	}
	switch t {
	case eventTable:
		if s.events != nil {
			return s.events.Has
		}
		return func(row uint32) bool { return s.rows.Has(s.v.EventSpan[row]) }
	case linkTable:
		if s.links != nil {
			return s.links.Has
		}
		return func(row uint32) bool { return s.rows.Has(s.v.LinkSpan[row]) }
	}
	return s.rows.Has
}

// distinct returns the values of a column in the selected rows; some conditions
// have selected them.
func (s *selection) distinct(c column) *distinct {
	if c.of != spanTable || c.rows != nil {
		return newDistinct(s.v, c, s.keep(c.of))
	}
	// Fast path: every span has a value, so only the selected ones are read.
	var codes []uint32
	for row := range s.rows.Rows {
		codes = append(codes, c.codes[row])
	}
	c.codes = codes
	return newDistinct(s.v, c, nil)
}

// shows tells whether the name of a column is listed: it has a selected row, or
// it is one of those that recorded answers list for whatever spans, and for none.
func (s *selection) shows(c *trace.Column, t table, scope syntax.Scope) bool {
	return s.has(c, t) || eval.FixedColumn(scope, c.Key) || scope == syntax.ScopeResource && c.Key == "service.name"
}

// has tells whether a column has a selected row.
func (s *selection) has(c *trace.Column, t table) bool {
	keep := s.keep(t)
	return keep == nil && len(c.Rows) > 0 || keep != nil && slices.ContainsFunc(c.Rows, keep)
}
