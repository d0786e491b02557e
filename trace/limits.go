package trace

// Limits limit the data that one sender can put into a Table. The excess is dropped and counted, as in
// OpenTelemetry's SDKs; the span itself is kept. Zero means no limit.
type Limits struct {
	// Attributes of one span, resource, scope, event or link.
	Attributes int
	// AttributeBytes of one value or key. Package otlp cuts a longer one.
	AttributeBytes int
	// Events and Links of one span.
	Events, Links int
	// Columns of one level with their own arrays. Values of further keys share arrays; see [Attrs].
	Columns int
}

// DefaultLimits returns the limits of [NewTable].
func DefaultLimits() Limits {
	return Limits{Attributes: 1024, AttributeBytes: 64 << 10, Events: 4096, Links: 4096, Columns: 2048}
}

// Losses counts the parts that were dropped or cut because of Limits.
type Losses struct {
	Attributes, Events, Links int64 // dropped
	Cut                       int64 // values or keys that were cut
	SharedColumns             int64 // columns without their own arrays
}

// Minus returns the losses since an earlier moment.
func (l Losses) Minus(before Losses) Losses {
	return Losses{Attributes: l.Attributes - before.Attributes, Events: l.Events - before.Events, Links: l.Links - before.Links,
		Cut: l.Cut - before.Cut, SharedColumns: l.SharedColumns - before.SharedColumns}
}

// Limit sets the limits of a Table, before its first row.
func (t *Table) Limit(l Limits) {
	t.limits = l
	for _, w := range t.writers() {
		w.limit(&t.limits)
	}
}

// Limits returns the limits of the Table.
func (t *Table) Limits() *Limits { return &t.limits }

// Losses returns the losses so far.
func (t *Table) Losses() Losses {
	l := t.losses
	for _, a := range t.columns.attrs() {
		l.SharedColumns += int64(len(a.shared.types))
	}
	return l
}

// CountCut records that a value or key was cut.
func (t *Table) CountCut() { t.losses.Cut++ }

// within returns a limit as a number for comparisons.
func within(limit int) int {
	if limit <= 0 {
		return int(^uint(0) >> 1)
	}
	return limit
}
