package query

import (
	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// The rules here are known only from recorded answers of Tempo 3.0.3; see tempo.go of
// package eval, and docs/tempo-rules.md.

// Rule T25: an answer about names or values ends at 1,000,000 bytes of names or values,
// type names included, without a word. Parts are read newest first, each in a fixed
// order, so the same spans give the same answer. (Tempo calls the bound
// max_bytes_per_tag_values_query.)
const maxTagBytes = 1_000_000

// Rule T26: a question about names ignores conditions on span:id, and ignores all
// conditions next to one on an attribute without scope. forNames adapts the conditions;
// see rule T19 for events and links.
func (n *narrowed) forNames() {
	for i, c := range n.conds {
		unscoped := false
		n.conds[i] = selective(c, func(x syntax.Field) bool {
			a, ok := x.(*syntax.AttrRef)
			unscoped = unscoped || ok && a.Scope == syntax.ScopeNone
			id, ok := x.(*syntax.Intrinsic)
			return !ok || id.Name != syntax.SpanID
		})
		n.all = n.all || unscoped || n.conds[i] == nil
	}
	n.pairs = n.req.Scope == "" || n.req.Scope == "none"
}

// Rule T27: an answer lists service.name and the attributes with a column of their own
// for any spans, and for none. shows reports whether the name of a column is listed.
func (s *selection) shows(c *trace.Column, l trace.Level) bool {
	return s.has(c, l) || eval.FixedColumn(eval.ScopeOf(l), c.Key) || l == trace.ResourceLevel && c.Key == "service.name"
}

// Rule T28: the values of status and kind are all that there can be; durations, times and
// ids have none. fixedValues returns the values of these, which need no spans.
func fixedValues(f syntax.Field) (values []TagValue, ok bool) {
	field, ok := f.(*syntax.Intrinsic)
	if !ok {
		return nil, false
	}
	switch field.Name {
	case syntax.Status:
		return words(syntax.StatusWord, 3), true
	case syntax.Kind:
		return words(syntax.KindWord, 6), true
	case syntax.Duration, syntax.TraceDuration, syntax.TraceID, syntax.SpanID, syntax.ParentID, syntax.LinkSpanID, syntax.EventTime:
		return nil, true
	}
	return nil, false
}

// Rule T29: the names of scope intrinsic are these, whatever the spans have.
var intrinsicTags = []string{
	"duration", "event:name", "event:timeSinceStart", "instrumentation:name", "instrumentation:version",
	"kind", "link:spanID", "link:traceID", "name", "rootName", "rootServiceName", "span:duration", "span:id",
	"span:kind", "span:name", "span:parentID", "span:status", "span:statusMessage", "status", "statusMessage",
	"trace:duration", "trace:id", "trace:rootName", "trace:rootService", "traceDuration",
}

// Rule T30: in the first form of the API, a name without scope lists the values of some
// intrinsics as well, by these names. status.code has the words of all statuses, and
// error has "true" beside what spans have.
var textIntrinsics = map[string]string{
	"name": "name", "rootName": "rootName", "rootServiceName": "rootServiceName", "statusMessage": "statusMessage",
	"root.name": "rootName", "root.service.name": "rootServiceName",
}

// Rule T31: the values of an attribute without a scope are also those at instrumentation
// scopes, where no condition looks for it. unscoped returns the fields to read.
func unscoped(f syntax.Field) []syntax.Field {
	a, ok := f.(*syntax.AttrRef)
	if !ok || a.Scope != syntax.ScopeNone || a.Parent {
		return []syntax.Field{f}
	}
	return []syntax.Field{f, &syntax.AttrRef{Attr: syntax.Attr{Scope: syntax.ScopeInstrumentation, Name: a.Name}}}
}

// Rule T32: a range is widened to whole steps since the unix epoch and begins one step
// earlier, so that its first sample is at or before the start. widened returns where it
// begins and how many steps it has.
func widened(start, end, step uint64) (from uint64, slots int) {
	from = start / step * step
	last := (end + step - 1) / step * step
	if from >= step {
		from -= step
	}
	return from, int((last - from) / step)
}
