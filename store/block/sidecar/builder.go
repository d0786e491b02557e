package sidecar

import (
	"etude/store/block/layout"
	"etude/trace"
)

// Source is a View that has every column, with indexes.
type Source struct {
	View          *trace.View
	attrs         [trace.Levels]*trace.Flat
	Events, Links []uint32 // Events[r] to Events[r+1] are the event rows of span r
}

// NewSource returns the View as a Source.
func NewSource(v *trace.View) *Source {
	s := &Source{View: v, Events: starts(v.EventSpan, v.Spans()), Links: starts(v.LinkSpan, v.Spans())}
	return s
}

// Flat returns the attributes of a level.
func (s *Source) Flat(l trace.Level) *trace.Flat {
	if s.attrs[l] == nil {
		s.attrs[l] = s.View.Attrs(l).Flat()
	}
	return s.attrs[l]
}

// starts returns the first child row of each parent, and last the number of children.
func starts(parents []uint32, n int) []uint32 {
	at := make([]uint32, n+1)
	for _, parent := range parents {
		at[parent+1]++
	}
	for i := range n {
		at[i+1] += at[i]
	}
	return at
}

// Builder makes the facts of row groups whose spans lie in some Sources. The zero
// Builder is ready for Begin.
type Builder struct {
	sources []*Source
	rows    [][]uint64 // by source: the set of its rows
	list    []uint32   // of the rows of one source
	frame   *frameBuilder
	summary summary
}

// Begin begins a row group. A reused Builder keeps its memory.
func (b *Builder) Begin(sources []*Source) {
	b.sources, b.frame = sources, newFrameBuilder(sources)
	for len(b.rows) < len(sources) {
		b.rows = append(b.rows, nil)
	}
	for i, s := range sources {
		b.rows[i] = emptySet(b.rows[i], s.View.Spans())
	}
	b.summary.begin()
}

// Span adds the next span of a trace: a row of one of the Sources.
func (b *Builder) Span(source int, row uint32) {
	isNew(b.rows[source], row)
	b.frame.span(source, row)
}

// EndTrace ends a trace.
func (b *Builder) EndTrace() { b.frame.endTrace() }

// Facts returns the sidecar's facts about the row group and drops the references to the Sources.
func (b *Builder) Facts(info layout.PartInfo) (Facts, error) {
	for i, s := range b.sources {
		b.list = appendSet(b.list[:0], b.rows[i])
		b.summary.add(s, b.list)
	}
	facts, err := b.summary.part(info)
	if err == nil {
		facts.frame = b.frame.frame()
	}
	b.sources, b.frame = nil, nil
	return facts, err
}
