package trace

import (
	"context"
	"errors"
)

// PartID is the identity of a part. It survives a restart: the same id means the same spans in the same order,
// for a growing part at least the earlier ones.
type PartID struct {
	Of     [16]byte // a block's UUID, or an id that a store assigned to a segment of its log
	Number uint32   // a row group of the block
}

// Part describes a part of a [Snapshot] without opening it. A part has all spans of a trace in its block. Each
// part of etude has at most about MaxRows spans; a block of another program may have larger parts.
type Part struct {
	ID    PartID
	Spans int
	// MinStart and MaxEnd limit the times of its spans, FirstArrival and LastArrival their arrivals, in unix
	// nanoseconds; see [View.Times] and [View.Arrivals].
	MinStart, MaxEnd          uint64
	FirstArrival, LastArrival int64
	// Resident reports that the part is in memory with all columns. Opening it costs neither time nor memory,
	// and the Need may be nil.
	Resident bool
}

// Condition is a condition that at least one span of a trace must meet for a query to match the trace. It is
// used to rule out parts, so it may be weaker than the query, but never stronger.
type Condition struct {
	Level Level
	Key   string  // of an attribute; "" for a column
	Of    Columns // Names, Statuses, Kinds, Times (the duration) or ScopeNames; 0 for an attribute
	// The value must be one of Texts, or within [Min, Max] for a duration in nanoseconds, or for a status or a
	// kind with the numbers of [View]. With neither, any value meets it. Texts have whole numbers and bools in
	// strconv's format, and other numbers in every format of strconv.FormatFloat with the fewest digits. An
	// array meets the condition when one of its elements does. A value of another type than the query's may
	// also meet it. The numbers of an attribute must be within [Least, Most] if it is Bounded, those in arrays as well.
	Texts       []string
	Bounded     bool
	Min, Max    int64
	Least, Most float64
}

// Snapshot is the data of a query: the spans that existed when it was taken, in parts. It is safe for
// concurrent use until Close.
type Snapshot interface {
	// Parts returns the parts sorted by arrival. Every View of a part has the same rows of each level and the
	// same traces, with the same numbers; codes of texts may differ. The slice must not be changed.
	Parts() []Part
	// Excludes reports that a part has no span that meets the condition. False means unknown. It reads no file.
	Excludes(part int, c Condition) bool
	// Open returns a View of a part that has at least the declared columns. The View remains valid after Close.
	Open(ctx context.Context, part int, need *Need) (*View, error)
	// Find returns the parts that may have spans of a trace, ascending. It may return a part without the trace,
	// but never omits a part with it.
	Find(ctx context.Context, id TraceID) ([]int, error)
	// Close closes the files.
	Close()
}

// TraceOpener is a Snapshot that can read one trace of a part without the others.
type TraceOpener interface {
	// OpenTrace returns a View with all rows of one trace of a part; numbers may differ from those of Open's
	// Views. It returns nil when the part does not have the trace.
	OpenTrace(ctx context.Context, part int, id TraceID, need *Need) (*View, error)
}

// OpenTrace reads one trace of a part of a Snapshot. The View may also have other traces, or lack this one. nil
// means that the part does not have it.
func OpenTrace(ctx context.Context, s Snapshot, part int, id TraceID, need *Need) (*View, error) {
	if o, ok := s.(TraceOpener); ok {
		return o.OpenTrace(ctx, part, id, need)
	}
	return s.Open(ctx, part, need)
}

// Holder is a Snapshot that can be asked about one part.
type Holder interface {
	// Holds reports whether a part may hold spans of a trace, as [Snapshot.Find] does.
	Holds(part int, id TraceID) bool
}

// Holds asks a Snapshot whether a part may hold spans of a trace.
func Holds(s Snapshot, part int, id TraceID) bool {
	h, ok := s.(Holder)
	return !ok || h.Holds(part, id)
}

// Pager is a Snapshot that can read some parts page by page. A page has complete traces with consecutive
// numbers.
type Pager interface {
	// Pages returns the number of the first trace of each page of a part and, after them, the number of traces.
	// It returns nil when the part can only be read as a whole.
	Pages(ctx context.Context, part int) ([]uint32, error)
	// Seek reports for each page whether it may have a span that meets the condition, or returns nil when this
	// is unknown. It reads less than Open with the condition's columns.
	Seek(ctx context.Context, part int, c Condition) (pages []bool, err error)
	// OpenPage returns a View with the traces of a page, in their order, numbered from 0. The error is
	// [ErrUnpaged] when the part can only be read as a whole.
	OpenPage(ctx context.Context, part, page int, need *Need) (*View, error)
}

// ErrUnpaged means that a part can only be read as a whole.
var ErrUnpaged = errors.New("the part has no pages")

// IsAnchor reports whether a [PairExcluder] may know which other conditions the spans of the condition meet: it is for
// span names or services.
func (c Condition) IsAnchor() bool {
	return c.Texts != nil && (c.Of == Names || c.Of == 0 && c.Level == ResourceLevel && c.Key == "service.name")
}

// PairExcluder is a Snapshot that knows what occurs together in one span.
type PairExcluder interface {
	// ExcludesBoth reports that a part has no span that meets both conditions. False means unknown. It reads no file.
	ExcludesBoth(part int, a, b Condition) bool
}

// Tallier is a Snapshot that can count the spans of some parts without reading them.
type Tallier interface {
	// Tally returns a View with one row for each scope of a part, in the order of their first spans, and how many
	// spans each has. The View has the columns and attributes of scopes and resources, and neither ids nor times.
	// It returns nil when only Open's View tells.
	Tally(ctx context.Context, part int) (v *View, spans []uint32, err error)
}

// Source takes snapshots. A snapshot has all spans acknowledged before the call.
type Source interface {
	Snapshot(ctx context.Context) (Snapshot, error)
}
