package query

import (
	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// Only a whole trace shows its root span for certain, and loading a trace costs a lookup in every View. But
// there are few distinct values. So the request loads a trace only if its apparent root would add a new value,
// or if it has no apparent root. If the apparent root is not the real one, the real one is an apparent root in
// its own View, and the request finds it there if that View is within its window.

// severalRoots marks a trace with several spans that may be its root.
const severalRoots = ^uint32(0)

// apparentRoots returns the apparent root of each trace: the row + 1 of its only span without a parent in the
// View, or 0.
func apparentRoots(v *trace.View) []uint32 {
	roots := make([]uint32, len(v.TraceIDs))
	for row, parent := range v.Parent {
		if !parent.IsZero() {
			continue
		}
		if r := &roots[v.Trace[row]]; *r == 0 {
			*r = uint32(row) + 1
		} else {
			*r = severalRoots
		}
	}
	return roots
}

// rootValues collects rootName or rootServiceName of the traces of a View.
func (n *narrowed) rootValues(in info, field string, c *collector) error {
	v := in.v
	codes, text := func(row uint32) uint32 { return v.Name[row] }, func(row uint32) string { return v.Text(v.Name[row]) }
	size := v.Strings.Len()
	if field == syntax.RootService {
		codes, text, size = v.Resource, func(row uint32) string { return eval.Service(v, row) }, v.Resources()
	}
	seen := make([]bool, size)
	roots := in.facts.apparentRoots(in.v)
	var t eval.Trace
	for number := len(roots) - 1; number >= 0 && !c.full; number-- {
		if r := roots[number]; r != 0 && r != severalRoots {
			// Fast path: this trace adds no new value.
			code := codes(r - 1)
			if seen[code] {
				continue
			}
			if value := (TagValue{valueTypes[eval.String], text(r - 1)}); c.has(value) {
				seen[code] = true
				c.add(value)
				continue
			}
		}
		if n.ctx.Err() != nil {
			return nil
		}
		if _, err := n.parts.Load(&t, v.TraceIDs[number]); err != nil {
			return err
		}
		name, service := t.Root()
		if field == syntax.RootService {
			name = service
		}
		c.add(TagValue{valueTypes[eval.String], name})
	}
	return nil
}

// rootsTell reports whether a span without a parent counts as a root: a link may also name a parent.
func rootsTell(v *trace.View) bool {
	return v.LinkAttrs.Find("opentracing.ref_type", trace.String) == nil
}
