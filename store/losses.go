package store

import (
	"sync/atomic"
	"time"

	"etude/trace"
)

// Limits bound what one span can put into a Table; see [trace.Limits].
type Limits = trace.Limits

// DefaultLimits apply if [Options] has none.
func DefaultLimits() Limits { return trace.DefaultLimits() }

// losses counts the parts of spans that the Limits dropped or cut. Only the applier writes.
type losses struct {
	attributes, events, links, cut, columns atomic.Int64

	warned [5]time.Time // when the log had a line about each
}

// warnEvery bounds how often the log has a line about one limit.
const warnEvery = time.Minute

// note counts the losses of one payload, and logs them.
func (s *Store) note(lost trace.Losses) {
	if lost == (trace.Losses{}) { // Fast path
		return
	}
	l, now := &s.lost, time.Now()
	for i, c := range []struct {
		count *atomic.Int64
		n     int64
		what  string
		limit int
		flag  string
	}{
		{&l.attributes, lost.Attributes, "attributes past the limit are dropped", s.o.Limits.Attributes, "--max-span-attributes"},
		{&l.events, lost.Events, "events past the limit are dropped", s.o.Limits.Events, "--max-span-events"},
		{&l.links, lost.Links, "links past the limit are dropped", s.o.Limits.Links, "--max-span-links"},
		{&l.cut, lost.Cut, "attributes with more bytes than the limit are cut", s.o.Limits.AttributeBytes, "--max-attribute-bytes"},
		{&l.columns, lost.SharedColumns, "attribute keys past the limit share columns: queries that name them are slower; does a key contain an id?", s.o.Limits.Columns, "--max-columns"},
	} {
		if c.n == 0 {
			continue
		}
		c.count.Add(c.n)
		if now.Sub(l.warned[i]) >= warnEvery {
			l.warned[i] = now
			s.o.Logger.Warn(c.what, "count", c.n, "limit", c.limit, "flag", c.flag)
		}
	}
}

func (l *losses) counts() trace.Losses {
	return trace.Losses{Attributes: l.attributes.Load(), Events: l.events.Load(), Links: l.links.Load(), Cut: l.cut.Load(), SharedColumns: l.columns.Load()}
}
