package trace

// Columns is a set of columns of a View, except attributes.
type Columns uint32

// The columns, each with the fields of a [View] that it covers. Every View has TraceIDs, Trace, the rows of
// each trace, Scope and ScopeResource without declaration.
const (
	SpanIDs        Columns = 1 << iota // SpanID, HasSpan
	Parents                            // Parent
	Times                              // Start, End
	Names                              // Name
	Kinds                              // Kind
	Statuses                           // Status
	StatusMessages                     // StatusMessage
	TraceStates                        // TraceState
	SpanFlags                          // Flags
	Dropped                            // the counts of items that senders dropped, of every level
	Sizes                              // Size
	ResourceFields                     // ResourceSchemaURL, ResourceExtra
	ScopeNames                         // ScopeName
	ScopeVersions                      // ScopeVersion
	ScopeSchemas                       // ScopeSchemaURL
	EventSpans                         // EventSpan, Events
	EventTimes                         // EventTime
	EventNames                         // EventName
	LinkSpans                          // LinkSpan, Links
	LinkIDs                            // LinkTraceID, LinkSpanID
	LinkFields                         // LinkState, LinkFlags
	TraceTimes                         // TraceStart and TraceEnd, or Start and End in a View without them
	Starts                             // Start, and End if a span has no start: all that View.Began reads
	AllColumns     = 1<<iota - 1
)

// Need declares the columns of a part that a query reads: a projection. The zero Need covers the traces of the
// part and their rows.
type Need struct {
	Columns Columns
	// Keys are the attributes by level: columns of all types of the key.
	Keys [Levels]map[string]bool
	// AllKeys are the levels whose attributes are all read, in their order.
	AllKeys [Levels]bool
	// IDs tells that ids of traces are read. Every View has them but that of a [Tallier].
	IDs bool
}

// OfScopes reports whether the View of a [Tallier] has all that is declared.
func (n *Need) OfScopes() bool {
	for _, l := range [...]Level{SpanLevel, EventLevel, LinkLevel} {
		if n.AllKeys[l] || len(n.Keys[l]) > 0 {
			return false
		}
	}
	return !n.IDs && n.Columns&^(ScopeNames|ScopeVersions|ScopeSchemas) == 0
}

// Everything is the Need of a query that reads whole spans.
func Everything() *Need {
	n := &Need{Columns: AllColumns}
	for l := range n.AllKeys {
		n.AllKeys[l] = true
	}
	return n
}

// Key declares an attribute.
func (n *Need) Key(l Level, key string) {
	if n.Keys[l] == nil {
		n.Keys[l] = map[string]bool{}
	}
	n.Keys[l][key] = true
}

// HasKey reports whether an attribute is declared.
func (n *Need) HasKey(l Level, key string) bool { return n.AllKeys[l] || n.Keys[l][key] }

// Add adds the declarations of another Need.
func (n *Need) Add(other *Need) {
	n.Columns |= other.Columns
	n.IDs = n.IDs || other.IDs
	for l, keys := range other.Keys {
		n.AllKeys[l] = n.AllKeys[l] || other.AllKeys[l]
		for key := range keys {
			n.Key(Level(l), key)
		}
	}
}
