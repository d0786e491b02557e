package eval

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"etude/trace"
)

// fewLoads is the number of traces that a query looks up in every resident part before it uses the index. So a
// search for the newest twenty does not wait for an index. With manyParts parts a query uses the index at once.
const (
	fewLoads  = 64
	manyParts = 64
)

// directory returns the index of traces of the resident parts.
func (p *Parts) directory() (*directory, error) {
	if d := p.dir.Load(); d != nil {
		return d, nil
	}
	views := make([]*trace.View, len(p.list))
	for i := range p.list {
		if p.list[i].Resident {
			v, err := p.view(i, ofWhole)
			if err != nil {
				return nil, err
			}
			views[i] = v
		}
	}
	p.dir.CompareAndSwap(nil, p.o.Places.of(views))
	return p.dir.Load(), nil
}

// Load makes t the trace with an id, from all parts. It reports whether the trace has any span.
func (p *Parts) Load(t *Trace, id trace.TraceID) (bool, error) { return t.load(p, id) }

// find appends the places of a trace to dst, older parts first.
func (p *Parts) find(dst []in, id trace.TraceID) ([]in, error) {
	dst, err := p.findResident(dst, id)
	if err != nil || p.resident == len(p.list) {
		return dst, err
	}
	parts, err := p.snap.Find(p.ctx, id)
	switch {
	case err != nil && p.ctx.Err() != nil:
		return dst, context.Cause(p.ctx)
	case err != nil:
		return dst, fmt.Errorf("find the parts of a trace: %w", err)
	}
	for _, part := range parts {
		if p.list[part].Resident {
			continue
		}
		v, err := p.view(part, ofTraces)
		if err != nil {
			return dst, err
		}
		if number, ok := v.FindTrace(id); ok {
			dst = append(dst, in{part, number})
		}
	}
	if p.resident > 0 {
		slices.SortFunc(dst, func(a, b in) int { return cmp.Compare(a.view, b.view) })
	}
	return dst, nil
}

// findResident is find in the resident parts.
func (p *Parts) findResident(dst []in, id trace.TraceID) ([]in, error) {
	if p.resident == 0 {
		return dst, nil
	}
	if loads := p.loads.Add(1); p.resident > 2 && (loads > fewLoads || p.resident > manyParts) {
		d, err := p.directory()
		if err != nil {
			return dst, err
		}
		return d.places(dst, id), nil
	}
	lookup := id.Lookup()
	for i := range p.list {
		if !p.list[i].Resident {
			continue
		}
		v, err := p.view(i, ofWhole)
		if err != nil {
			return dst, err
		}
		if number, ok := lookup.In(v); ok {
			dst = append(dst, in{i, number})
		}
	}
	return dst, nil
}

// shared returns the traces of a part that other parts may have, too; or nil if that is unknown.
func (p *Parts) shared(part int) (Mask, error) {
	if p.resident < len(p.list) {
		return nil, nil
	}
	d, err := p.directory()
	if err != nil {
		return nil, err
	}
	return d.shared(part), nil
}
