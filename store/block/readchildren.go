package block

import (
	"context"
	"slices"

	"etude/internal/wire"
	"etude/store/block/layout"
	"etude/trace"
)

// children returns the span of each event or link.
func (p *reading) children(ctx context.Context, of layout.Owner) ([]uint32, error) {
	if of == layout.OfLink && p.b.Meta.Format == VParquet3 {
		links, err := p.links(ctx)
		return links.span, err
	}
	c := p.b.stored(of, layout.FieldDropped)
	if c == nil {
		c = p.b.stored(of, layout.FieldName)
	}
	v, err := p.read(ctx, c, wants{rep: true, def: true})
	if err != nil {
		return nil, err
	}
	rows := uint32(p.skeleton.rows())
	spans := make([]uint32, 0, len(v.index)+len(v.nums))
	next := uint32(0)
	for i, rep := range v.rep {
		def := v.def[i]
		if def >= 3 && rep <= 3 {
			next++
		}
		if def < 4 {
			continue
		}
		if next == 0 || next > rows {
			return nil, p.b.damage(p.number, c, errEntries)
		}
		spans = append(spans, next-1)
	}
	if c != nil && next != rows {
		return nil, p.b.damage(p.number, c, errEntries)
	}
	return spans, nil
}

func (p *reading) readEventSpans(ctx context.Context) (func(*trace.View), error) {
	spans, err := p.children(ctx, layout.OfEvent)
	return func(v *trace.View) { v.EventSpan = spans }, err
}

func (p *reading) readEventNames(ctx context.Context) (func(*trace.View), error) {
	spans, err := p.children(ctx, layout.OfEvent)
	if err != nil {
		return nil, err
	}
	if len(spans) == 0 {
		return func(*trace.View) {}, nil
	}
	codes, err := p.codes(ctx, layout.OfEvent, layout.FieldName, len(spans))
	return func(v *trace.View) { v.EventName = codes }, err
}

// readEventTimes reads the times of events. The file stores each relative to the start of its span.
func (p *reading) readEventTimes(ctx context.Context) (func(*trace.View), error) {
	spans, err := p.children(ctx, layout.OfEvent)
	if err != nil {
		return nil, err
	}
	f := layout.FieldSince
	if p.b.Meta.Format == VParquet3 {
		f = layout.FieldTime
	}
	times, err := p.readNumbers(ctx, layout.OfEvent, f, len(spans))
	if err != nil || f == layout.FieldTime || len(spans) == 0 {
		return func(v *trace.View) { v.EventTime = times }, err
	}
	start, err := p.readNumbers(ctx, layout.OfSpan, layout.FieldStart, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	for i, span := range spans {
		times[i] += start[span] // wraps
	}
	return func(v *trace.View) { v.EventTime = times }, nil
}

// links are the links of a part.
type links struct {
	span    []uint32
	trace   []trace.TraceID
	id      []trace.SpanID
	state   trace.Sparse
	dropped trace.Sparse
	attrs   [][]byte // vParquet3: the encoded message of each link
}

func (p *reading) readLinkSpans(ctx context.Context) (func(*trace.View), error) {
	spans, err := p.children(ctx, layout.OfLink)
	return func(v *trace.View) { v.LinkSpan = spans }, err
}

func (p *reading) readLinkIDs(ctx context.Context) (func(*trace.View), error) {
	l, err := p.links(ctx)
	return func(v *trace.View) { v.LinkTraceID, v.LinkSpanID = l.trace, l.id }, err
}

func (p *reading) readLinkFields(ctx context.Context) (func(*trace.View), error) {
	l, err := p.links(ctx)
	if err != nil {
		return nil, err
	}
	x, err := p.extras(ctx)
	if err != nil {
		return nil, err
	}
	flags := x.flags(layout.ExtraLinkFlags, p.childFirst(l.span))
	return func(v *trace.View) { v.LinkState, v.LinkFlags = l.state, flags }, err
}

// links reads the fields of links other than attributes. Links are rare, so one unit has all their columns.
func (p *reading) links(ctx context.Context) (l links, err error) {
	if p.b.Meta.Format == VParquet3 {
		return p.oldLinks(ctx)
	}
	if l.span, err = p.children(ctx, layout.OfLink); err != nil || len(l.span) == 0 {
		return l, err
	}
	n := len(l.span)
	ids, err := p.readTexts(ctx, layout.OfLink, layout.FieldLinkTrace, n)
	if err != nil {
		return l, err
	}
	l.trace = make([]trace.TraceID, n)
	if ids != nil {
		for i := range l.trace {
			copy(l.trace[i][:], ids.text(i))
		}
	}
	if l.id, err = p.spanIDs(ctx, layout.OfLink, layout.FieldID, n); err != nil {
		return l, err
	}
	if l.state, err = p.sparseTexts(ctx, layout.OfLink, layout.FieldState, n); err != nil {
		return l, err
	}
	l.dropped, err = p.sparseNumbers(ctx, layout.OfLink, layout.FieldDropped, n)
	return l, err
}

// oldLinks reads the links of vParquet3, which stores one encoded list per span.
func (p *reading) oldLinks(ctx context.Context) (l links, err error) {
	v, err := p.readTexts(ctx, layout.OfSpan, layout.FieldLinks, p.skeleton.rows())
	if v == nil || err != nil {
		return l, err
	}
	var stateRows, states, droppedRows, dropped []uint32
	for row := range p.skeleton.rows() {
		list := wire.Reader{Rest: v.text(row)}
		for list.Next() {
			if !list.IsBytes(1) {
				continue
			}
			number := uint32(len(l.span))
			l.span, l.trace, l.id = append(l.span, uint32(row)), append(l.trace, trace.TraceID{}), append(l.id, trace.SpanID{})
			l.attrs = append(l.attrs, list.Data)
			r := wire.Reader{Rest: list.Data}
			for r.Next() {
				switch {
				case r.IsBytes(1):
					copy(l.trace[number][:], r.Data)
				case r.IsBytes(2):
					copy(l.id[number][:], r.Data)
				case r.IsBytes(3) && len(r.Data) > 0:
					stateRows, states = append(stateRows, number), append(states, p.dict.Add(r.Data))
				case r.IsVarint(5) && uint32(r.Value) != 0:
					droppedRows, dropped = append(droppedRows, number), append(dropped, uint32(r.Value))
				}
			}
		}
	}
	l.state, l.dropped = trace.NewSparse(slices.Clip(stateRows), slices.Clip(states)), trace.NewSparse(droppedRows, dropped)
	return l, nil
}

// oldLinkAttrs reads the attributes of vParquet3's links.
func (p *reading) oldLinkAttrs(ctx context.Context, keys map[string]bool) (*attrList, error) {
	l, err := p.oldLinks(ctx)
	if err != nil {
		return nil, err
	}
	r := &attrReader{p: p, list: &attrList{}, known: map[string]uint32{}, keys: keys}
	for _, link := range l.attrs {
		c := wire.Reader{Rest: link}
		for c.Next() {
			if c.IsBytes(4) {
				if err := r.addKeyValue(c.Data); err != nil {
					return nil, err
				}
			}
		}
		r.list.ends = append(r.list.ends, uint32(len(r.list.attrs)))
	}
	return r.list, nil
}
