package trace

// Level is one of the five kinds of row that have attributes.
type Level uint8

// The levels, from the rows of a View upwards and then down: a span belongs to a scope, and a scope to a
// resource; events and links belong to a span.
const (
	SpanLevel Level = iota
	ResourceLevel
	ScopeLevel
	EventLevel
	LinkLevel
	Levels = iota // number of levels
)

var levelNames = [Levels]string{"span", "resource", "scope", "event", "link"}

func (l Level) String() string { return levelNames[l] }

// Attrs returns the attributes of a level.
func (v *View) Attrs(l Level) *Attrs {
	return [Levels]*Attrs{&v.SpanAttrs, &v.ResourceAttrs, &v.ScopeAttrs, &v.EventAttrs, &v.LinkAttrs}[l]
}

// Count returns the number of rows of a level.
func (v *View) Count(l Level) int {
	switch l {
	case ResourceLevel:
		return v.Resources()
	case ScopeLevel:
		return v.Scopes()
	case EventLevel:
		return len(v.EventSpan)
	case LinkLevel:
		return len(v.LinkSpan)
	}
	return v.Spans()
}

// BelowSpans reports whether a span has any number of rows of the level: events and links. Of each other level,
// a span has exactly one row.
func (l Level) BelowSpans() bool { return l == EventLevel || l == LinkLevel }

// Up returns the row of a span at a level that is not below spans: the span's own row, its scope's or its
// resource's.
func (v *View) Up(l Level, span uint32) uint32 {
	switch l {
	case ScopeLevel:
		return v.Scope[span]
	case ResourceLevel:
		return v.ScopeResource[v.Scope[span]]
	}
	return span
}

// Down returns the rows [from, to) of a span at a level below spans.
func (v *View) Down(l Level, span uint32) (from, to uint32) { return children(v.Owners(l), span) }

// ownerColumns are the columns that Owners returns.
var ownerColumns = [Levels]Columns{EventLevel: EventSpans, LinkLevel: LinkSpans}

// Owners returns the span of each row of a level below spans, in ascending order.
func (v *View) Owners(l Level) []uint32 {
	if v.without&ownerColumns[l] != 0 {
		panic("trace: the spans of a level's rows were not declared")
	}
	if l == LinkLevel {
		return v.LinkSpan
	}
	return v.EventSpan
}
