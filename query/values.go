package query

import (
	"cmp"
	"context"
	"slices"

	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// TagValue is a value that an attribute has somewhere. Type is string, int,
// float, bool, duration or keyword.
type TagValue struct{ Type, Value string }

// valueTypes are the names of types in answers; types without one are left out.
var valueTypes = map[eval.Type]string{
	eval.String: "string", eval.Int: "int", eval.Float: "float", eval.Bool: "bool",
	eval.Duration: "duration", eval.Status: "keyword", eval.Kind: "keyword",
}

// TagValues returns the distinct values of an attribute or intrinsic, given as a
// query writes it, sorted. Values of a status or kind are all there can be; of
// durations and of ids of traces and spans, which hardly repeat, there are none.
func (e *Engine) TagValues(ctx context.Context, tag string, req TagRequest) ([]TagValue, error) {
	f, err := syntax.ParseField(tag)
	if err != nil {
		return nil, inputErrorf("please provide a valid tagName: failed to parse identifier %s: %w", tag, err)
	}
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	found := map[TagValue]bool{}
	if fixed, ok := fixedValues(f); ok {
		return fixed, nil
	}
	if err := e.collectValues(ctx, f, req, found); err != nil {
		return nil, err
	}
	return sortedValues(found, req.Limit), nil
}

// fixedValues answers for intrinsics that need no look at spans.
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
	case syntax.Duration, syntax.TraceDuration, syntax.TraceID, syntax.SpanID, syntax.ParentID, syntax.EventTime:
		return nil, true
	}
	return nil, false
}

func words(word func(int64) string, n int64) (out []TagValue) {
	for i := range n {
		out = append(out, TagValue{"keyword", word(i)})
	}
	slices.SortFunc(out, compareValues)
	return out
}

func (e *Engine) collectValues(ctx context.Context, f syntax.Field, req TagRequest, found map[TagValue]bool) error {
	n := narrow(ctx, e.src.Tables(), req, f)
	for i, v := range n.views {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !n.inWindow(v) {
			continue
		}
		n.run.Values(i, n.run.Rows(i), func(v eval.Value) {
			if name, ok := valueTypes[v.Type]; ok {
				found[TagValue{name, v.Text()}] = true
			}
		})
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func sortedValues(found map[TagValue]bool, limit int) []TagValue {
	out := make([]TagValue, 0, len(found))
	for v := range found {
		out = append(out, v)
	}
	slices.SortFunc(out, compareValues)
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

func compareValues(a, b TagValue) int {
	if c := cmp.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return cmp.Compare(a.Value, b.Value)
}

// textIntrinsics are the intrinsics whose values an unscoped name lists as well.
var textIntrinsics = map[string]bool{
	"name": true, "rootName": true, "rootServiceName": true, "statusMessage": true,
}

// TagTexts returns the distinct values, as text and sorted, that an attribute of
// this name has on a span, resource or instrumentation scope, whatever its type.
// It serves the first form of the API, which names attributes without a scope.
func (e *Engine) TagTexts(ctx context.Context, name string, req TagRequest) ([]string, error) {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if name == "status.code" {
		return []string{"error", "ok", "unset"}, nil
	}
	found := map[TagValue]bool{}
	for _, scope := range append(eval.LegacyScopes(name), syntax.ScopeInstrumentation) {
		ref := &syntax.AttrRef{Attr: syntax.Attr{Scope: scope, Name: name}}
		if err := e.collectValues(ctx, ref, req, found); err != nil {
			return nil, err
		}
	}
	if textIntrinsics[name] {
		if f, err := syntax.ParseField(name); err == nil {
			if err := e.collectValues(ctx, f, req, found); err != nil {
				return nil, err
			}
		}
	}
	texts := map[TagValue]bool{}
	for v := range found {
		texts[TagValue{Value: v.Value}] = true
	}
	var out []string
	for _, v := range sortedValues(texts, req.Limit) {
		out = append(out, v.Value)
	}
	return out, nil
}
