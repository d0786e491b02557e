package sidecar

import (
	"etude/store/block/layout"
	"etude/trace"
)

// Builder makes the facts of a row group whose spans lie in some Views.
type Builder struct {
	views []*trace.View
	in    [][]bool // by view and row; nil: no row of the view
	frame *frameBuilder
}

// NewBuilder returns a Builder. The Views have every column.
func NewBuilder(views []*trace.View) *Builder {
	return &Builder{views: views, in: make([][]bool, len(views)), frame: newFrameBuilder(views)}
}

// Span adds the next span of a trace: a row of one of the Views.
func (b *Builder) Span(view int, row uint32) {
	if b.in[view] == nil {
		b.in[view] = make([]bool, b.views[view].Spans())
	}
	b.in[view][row] = true
	b.frame.span(view, row)
}

// EndTrace ends a trace.
func (b *Builder) EndTrace() { b.frame.endTrace() }

// Facts returns what a sidecar says of the row group.
func (b *Builder) Facts(info layout.PartInfo) (Facts, error) {
	s := newSummary()
	for i, rows := range b.in {
		if rows != nil {
			s.add(b.views[i], rows)
		}
	}
	facts, err := s.part(info)
	if err == nil {
		facts.frame = b.frame.frame()
	}
	return facts, err
}
