package sidecar

import (
	"slices"

	"github.com/FastFilter/xorfilter"

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

// Builder makes the facts of row groups whose spans lie in some Sources: all spans come first, row group by row group;
// then Facts reads each column of the Sources once, for all row groups. The zero Builder is ready for Begin.
type Builder struct {
	sources []*Source
	of      [][]uint32 // by source and row: the number of its row group + 1; 0: not in any
	frame   *frameBuilder
	groups  []*summary // the first count of them are in use
	count   int
	source  int    // of the span before
	row     uint32 // the same
	scan    scanner
	sort    hashSort
	filter  xorfilter.BinaryFuseBuilder
}

// Begin begins a block. A reused Builder keeps its memory.
func (b *Builder) Begin(sources []*Source) {
	b.sources, b.count, b.frame = sources, 0, newFrameBuilder(sources)
	for len(b.of) < len(sources) {
		b.of = append(b.of, nil)
	}
	for i, s := range sources {
		b.of[i] = zeroed(b.of[i], s.View.Spans())
	}
}

// zeroed returns a slice of n zeros, in the memory of s if there is enough.
func zeroed[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// Span adds the next span of a trace to the row group: a row of one of the Sources.
func (b *Builder) Span(source int, row uint32) {
	b.Run(source, b.sources[source].View.Scope[row], 1)
	b.Row(source, row)
}

// Run adds the next spans of a trace, so many of one scope. Row adds each of them.
func (b *Builder) Run(source int, scope uint32, spans int) {
	b.frame.run(source, scope, spans)
}

// Row adds a span to the row group; see Run.
func (b *Builder) Row(source int, row uint32) {
	b.of[source][row] = uint32(b.count) + 1
	b.source, b.row = source, row
}

// EndTrace ends a trace. Traces ascend by id.
func (b *Builder) EndTrace() {
	if b.count == len(b.groups) {
		b.groups = append(b.groups, &summary{members: hashList{sort: &b.sort}})
	}
	g := b.groups[b.count]
	if b.frame.traces == 0 {
		g.begin()
	}
	b.frame.endTrace()
	v := b.sources[b.source].View
	g.trace(v.TraceIDs[v.Trace[b.row]])
}

// EndGroup ends a row group, which has at least one trace.
func (b *Builder) EndGroup() {
	b.groups[b.count].facts.frame = b.frame.frame()
	b.count++
	b.frame = newFrameBuilder(b.sources)
}

// Facts returns the sidecar's facts about the row groups. Between two columns it calls pause.
func (b *Builder) Facts(infos []layout.PartInfo, pause func()) (all []Facts, err error) {
	for from := 0; from < b.count; from += scanned {
		groups := b.groups[from:min(from+scanned, b.count)]
		for i, s := range b.sources {
			b.scan.source(s, b.of[i], from, groups, pause)
		}
	}
	for i, g := range b.groups[:b.count] {
		facts, err := g.part(infos[i], &b.filter)
		if err != nil {
			return nil, err
		}
		all = append(all, facts)
		pause()
	}
	return all, nil
}

// End drops the references to the Sources.
func (b *Builder) End() { b.sources, b.frame = nil, nil }
