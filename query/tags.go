package query

import (
	"context"
	"slices"

	"etude/trace"
	"etude/traceql/check"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// TagRequest asks for names or values of attributes.
type TagRequest struct {
	// Scope limits names to one: span, resource, event, link, instrumentation,
	// intrinsic; "" or none for all; trace has no names.
	Scope string
	// Query narrows to the spans that its conditions select. It may be
	// incomplete; what does not parse is ignored.
	Query string
	// Start and End leave out tables that lie wholly outside, in unix
	// nanoseconds. Both zero: no window.
	Start, End uint64
	// Limit bounds the names of a scope, or the values; 0 for no bound.
	Limit int
}

// ScopeTags are the names of one scope, sorted.
type ScopeTags struct {
	Scope string
	Tags  []string
}

// Scopes are the scopes that a TagRequest may name.
var Scopes = []string{"span", "resource", "event", "link", "instrumentation", "trace", "intrinsic", "none", ""}

// intrinsicTags are the names of scope intrinsic, as Tempo lists them.
var intrinsicTags = []string{
	"duration", "event:name", "event:timeSinceStart", "instrumentation:name", "instrumentation:version",
	"kind", "link:spanID", "link:traceID", "name", "rootName", "rootServiceName", "span:duration", "span:id",
	"span:kind", "span:name", "span:parentID", "span:status", "span:statusMessage", "status", "statusMessage",
	"trace:duration", "trace:id", "trace:rootName", "trace:rootService", "traceDuration",
}

// TagNames returns the names of attributes by scope, scopes in the order of
// [Scopes]; a scope without names is left out.
func (e *Engine) TagNames(ctx context.Context, req TagRequest) ([]ScopeTags, error) {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if !slices.Contains(Scopes, req.Scope) {
		return nil, inputErrorf("invalid scope: %s", req.Scope)
	}
	n := narrow(ctx, e.src.Tables(), req, nil)
	names := map[string]map[string]bool{}
	for i, v := range n.views {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if n.inWindow(v) {
			collectNames(names, req, v, n.rows(i))
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return sortedScopes(names, req), nil
}

func wants(req TagRequest, scope string) bool {
	return req.Scope == "" || req.Scope == "none" || req.Scope == scope
}

// collectNames adds the names of one View. Rows is nil for all.
func collectNames(names map[string]map[string]bool, req TagRequest, v *trace.View, rows *eval.Mask) {
	scopes, resources := usedBy(v, rows)
	add := func(scope string, a *trace.Attrs, used func(row uint32) bool) {
		if !wants(req, scope) {
			return
		}
		if names[scope] == nil {
			names[scope] = map[string]bool{}
		}
		for i := range a.Columns {
			c := &a.Columns[i]
			if len(c.Rows) > 0 && !names[scope][c.Key] && (rows == nil || slices.ContainsFunc(c.Rows, used)) {
				names[scope][c.Key] = true
			}
		}
	}
	add("span", &v.SpanAttrs, func(row uint32) bool { return rows.Has(row) })
	add("resource", &v.ResourceAttrs, func(row uint32) bool { return resources[row] })
	add("instrumentation", &v.ScopeAttrs, func(row uint32) bool { return scopes[row] })
	add("event", &v.EventAttrs, func(row uint32) bool { return rows.Has(v.EventSpan[row]) })
	add("link", &v.LinkAttrs, func(row uint32) bool { return rows.Has(v.LinkSpan[row]) })
}

// usedBy returns which scopes and resources the rows have.
func usedBy(v *trace.View, rows *eval.Mask) (scopes, resources []bool) {
	if rows == nil {
		return nil, nil
	}
	scopes, resources = make([]bool, v.Scopes()), make([]bool, v.Resources())
	for row := range rows.Rows {
		scopes[v.Scope[row]] = true
	}
	for scope, used := range scopes {
		if used {
			resources[v.ScopeResource[scope]] = true
		}
	}
	return scopes, resources
}

func sortedScopes(names map[string]map[string]bool, req TagRequest) []ScopeTags {
	var out []ScopeTags
	for _, scope := range Scopes {
		tags := make([]string, 0, len(names[scope]))
		for name := range names[scope] {
			tags = append(tags, name)
		}
		if scope == "intrinsic" && wants(req, scope) {
			tags = slices.Clone(intrinsicTags)
		}
		slices.Sort(tags)
		if req.Limit > 0 && len(tags) > req.Limit {
			tags = tags[:req.Limit]
		}
		if len(tags) > 0 {
			out = append(out, ScopeTags{scope, tags})
		}
	}
	return out
}

// narrowed are the spans that a TagRequest is about.
type narrowed struct {
	views []*trace.View
	run   *eval.Run
	all   bool
	req   TagRequest
}

func narrow(ctx context.Context, views []*trace.View, req TagRequest, value syntax.Field) *narrowed {
	var conds []syntax.Field
	for _, c := range syntax.Conditions(req.Query) {
		if c == nil || check.Condition(c) == nil {
			conds = append(conds, selective(c))
		}
	}
	all := len(conds) == 0 || slices.Contains(conds, nil)
	return &narrowed{views: views, run: eval.CompileValue(conds, value).Start(ctx, views), all: all, req: req}
}

// selective returns what of a condition selects spans for a TagRequest: the
// comparisons of an attribute or intrinsic with a constant, joined as they are.
// The rest is taken for true; nil means that nothing selective is left.
func selective(f syntax.Field) syntax.Field {
	b, ok := f.(*syntax.Binary)
	if !ok {
		return nil
	}
	if b.Op != "&&" && b.Op != "||" {
		if constant(b.L) != constant(b.R) && !compound(b.L) && !compound(b.R) {
			return b
		}
		return nil
	}
	l, r := selective(b.L), selective(b.R)
	switch {
	case l != nil && r != nil:
		both := *b
		both.L, both.R = l, r
		return &both
	case b.Op == "||":
		return nil
	case l != nil:
		return l
	}
	return r
}

func constant(f syntax.Field) bool { return !check.MentionsSpan(f) }

func compound(f syntax.Field) bool {
	_, ok := f.(*syntax.Binary)
	return ok
}

// rows returns the spans of a View, nil for all.
func (n *narrowed) rows(view int) *eval.Mask {
	if n.all {
		return nil
	}
	m := n.run.Rows(view)
	return &m
}

// inWindow tells whether some span of the View may overlap the window.
func (n *narrowed) inWindow(v *trace.View) bool {
	if v.Spans() == 0 {
		return false
	}
	if n.req.Start == 0 && n.req.End == 0 {
		return true
	}
	first, last := v.Times()
	return first <= n.req.End && last >= n.req.Start
}
