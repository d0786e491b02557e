package query

import (
	"cmp"
	"context"
	"slices"

	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// TagValue is a value of an attribute. Type is string, int, float, bool, duration or keyword.
type TagValue struct{ Type, Value string }

// valueTypes are the names of types in answers; types without one are left out.
var valueTypes = map[eval.Type]string{
	eval.String: "string", eval.Int: "int", eval.Float: "float", eval.Bool: "bool",
	eval.Duration: "duration", eval.Status: "keyword", eval.Kind: "keyword",
}

// TagValues returns the distinct values of an attribute or intrinsic, sorted. Name is in the form of a query.
// If there are more values than an answer or the request allows, it returns the newest. For a status or kind it
// returns all possible values. For durations and for ids of traces and spans, which hardly repeat, it returns
// none.
func (e *Engine) TagValues(ctx context.Context, tag string, req TagRequest) ([]TagValue, error) {
	f, err := syntax.ParseField(tag)
	if err != nil {
		return nil, inputErrorf("please provide a valid tagName: failed to parse identifier %s: %w", tag, err)
	}
	done := Work{Query: req.Query}
	defer e.report(ctx, &done)
	j, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if fixed, ok := fixedValues(f); ok {
		return fixed, nil
	}
	room := maxTagBytes
	c := newCollector(req, &room, &j.memory)
	if err := e.collectValues(j, unscoped(f), req, c, &done); err != nil {
		return nil, err
	}
	values := c.sorted()
	done.Results = len(values)
	return values, nil
}

func words(word func(int64) string, n int64) (out []TagValue) {
	for i := range n {
		out = append(out, TagValue{"keyword", word(i)})
	}
	slices.SortFunc(out, compareValues)
	return out
}

// collectValues reads the Views, the newest first, and in each the fields in their order, until the collector
// has enough.
func (e *Engine) collectValues(j *Job, fields []syntax.Field, req TagRequest, c *collector, done *Work) error {
	ctx := j.Context()
	defer e.observer.Stage(ctx, Evaluating)()
	snap, err := e.snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	n := narrow(j, req)
	n.begin(snap, fields, nil)
	done.Tables = len(n.parts.List())
	for part := range slices.Backward(n.parts.List()) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !n.inWindow(part) || !n.all && n.run.SelectsNone(part) {
			continue
		}
		if err := n.collect(part, fields, c); err != nil || c.full {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// collect collects the values of fields in one part.
func (n *narrowed) collect(part int, fields []syntax.Field, c *collector) error {
	v, err := n.open(part)
	if err != nil {
		return err
	}
	in := info{v, n.facts.of(n.parts.List()[part].ID)}
	defer n.release(part)
	for _, f := range fields {
		if err := n.values(part, in, f, c); err != nil || c.full {
			return err
		}
	}
	return nil
}

// values collects the values of a field in one part.
func (n *narrowed) values(part int, in info, f syntax.Field, c *collector) error {
	selected := in.all
	if !n.all {
		s, err := n.selection(part)
		if err != nil {
			return err
		}
		selected = func() *selection { return s }
	}
	if a, ok := f.(*syntax.AttrRef); ok && a.Name == "service.name" && (a.Scope == syntax.ScopeResource || a.Scope == syntax.ScopeNone) {
		noService(in, selected(), c)
	}
	cols, ok := columnsOf(in.v, f)
	if i, isIntrinsic := f.(*syntax.Intrinsic); isIntrinsic && n.all {
		switch i.Name {
		case syntax.StatusMessage:
			cols, ok = []column{messageColumn(in.v)}, true
		case syntax.RootName, syntax.RootService:
			if rootsTell(in.v) {
				return n.rootValues(in, i.Name, c)
			}
		}
	}
	if !ok {
		return n.slowValues(part, f, c)
	}
	// Fast path: columns tell, and without conditions the part's own lists.
	for _, col := range cols {
		if n.all {
			in.values(col, c.add)
		} else if s := selected(); !s.rows[trace.SpanLevel].Empty() {
			d := s.distinct(col)
			d.each(d.upTo, c.add)
		}
		if c.full {
			break
		}
	}
	return nil
}

// noService collects "" for resources without a service name, because a service name always exists.
func noService(in info, selected *selection, c *collector) {
	for resource := range selected.rows[trace.ResourceLevel].Rows {
		if _, given := in.v.ResourceAttrs.Value(resource, "service.name"); !given {
			c.add(TagValue{valueTypes[eval.String], ""})
			return
		}
	}
}

// slowValues finds the values by package eval.
func (n *narrowed) slowValues(part int, f syntax.Field, c *collector) error {
	run, err := n.reader(f, part)
	if err != nil {
		return err
	}
	rows, err := run.Rows(part)
	if err != nil {
		return err
	}
	return run.Values(part, rows, func(v eval.Value) {
		if !c.full && valueTypes[v.Type] != "" {
			c.add(tagValue(v))
		}
	})
}

func tagValue(v eval.Value) TagValue { return TagValue{valueTypes[v.Type], v.Text()} }

// sorted returns the collected values.
func (c *collector) sorted() []TagValue {
	out := make([]TagValue, 0, len(c.seen))
	for v := range c.seen {
		out = append(out, v)
	}
	slices.SortFunc(out, compareValues)
	return out
}

func compareValues(a, b TagValue) int {
	if c := cmp.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return cmp.Compare(a.Value, b.Value)
}

// TagTexts returns the distinct values of all types that an attribute of this name has on a span, resource or
// instrumentation scope, sorted as text. It serves the first form of the API, which names attributes without a
// scope.
func (e *Engine) TagTexts(ctx context.Context, name string, req TagRequest) ([]string, error) {
	done := Work{Query: req.Query}
	defer e.report(ctx, &done)
	j, end, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if name == "status.code" {
		return []string{"error", "ok", "unset"}, nil
	}
	var fields []syntax.Field
	for _, scope := range append(eval.LegacyScopes(name), syntax.ScopeInstrumentation) {
		fields = append(fields, &syntax.AttrRef{Attr: syntax.Attr{Scope: scope, Name: name}})
	}
	if intrinsic, ok := textIntrinsics[name]; ok {
		if f, err := syntax.ParseField(intrinsic); err == nil {
			fields = append(fields, f)
		}
	}
	room := maxTagBytes
	c := newCollector(req, &room, &j.memory)
	c.untyped = true
	if name == "error" { // whether or not a span has such an attribute
		c.add(TagValue{Value: "true"})
	}
	if err := e.collectValues(j, fields, req, c, &done); err != nil {
		return nil, err
	}
	var out []string
	for _, v := range c.sorted() {
		out = append(out, v.Value)
	}
	done.Results = len(out)
	return out, nil
}
