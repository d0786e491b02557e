package query

import (
	"context"
	"slices"

	"etude/trace"
	"etude/traceql/eval"
)

// TagRequest asks for names or values of attributes.
type TagRequest struct {
	// Scope limits names to one: span, resource, event, link, instrumentation,
	// intrinsic; "" or none for all; trace has no names.
	Scope string
	// Query restricts the request to the spans that its conditions select. It may be incomplete: TagNames and
	// TagValues ignore conditions that do not parse.
	Query string
	// Start and End are a window in unix nanoseconds. The request skips parts that are wholly outside. Both
	// zero: no window.
	Start, End uint64
	// Limit bounds the names of a scope, or the values. 0 means that only the size of an answer, 1,000,000
	// bytes, is bounded.
	Limit int
	// MaxStale ends the search for names of a scope, or for values, after this many known ones in a row; 0 for
	// never. Each View counts a name or value once.
	MaxStale int
}

// ScopeTags are the names of one scope, sorted.
type ScopeTags struct {
	Scope string
	Tags  []string
}

// Scopes are the scopes that a TagRequest may name.
var Scopes = []string{"span", "resource", "event", "link", "instrumentation", "trace", "intrinsic", "none", ""}

// TagNames returns the names of attributes by scope, scopes in the order of
// [Scopes]; a scope without names is left out.
func (e *Engine) TagNames(ctx context.Context, req TagRequest) ([]ScopeTags, error) {
	done := Work{Query: req.Query}
	defer e.report(ctx, &done)
	j, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	ctx = j.Context()
	if !slices.Contains(Scopes, req.Scope) {
		return nil, inputErrorf("invalid scope: %s", req.Scope)
	}
	snap, err := e.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	n := narrow(j, req)
	n.forNames()
	n.begin(snap, nil, n.declareNames)
	names := newNames(req, &j.memory)
	for part := range slices.Backward(n.parts.List()) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if n.inWindow(part) && !names.full() {
			if err := names.collect(n, part); err != nil {
				return nil, err
			}
			n.release(part)
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	scopes := names.sorted()
	done.Tables = len(n.parts.List())
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
	scopes [trace.Levels]*collector // nil for scopes that the request excludes
}

func newNames(req TagRequest, memory *memory) *tagNames {
	n := &tagNames{req: req}
	room := maxTagBytes
	for _, l := range namedLevels {
		if req.wants(eval.ScopeOf(l).String()) {
			n.scopes[l] = newCollector(req, &room, memory)
		}
	}
	return n
}

func (t *tagNames) full() bool {
	for _, c := range t.scopes {
		if c != nil && !c.full {
			return false
		}
	}
	return true
}

// namedLevels are the levels in the order in which they fill an answer.
var namedLevels = []trace.Level{trace.ResourceLevel, trace.SpanLevel, trace.ScopeLevel, trace.EventLevel, trace.LinkLevel}

// declareNames declares the columns that a request for names reads.
func (n *narrowed) declareNames(need *trace.Need) {
	for _, l := range namedLevels {
		if n.req.wants(eval.ScopeOf(l).String()) {
			need.AllKeys[l] = true
		}
	}
	if !n.all {
		need.Columns |= trace.EventSpans | trace.LinkSpans
	}
}

// collect adds the names of one part.
func (t *tagNames) collect(n *narrowed, part int) error {
	v, err := n.open(part)
	if err != nil {
		return err
	}
	var selected *selection // nil for all
	if !n.all {
		if selected, err = n.selection(part); err != nil {
			return err
		}
	}
	for _, l := range namedLevels {
		names := t.scopes[l]
		if names == nil {
			continue
		}
		for c := range v.Attrs(l).All() {
			if n.given(len(c.Rows)) {
				return nil
			}
			if len(c.Rows) > 0 && (selected == nil || selected.shows(c, l)) && !names.add(TagValue{Value: c.Key}) {
				break
			}
		}
	}
	return nil
}

// of returns the names of a scope, or nil.
func (t *tagNames) of(scope string) *collector {
	for _, l := range namedLevels {
		if eval.ScopeOf(l).String() == scope {
			return t.scopes[l]
		}
	}
	return nil
}

func (t *tagNames) sorted() []ScopeTags {
	var out []ScopeTags
	for _, scope := range Scopes {
		var tags []string
		if c := t.of(scope); c != nil {
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
