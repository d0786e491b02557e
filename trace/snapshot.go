package trace

import (
	"context"
	"errors"
)

// PartID is the identity of a part. It survives a restart: the same id means the
// same spans in the same order, of a growing part at least those that it had.
type PartID struct {
	Of     [16]byte // a block's UUID, or an id that a store gave to a segment of its log
	Number uint32   // a row group of the block
}

// Part describes a part of a [Snapshot] without opening it. A part has all spans
// that one block has of a trace. Of our own parts each has about MaxRows spans at
// most; a block that another program wrote may have larger ones.
type Part struct {
	ID    PartID
	Spans int
	// MinStart and MaxEnd bound when its spans began and ended, FirstArrival and
	// LastArrival when they were received, in unix nanoseconds; see [View.Times]
	// and [View.Arrivals].
	MinStart, MaxEnd          uint64
	FirstArrival, LastArrival int64
	// Resident tells that the part is in memory with every column, so that opening
	// it costs neither time nor memory, and the Need may be nil.
	Resident bool
}

// Condition is something that at least one span of a trace must meet for a query
// to want the trace. Parts are ruled out by it, so it may be weaker than what the
// query says, never stronger.
type Condition struct {
	Level Level
	Key   string  // of an attribute; "" for a column
	Of    Columns // Names, Statuses, Kinds, Times (the duration) or ScopeNames; 0 for an attribute
	// The value must be one of Texts, or within [Min, Max] for a duration in
	// nanoseconds, a status or a kind as [View] has them. Neither: some value is there.
	// Texts name a whole number and a bool as strconv writes them, and other numbers in
	// every format of strconv.FormatFloat with the fewest digits. An array meets the
	// condition when one of its elements does. A value of another type than the query
	// wants may meet it.
	Texts    []string
	Bounded  bool
	Min, Max int64
}

// Snapshot is all that a query reads: the spans that were there when it was taken,
// in parts. Any goroutine may use it until Close.
type Snapshot interface {
	// Parts returns the parts, those received first before others. Every View of a
	// part has the same rows of each level and the same traces, under the same
	// numbers; codes of texts may differ. The slice must not be changed.
	Parts() []Part
	// Excludes tells that a part has no span that meets the condition. False tells
	// nothing. It reads no file.
	Excludes(part int, c Condition) bool
	// Open returns a View of a part, in which at least the declared columns are
	// present. The View is good after Close, too.
	Open(ctx context.Context, part int, need *Need) (*View, error)
	// Find returns the parts that may hold spans of a trace, ascending. It may name
	// one that does not; it leaves out none that does.
	Find(ctx context.Context, id TraceID) ([]int, error)
	// Close closes the files.
	Close()
}

// TraceOpener is a Snapshot that reads one trace of a part without the others.
type TraceOpener interface {
	// OpenTrace returns a View that has all rows of one trace of a part, perhaps
	// under other numbers than Views of Open have; nil when the part does not have it.
	OpenTrace(ctx context.Context, part int, id TraceID, need *Need) (*View, error)
}

// OpenTrace asks a Snapshot for one trace of a part. The View may have other traces,
// too, or not this one; nil is a part without it.
func OpenTrace(ctx context.Context, s Snapshot, part int, id TraceID, need *Need) (*View, error) {
	if o, ok := s.(TraceOpener); ok {
		return o.OpenTrace(ctx, part, id, need)
	}
	return s.Open(ctx, part, need)
}

// Pager is a Snapshot of which some parts can be read page by page. A page has some traces whole, those with numbers
// next to each other.
type Pager interface {
	// Pages returns the number of the first trace of each page of a part, and behind them the number of traces; nil
	// when the part can only be read whole.
	Pages(ctx context.Context, part int) ([]uint32, error)
	// Seek tells of each page whether it may have a span that meets the condition; nil when that is not known. It
	// reads less than Open with the columns of the condition does.
	Seek(ctx context.Context, part int, c Condition) (pages []bool, err error)
	// OpenPage returns a View that has the traces of a page, in their order and under numbers from 0 on. The error
	// is [ErrUnpaged] when the part turns out to be one that can only be read whole.
	OpenPage(ctx context.Context, part, page int, need *Need) (*View, error)
}

// ErrUnpaged tells that a part can only be read whole.
var ErrUnpaged = errors.New("the part has no pages")

// Source takes snapshots. Spans acknowledged before the call are in the snapshot.
type Source interface {
	Snapshot(ctx context.Context) (Snapshot, error)
}
