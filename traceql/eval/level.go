package eval

import (
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// levels maps each scope of the language to the level of its attributes. An attribute without a scope belongs
// to the span or, if the span lacks it, to the resource; see attribute.inherits.
var levels = [...]trace.Level{
	syntax.ScopeNone:            trace.SpanLevel,
	syntax.ScopeSpan:            trace.SpanLevel,
	syntax.ScopeResource:        trace.ResourceLevel,
	syntax.ScopeInstrumentation: trace.ScopeLevel,
	syntax.ScopeEvent:           trace.EventLevel,
	syntax.ScopeLink:            trace.LinkLevel,
}

// LevelOf returns the level of a scope's attributes.
func LevelOf(s syntax.Scope) trace.Level { return levels[s] }

// ScopeOf returns the scope that names the attributes of a level.
func ScopeOf(l trace.Level) syntax.Scope {
	const first = int(syntax.ScopeNone) + 1 // no level's own
	return syntax.Scope(first + slices.Index(levels[first:], l))
}

// TextColumn returns the dictionary codes of an intrinsic that every row of a level
// has. Ok is false for other intrinsics.
func TextColumn(v *trace.View, intrinsic string) (codes []uint32, l trace.Level, ok bool) {
	switch intrinsic {
	case syntax.Name:
		return v.Name, trace.SpanLevel, true
	case syntax.ScopeName:
		return v.ScopeName, trace.ScopeLevel, true
	case syntax.ScopeVersion:
		return v.ScopeVersion, trace.ScopeLevel, true
	case syntax.EventName:
		return v.EventName, trace.EventLevel, true
	}
	return nil, 0, false
}

// rowsAt returns the rows of a level that the spans have.
func rowsAt(v *trace.View, l trace.Level, spans Mask) Mask {
	switch {
	case l == trace.SpanLevel:
		return spans
	case l.BelowSpans():
		owners := v.Owners(l)
		return fill(len(owners), func(i int) bool { return spans.Has(owners[i]) })
	}
	scopes, resources := ScopesOf(v, spans)
	if l == trace.ScopeLevel {
		return scopes
	}
	return resources
}

// ScopesOf returns the scopes and the resources that the spans have; nil means all
// spans.
func ScopesOf(v *trace.View, spans Mask) (scopes, resources Mask) {
	scopes, resources = NewMask(v.Scopes()), NewMask(v.Resources())
	if spans == nil {
		for _, scope := range v.Scope {
			if !scopes.Has(scope) { // A store for every row would wait for the previous store.
				scopes.Set(scope)
			}
		}
	}
	for span := range spans.Rows {
		scopes.Set(v.Scope[span])
	}
	for scope := range scopes.Rows {
		resources.Set(v.ScopeResource[scope])
	}
	return scopes, resources
}

// spansOf returns the spans with at least one of the given rows of a level.
func spansOf(v *trace.View, l trace.Level, rows Mask) Mask {
	switch {
	case l == trace.SpanLevel:
		return rows
	case l.BelowSpans():
		owners, spans := v.Owners(l), NewMask(v.Spans())
		for row := range rows.Rows {
			spans.Set(owners[row])
		}
		return spans
	case l == trace.ScopeLevel:
		return spansOfScopes(v, rows)
	}
	return spansOfScopes(v, fill(v.Scopes(), func(scope int) bool { return rows.Has(v.ScopeResource[scope]) }))
}

func spansOfScopes(v *trace.View, scopes Mask) Mask {
	if scopes.Empty() {
		return NewMask(v.Spans())
	}
	return fill(v.Spans(), func(span int) bool { return scopes.Has(v.Scope[span]) })
}
