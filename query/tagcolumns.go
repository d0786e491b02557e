package query

import (
	"slices"

	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// columnsOf returns the columns of a View that hold the values of an attribute or intrinsic. Ok is false if
// columns alone do not have the answer: values within arrays, an unscoped name that both spans and resources
// have, and facts of whole traces. In these cases package eval finds the values.
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
	own, ok := keyColumns(v, eval.LevelOf(f.Scope), f.Name)
	if !ok || f.Scope != syntax.ScopeNone {
		return own, ok
	}
	// A span's own value hides that of its resource.
	inherited, ok := keyColumns(v, trace.ResourceLevel, f.Name)
	if !ok || len(own) > 0 && len(inherited) > 0 {
		return nil, false
	}
	return append(own, inherited...), true
}

// keyColumns returns the columns of a key that the language can read.
func keyColumns(v *trace.View, l trace.Level, key string) (cols []column, ok bool) {
	for c := range v.Attrs(l).OfKey(key) {
		if len(c.Rows) == 0 {
			continue
		}
		switch c.Type {
		case trace.String, trace.Int, trace.Double, trace.Bool:
			cols = append(cols, column{Column: c, level: l})
		case trace.Array:
			return nil, false
		}
	}
	return cols, true
}

func intrinsicColumns(v *trace.View, name string) (cols []column, ok bool) {
	codes, level, ok := eval.TextColumn(v, name)
	if !ok {
		return nil, false
	}
	return []column{intrinsicColumn(name, level, codes)}, true
}

func intrinsicColumn(name string, l trace.Level, codes []uint32) column {
	return column{Column: &trace.Column{Key: name, Type: trace.String, Codes: codes}, level: l, intrinsic: true}
}

// messageColumn returns the status messages; the oldest position represents all
// spans without one, so the column serves only where every span is selected.
func messageColumn(v *trace.View) column {
	codes := []uint32{0}
	for _, code := range v.StatusMessage.All() {
		codes = append(codes, code)
	}
	if len(codes) > v.Spans() {
		codes = codes[1:]
	}
	return intrinsicColumn(syntax.StatusMessage, trace.SpanLevel, codes)
}

// selection has the selected rows of a View by level; nil for all.
type selection struct {
	v    *trace.View
	rows [trace.Levels]eval.Mask
}

// newSelection selects spans (nil for all) and their resources and scopes.
func newSelection(v *trace.View, spans eval.Mask) *selection {
	s := &selection{v: v}
	s.rows[trace.SpanLevel] = spans
	s.rows[trace.ScopeLevel], s.rows[trace.ResourceLevel] = eval.ScopesOf(v, spans)
	return s
}

// in converts a selection of all spans to another View of the same rows.
func (s *selection) in(v *trace.View) *selection { return &selection{v: v, rows: s.rows} }

// bytes estimates the memory of a selection of all spans; 0 for none.
func (s *selection) bytes() int {
	if s == nil {
		return 0
	}
	n := 128
	for _, rows := range s.rows {
		n += 8 * len(rows)
	}
	return n
}

// keep returns a test for the rows of a level, or nil if all are selected.
func (s *selection) keep(l trace.Level) func(row uint32) bool {
	spans := s.rows[trace.SpanLevel]
	switch rows := s.rows[l]; {
	case rows != nil:
		return rows.Has
	case spans != nil && l.BelowSpans():
		owners := s.v.Owners(l)
		return func(row uint32) bool { return spans.Has(owners[row]) }
	}
	return nil
}

// distinct returns the distinct values of a column in the rows that conditions have selected.
func (s *selection) distinct(c column) *distinct {
	if c.level != trace.SpanLevel || c.Rows != nil {
		return newDistinct(s.v, c, s.keep(c.level))
	}
	// Fast path: every span has a value, so only the selected ones are read.
	var codes []uint32
	for row := range s.rows[trace.SpanLevel].Rows {
		codes = append(codes, c.Codes[row])
	}
	return newDistinct(s.v, intrinsicColumn(c.Key, c.level, codes), nil)
}

// has reports whether a column has a selected row.
func (s *selection) has(c *trace.Column, l trace.Level) bool {
	keep := s.keep(l)
	return keep == nil && len(c.Rows) > 0 || keep != nil && slices.ContainsFunc(c.Rows, keep)
}
