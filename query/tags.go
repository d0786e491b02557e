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
	// Limit bounds the names of a scope, or the values; 0 for no bound but that
	// of an answer's size, 1,000,000 bytes.
	Limit int
	// MaxStale ends the search for names of a scope, or for values, after so many
	// in a row that were known already; 0 for never. Each View counts a name or
	// value once.
	MaxStale int
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
	done := Work{Query: req.Query}
	defer e.report(ctx, &done)
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if !slices.Contains(Scopes, req.Scope) {
		return nil, inputErrorf("invalid scope: %s", req.Scope)
	}
	views := e.src.Tables()
	n := narrow(ctx, views, req)
	names := newNames(req)
	for i, v := range slices.Backward(views) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if n.inWindow(v) && !names.full() {
			names.collect(n, i)
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	scopes := names.sorted()
	done.Tables = len(views)
	for _, s := range scopes {
		done.Results += len(s.Tags)
	}
	return scopes, nil
}

func (r TagRequest) wants(scope string) bool {
	return r.Scope == "" || r.Scope == "none" || r.Scope == scope
}

// tagNames gathers names by scope. All scopes share the bytes of one answer.
type tagNames struct {
	req    TagRequest
	scopes map[string]*collector
}

func newNames(req TagRequest) *tagNames {
	n := &tagNames{req: req, scopes: map[string]*collector{}}
	room := maxTagBytes
	for _, scope := range []string{"span", "resource", "event", "link", "instrumentation"} {
		if req.wants(scope) {
			n.scopes[scope] = newCollector(req, &room)
		}
	}
	return n
}

func (t *tagNames) full() bool {
	for _, c := range t.scopes {
		if !c.full {
			return false
		}
	}
	return true
}

// collect adds the names of one View.
func (t *tagNames) collect(n *narrowed, view int) {
	v := n.views[view]
	for _, s := range []struct {
		scope string
		of    table
		attrs *trace.Attrs
	}{
		{"resource", resourceTable, &v.ResourceAttrs},
		{"span", spanTable, &v.SpanAttrs},
		{"instrumentation", scopeTable, &v.ScopeAttrs},
		{"event", eventTable, &v.EventAttrs},
		{"link", linkTable, &v.LinkAttrs},
	} {
		names := t.scopes[s.scope]
		if names == nil {
			continue
		}
		for i := range s.attrs.Columns {
			if c := &s.attrs.Columns[i]; len(c.Rows) > 0 && (n.all || n.selection(view).has(c, s.of)) && !names.add(TagValue{Value: c.Key}) {
				break
			}
		}
	}
}

func (t *tagNames) sorted() []ScopeTags {
	var out []ScopeTags
	for _, scope := range Scopes {
		var tags []string
		if c := t.scopes[scope]; c != nil {
			for _, v := range c.sorted() {
				tags = append(tags, v.Value)
			}
		}
		if scope == "intrinsic" && t.req.wants(scope) {
			tags = slices.Clone(intrinsicTags)
			if t.req.Limit > 0 && len(tags) > t.req.Limit {
				tags = tags[:t.req.Limit]
			}
		}
		if len(tags) > 0 {
			out = append(out, ScopeTags{scope, tags})
		}
	}
	return out
}

// narrowed are the spans that a TagRequest is about.
type narrowed struct {
	ctx   context.Context
	views []*trace.View
	conds []syntax.Field
	all   bool // conds select every span
	req   TagRequest

	runs     map[syntax.Field]*eval.Run // by the field whose values they read
	selected *selection                 // of one View, the last asked for
}

func narrow(ctx context.Context, views []*trace.View, req TagRequest) *narrowed {
	n := &narrowed{ctx: ctx, views: views, req: req, runs: map[syntax.Field]*eval.Run{}}
	for _, c := range syntax.Conditions(req.Query) {
		if c == nil || check.Condition(c) == nil {
			n.conds = append(n.conds, selective(c))
		}
	}
	n.all = len(n.conds) == 0 || slices.Contains(n.conds, nil)
	return n
}

// runOf returns what finds the selected spans and, unless nil, the field's values.
func (n *narrowed) runOf(f syntax.Field) *eval.Run {
	if n.runs[f] == nil {
		n.runs[f] = eval.CompileValue(n.conds, f).Start(n.ctx, n.views)
	}
	return n.runs[f]
}

// selection returns the rows of a View that the conditions select.
func (n *narrowed) selection(view int) *selection {
	v := n.views[view]
	if n.selected == nil || n.selected.v != v {
		rows := n.runOf(nil).Rows(view)
		n.selected = newSelection(v, &rows)
	}
	return n.selected
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
