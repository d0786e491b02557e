package eval

import (
	"etude/trace"
	"etude/traceql/syntax"
)

// cond is the compiled condition of a filter.
type cond interface {
	// narrow removes from m the rows of the View that cannot satisfy the condition. It keeps a row if the
	// result depends on the whole trace.
	narrow(b *Bound, m Mask)
	// holds decides for one span of a whole trace.
	holds(c *ctx) bool
	needs() reads
	// declare adds the columns that narrow reads and, if whole, the columns that holds reads.
	declare(n *trace.Need, whole bool)
}

// always is a constant condition.
type always bool

func (a always) holds(*ctx) bool { return bool(a) }
func (a always) needs() reads    { return reads{} }
func (a always) narrow(_ *Bound, m Mask) {
	if !a {
		clear(m)
	}
}

// allOf is a && b && ... ; cheap conditions come first.
type allOf []cond

func (a allOf) narrow(b *Bound, m Mask) {
	for _, x := range a {
		if m.Empty() || b.ctx.Err() != nil {
			return
		}
		x.narrow(b, m)
	}
}

func (a allOf) holds(c *ctx) bool {
	for _, x := range a {
		if !x.holds(c) {
			return false
		}
	}
	return true
}

func (a allOf) needs() reads { return joined(a) }

// anyOf is a || b || ... .
type anyOf []cond

func (a anyOf) narrow(b *Bound, m Mask) {
	union := NewMask(b.V.Spans())
	for _, x := range a {
		if b.ctx.Err() != nil {
			break
		}
		part := m.clone()
		x.narrow(b, part)
		union.or(part)
	}
	copy(m, union)
}

func (a anyOf) holds(c *ctx) bool {
	for _, x := range a {
		if x.holds(c) {
			return true
		}
	}
	return false
}

func (a anyOf) needs() reads { return joined(a) }

func joined(conds []cond) (r reads) {
	for _, x := range conds {
		r = r.with(x.needs())
	}
	return r
}

// not is !x. The mask of x may be too large, so not can subtract it only if it is exact.
type not struct{ x cond }

func (n not) narrow(b *Bound, m Mask) {
	if n.x.needs().trace {
		return
	}
	out := m.clone()
	n.x.narrow(b, out)
	m.AndNot(out)
}

func (n not) holds(c *ctx) bool { return !n.x.holds(c) }
func (n not) needs() reads      { return n.x.needs() }

// leaf is a condition without && || ! on top. A leaf that reads an event holds if it holds for at least one
// event of the span; the same for links.
type leaf struct{ e expr }

func (l leaf) needs() reads { return l.e.needs() }

func (l leaf) holds(c *ctx) bool {
	n := l.e.needs()
	if n.event && c.event < 0 {
		from, to := c.b.V.Down(trace.EventLevel, c.row)
		return someChild(c.b, from, to, func(i int64) bool { at := *c; at.event = i; return l.holds(&at) })
	}
	if n.link && c.link < 0 {
		from, to := c.b.V.Down(trace.LinkLevel, c.row)
		return someChild(c.b, from, to, func(i int64) bool { at := *c; at.link = i; return l.holds(&at) })
	}
	return l.e.value(c).isTrue()
}

// wantsRoot reports whether e can hold only for spans without a parent. An example is nestedSetParent < 0, with
// which many queries begin: the number is -1 for a root and never negative for a span that names a parent.
func wantsRoot(e expr) bool {
	test, ok := e.(*constTest)
	if !ok || test.x != expr(intrinsic{syntax.NestedSetParent}) || !test.lit.numeric() {
		return false
	}
	limit := test.lit.Number()
	switch test.op {
	case "=", "<=":
		return limit < 0
	case "<":
		return limit <= 0
	}
	return false
}

func someChild(b *Bound, from, to uint32, f func(int64) bool) bool {
	for i := int64(from); i < int64(to); i++ {
		if f(i) {
			return true
		}
		if b.poll.Stop(1) {
			return false
		}
	}
	return false
}

func (l leaf) narrow(b *Bound, m Mask) {
	n := l.e.needs()
	switch {
	case n.trace:
		if wantsRoot(l.e) {
			m.and(fill(b.V.Spans(), func(row int) bool { return b.V.Parent[row].IsZero() }))
		}
	case n.event != n.link:
		l.narrowByChild(b, m)
	default:
		if fast, ok := l.byColumn(b); ok {
			m.and(fast)
			return
		}
		// Slow path: any expression, for the remaining rows.
		c := ctx{b: b, event: -1, link: -1}
		for row := range m.Rows {
			if b.poll.Stop(rowWork) {
				clear(m)
				return
			}
			if c.row = row; !l.holds(&c) {
				m.clear(row)
			}
		}
	}
}

// byColumn returns the rows that satisfy l, if columns decide it.
func (l leaf) byColumn(b *Bound) (m Mask, ok bool) {
	if n := l.e.needs(); n.trace || n.event || n.link {
		return nil, false
	}
	return spanMask(b, l.e)
}

// rowWork is the work of an expression per row, as a number of conditions.
const rowWork = 4

// narrowByChild keeps the spans with an event or link that satisfies l.
func (l leaf) narrowByChild(b *Bound, m Mask) {
	level := trace.EventLevel
	if l.e.needs().link {
		level = trace.LinkLevel
	}
	sameChild{conds: []leaf{l}, level: level}.narrow(b, m)
}

// sameChild is a chain of conditions, joined by &&, that one and the same event
// (or link) must satisfy.
type sameChild struct {
	conds []leaf
	level trace.Level // below spans
}

func (s sameChild) needs() (r reads) {
	for _, l := range s.conds {
		r = r.with(l.needs())
	}
	return r
}

func (s sameChild) narrow(b *Bound, m Mask) {
	hits := fullMask(b.V.Count(s.level))
	for _, l := range s.conds {
		s.narrowChildren(b, l, hits)
	}
	m.and(spansOf(b.V, s.level, hits))
}

// narrowChildren removes the events or links that cannot satisfy one condition.
func (s sameChild) narrowChildren(b *Bound, l leaf, hits Mask) {
	if l.needs().trace || l.needs().event && l.needs().link {
		return
	}
	if fast, ok := childMask(b, l.e, s.level); ok {
		hits.and(fast)
		return
	}
	c, owners := ctx{b: b, event: -1, link: -1}, b.V.Owners(s.level)
	for child := range hits.Rows {
		if b.poll.Stop(rowWork) {
			clear(hits)
			return
		}
		c.row = owners[child]
		c.single(s.level, int64(child))
		if !l.e.value(&c).isTrue() {
			hits.clear(child)
		}
	}
}

// single returns the context for one event or link.
func (c *ctx) single(l trace.Level, child int64) {
	if l == trace.LinkLevel {
		c.link = child
	} else {
		c.event = child
	}
}

func (s sameChild) holds(c *ctx) bool {
	from, to := c.b.V.Down(s.level, c.row)
	return someChild(c.b, from, to, func(child int64) bool {
		at := *c
		at.single(s.level, child)
		for _, l := range s.conds {
			if !l.holds(&at) {
				return false
			}
		}
		return true
	})
}
