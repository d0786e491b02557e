package trace

// Level is one of the five kinds of row that have attributes.
type Level uint8

// The levels, from the rows of a View outwards and then down: a span belongs to a
// scope, a scope to a resource; events and links belong to a span.
const (
	SpanLevel Level = iota
	ResourceLevel
	ScopeLevel
	EventLevel
	LinkLevel
	Levels = iota // how many there are
)

var levelNames = [Levels]string{"span", "resource", "scope", "event", "link"}

func (l Level) String() string { return levelNames[l] }

// Attrs returns the attributes of a level.
func (v *View) Attrs(l Level) *Attrs {
	return [Levels]*Attrs{&v.SpanAttrs, &v.ResourceAttrs, &v.ScopeAttrs, &v.EventAttrs, &v.LinkAttrs}[l]
}

// Count returns how many rows a level has.
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
