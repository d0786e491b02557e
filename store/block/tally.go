package block

import (
	"context"

	"etude/trace"
)

// tally has the scopes of a part and how many spans each has: a few kilobytes, so that those of hundreds of parts stay in
// the cache where their skeletons do not.
type tally struct {
	view  *trace.View
	spans []uint32
}

// tallyBytes estimates the memory of a tally besides its columns and texts.
const tallyBytes = 4 << 10

// tally is [trace.Tallier.Tally]. Only a frame tells, since the file repeats scopes in every trace.
func (p *part) tally(ctx context.Context) (v *trace.View, spans []uint32, err error) {
	if t := p.b.cache.tally(p); t != nil {
		return t.view, t.spans, nil
	}
	if p.b.sidecar == nil || p.facts.FrameLength == 0 {
		return nil, nil, nil
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	defer p.recoveredFrom(&err)
	t := p.readTally()
	if t == nil {
		return nil, nil, nil
	}
	p.b.cache.putTally(p, t)
	return t.view, t.spans, nil
}

// readTally reads a tally from the sidecar; nil when that is damaged.
func (p *part) readTally() *tally {
	dict := trace.NewDict()
	s, spans, err := p.facts.ReadTally(p.b.sidecar, dict)
	if err != nil {
		return nil
	}
	rows := make([]uint32, len(spans))
	for i := range rows {
		rows[i] = uint32(i)
	}
	a := trace.Assembly{
		ID: trace.NewID(), Strings: *dict, TraceIDs: make([]trace.TraceID, 1), First: []uint32{0, uint32(len(rows))},
		Trace: make([]uint32, len(rows)), Scope: rows, ScopeResource: s.ScopeResource, Resources: len(s.ResourceDropped),
	}
	v := a.View()
	v.ScopeName, v.ScopeVersion, v.ScopeSchemaURL = s.ScopeName, s.ScopeVersion, s.ScopeSchema
	v.SetAttrs(trace.ResourceLevel, s.Resource)
	v.SetAttrs(trace.ScopeLevel, s.ScopeAttrs)
	return &tally{v, spans}
}

// tally returns the tally of a part, or nil.
func (c *Cache) tally(p *part) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.tallied == nil {
		c.stats.Misses++
		return nil
	}
	c.stats.Hits++
	c.use(p.tallied)
	return p.tallied.tally
}

// putTally adds a tally, unless another goroutine has.
func (c *Cache) putTally(p *part, t *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.tallied != nil {
		return
	}
	u := &unit{tally: t, bytes: t.view.ColumnBytes() + t.view.Strings.Bytes() + 4*len(t.spans) + tallyBytes}
	u.of, u.as = &reading{part: p}, unitName{kind: oneTally}
	p.tallied = u
	c.probation.push(u)
	c.shrink()
}
