package block

import (
	"context"
	"fmt"
	"slices"

	"etude/store/block/layout"
	"etude/trace"
)

// readUnit reads a unit of columns or of all attributes of a level.
func (p *reading) readUnit(ctx context.Context, name unitName) (*unit, error) {
	if name.kind == allKeys {
		return p.readAllKeys(ctx, name.level)
	}
	read, ok := unitReaders[name.columns]
	if !ok {
		return nil, fmt.Errorf("read block %s: no column has the number %d", p.b.Meta.ID, name.columns)
	}
	put, err := read(p, ctx)
	if err != nil {
		return nil, err
	}
	v := (&trace.Assembly{}).View()
	put(v)
	return &unit{put: put, bytes: v.ColumnBytes()}, nil
}

// unitReaders read the columns that are not attributes.
var unitReaders = map[trace.Columns]func(*reading, context.Context) (func(*trace.View), error){
	trace.SpanIDs:        (*reading).readSpanIDs,
	trace.Parents:        (*reading).readParents,
	trace.Times:          (*reading).readTimes,
	trace.Starts:         (*reading).readStarts,
	trace.Names:          (*reading).readNames,
	trace.Kinds:          (*reading).readKinds,
	trace.Statuses:       (*reading).readStatuses,
	trace.StatusMessages: (*reading).readMessages,
	trace.TraceStates:    (*reading).readStates,
	trace.SpanFlags:      (*reading).readSpanFlags,
	trace.Dropped:        (*reading).readDropped,
	trace.Sizes:          (*reading).readSizes,
	trace.ResourceFields: (*reading).readResourceFields,
	trace.ScopeNames:     (*reading).readScopeNames,
	trace.ScopeVersions:  (*reading).readScopeVersions,
	trace.ScopeSchemas:   (*reading).readScopeSchemas,
	trace.EventSpans:     (*reading).readEventSpans,
	trace.EventTimes:     (*reading).readEventTimes,
	trace.EventNames:     (*reading).readEventNames,
	trace.LinkSpans:      (*reading).readLinkSpans,
	trace.LinkIDs:        (*reading).readLinkIDs,
	trace.LinkFields:     (*reading).readLinkFields,
	trace.TraceTimes:     (*reading).readTraceTimes,
}

// readAllKeys reads all attributes of a level.
func (p *reading) readAllKeys(ctx context.Context, level trace.Level) (*unit, error) {
	list, err := p.attrsOf(ctx, level, nil)
	if err != nil {
		return nil, err
	}
	attrs := list.allAttrs()
	return &unit{put: func(v *trace.View) { v.SetAttrs(level, attrs) }, bytes: attrs.Bytes()}, nil
}

// readKeys reads the attributes of some keys into one unit per key.
func (p *reading) readKeys(ctx context.Context, level trace.Level, keys map[string]bool) (map[string]*unit, error) {
	list, err := p.attrsOf(ctx, level, keys)
	if err != nil {
		return nil, err
	}
	units := map[string]*unit{}
	for key := range keys {
		units[key] = &unit{}
	}
	for _, c := range list.columns() {
		u := units[c.Key]
		c.Rows, c.Codes, c.Nums = slices.Clip(c.Rows), slices.Clip(c.Codes), slices.Clip(c.Nums)
		u.columns = append(u.columns, c)
		u.bytes += 128 + 4*len(c.Rows) + 4*len(c.Codes) + 8*len(c.Nums)
	}
	return units, nil
}

// attrsOf reads attributes of spans, events or links.
func (p *reading) attrsOf(ctx context.Context, level trace.Level, keys map[string]bool) (*attrList, error) {
	x, err := p.extrasOf(ctx, keys)
	if err != nil {
		return nil, err
	}
	if level == trace.SpanLevel {
		return p.readAttrs(ctx, level, p.skeleton.First, keys, x)
	}
	parents, err := p.children(ctx, layout.OwnerOf[level])
	if err != nil {
		return nil, err
	}
	if level == trace.LinkLevel && p.b.Meta.Format == VParquet3 {
		return p.oldLinkAttrs(ctx, keys)
	}
	return p.readAttrs(ctx, level, p.childFirst(parents), keys, x)
}

// childFirst returns the first event or link of each trace.
func (p *reading) childFirst(parents []uint32) []uint32 {
	of := make([]uint32, len(parents))
	for i, row := range parents {
		of[i] = p.skeleton.Trace[row]
	}
	return firstRows(of, len(p.skeleton.ids))
}

func (p *reading) readSpanIDs(ctx context.Context) (func(*trace.View), error) {
	ids, err := p.spanIDs(ctx, layout.OfSpan, layout.FieldID, p.skeleton.rows())
	return func(v *trace.View) { v.SpanID = ids }, err
}

func (p *reading) readParents(ctx context.Context) (func(*trace.View), error) {
	ids, err := p.spanIDs(ctx, layout.OfSpan, layout.FieldParent, p.skeleton.rows())
	return func(v *trace.View) { v.Parent = ids }, err
}

// spanIDs reads a column of span ids. It cuts an id longer than eight bytes and fills a shorter one with zeros.
func (p *reading) spanIDs(ctx context.Context, of layout.Owner, f layout.Field, rows int) ([]trace.SpanID, error) {
	v, err := p.readTexts(ctx, of, f, rows)
	if err != nil {
		return nil, err
	}
	ids := make([]trace.SpanID, rows)
	if v != nil {
		for i := range ids {
			copy(ids[i][:], v.text(i))
		}
	}
	return ids, nil
}

func (p *reading) readTimes(ctx context.Context) (func(*trace.View), error) {
	start, err := p.readNumbers(ctx, layout.OfSpan, layout.FieldStart, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	end, err := p.readNumbers(ctx, layout.OfSpan, layout.FieldDuration, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	for i, s := range start {
		end[i] += s // wraps, as the duration does
	}
	return func(v *trace.View) { v.Start, v.End = start, end }, nil
}

// readStarts reads the ends only if a span has no start.
func (p *reading) readStarts(ctx context.Context) (func(*trace.View), error) {
	start, err := p.readNumbers(ctx, layout.OfSpan, layout.FieldStart, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	if slices.Contains(start, 0) {
		return p.readTimes(ctx)
	}
	return func(v *trace.View) { v.Start = start }, nil
}

// readTraceTimes reads when traces began and ended. The file's columns have the times of a View unless
// flagOddTimes is set.
func (p *reading) readTraceTimes(ctx context.Context) (func(*trace.View), error) {
	n := len(p.skeleton.ids)
	start, err := p.readNumbers(ctx, layout.OfTrace, layout.FieldStart, n)
	if err != nil {
		return nil, err
	}
	end, err := p.readNumbers(ctx, layout.OfTrace, layout.FieldEnd, n)
	return func(v *trace.View) { v.TraceStart, v.TraceEnd = start, end }, err
}

func (p *reading) readNames(ctx context.Context) (func(*trace.View), error) {
	codes, err := p.codes(ctx, layout.OfSpan, layout.FieldName, p.skeleton.rows())
	return func(v *trace.View) { v.Name = codes }, err
}

func (p *reading) readKinds(ctx context.Context) (func(*trace.View), error) {
	kinds, err := p.enums(ctx, layout.FieldKind)
	return func(v *trace.View) { v.Kind = kinds }, err
}

func (p *reading) readStatuses(ctx context.Context) (func(*trace.View), error) {
	statuses, err := p.enums(ctx, layout.FieldStatus)
	return func(v *trace.View) { v.Status = statuses }, err
}

// enums reads a column of enums. A number above 255 becomes 255, as in package otlp.
func (p *reading) enums(ctx context.Context, f layout.Field) ([]uint8, error) {
	numbers, err := p.readNumbers(ctx, layout.OfSpan, f, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	enums := make([]uint8, len(numbers))
	for i, n := range numbers {
		enums[i] = uint8(min(n, 255))
	}
	return enums, nil
}

// sparseTexts reads a column of mostly empty texts.
func (p *reading) sparseTexts(ctx context.Context, of layout.Owner, f layout.Field, rows int) (trace.Sparse, error) {
	v, err := p.readTexts(ctx, of, f, rows)
	if v == nil || err != nil {
		return trace.Sparse{}, err
	}
	var at, codes []uint32
	for i := range rows {
		if len(v.text(i)) > 0 {
			at, codes = append(at, uint32(i)), append(codes, v.code(p.dict, i))
		}
	}
	return trace.NewSparse(slices.Clip(at), slices.Clip(codes)), nil
}

// sparseNumbers reads a column of mostly zeros.
func (p *reading) sparseNumbers(ctx context.Context, of layout.Owner, f layout.Field, rows int) (trace.Sparse, error) {
	numbers, err := p.readNumbers(ctx, of, f, rows)
	if err != nil {
		return trace.Sparse{}, err
	}
	var at, values []uint32
	for i, n := range numbers {
		if uint32(n) != 0 {
			at, values = append(at, uint32(i)), append(values, uint32(n))
		}
	}
	return trace.NewSparse(slices.Clip(at), slices.Clip(values)), nil
}

func (p *reading) readMessages(ctx context.Context) (func(*trace.View), error) {
	s, err := p.sparseTexts(ctx, layout.OfSpan, layout.FieldMessage, p.skeleton.rows())
	return func(v *trace.View) { v.StatusMessage = s }, err
}

func (p *reading) readStates(ctx context.Context) (func(*trace.View), error) {
	s, err := p.sparseTexts(ctx, layout.OfSpan, layout.FieldState, p.skeleton.rows())
	return func(v *trace.View) { v.TraceState = s }, err
}

func (p *reading) readSpanFlags(ctx context.Context) (func(*trace.View), error) {
	x, err := p.extras(ctx)
	if err != nil {
		return nil, err
	}
	s := x.flags(layout.ExtraSpanFlags, p.skeleton.First)
	return func(v *trace.View) { v.Flags = s }, nil
}

// readDropped reads the dropped counts of every level.
func (p *reading) readDropped(ctx context.Context) (put func(*trace.View), err error) {
	var spans [3]trace.Sparse
	for i, f := range [...]layout.Field{layout.FieldDropped, layout.FieldDroppedEvents, layout.FieldDroppedLinks} {
		if spans[i], err = p.sparseNumbers(ctx, layout.OfSpan, f, p.skeleton.rows()); err != nil {
			return nil, err
		}
	}
	events, err := p.children(ctx, layout.OfEvent)
	if err != nil {
		return nil, err
	}
	event, err := p.sparseNumbers(ctx, layout.OfEvent, layout.FieldDropped, len(events))
	if err != nil {
		return nil, err
	}
	links, err := p.links(ctx)
	if err != nil {
		return nil, err
	}
	s := p.skeleton
	return func(v *trace.View) {
		v.DroppedAttrs, v.DroppedEvents, v.DroppedLinks = spans[0], spans[1], spans[2]
		v.EventDropped, v.LinkDropped = event, links.dropped
		v.ResourceDropped, v.ScopeDropped = s.ResourceDropped, s.ScopeDropped
	}, nil
}

// readSizes returns zeros: a block does not record the size of a span's OTLP message.
func (p *reading) readSizes(context.Context) (func(*trace.View), error) {
	sizes := make([]uint32, p.skeleton.rows())
	return func(v *trace.View) { v.Size = sizes }, nil
}

func (p *reading) readResourceFields(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ResourceSchemaURL, v.ResourceExtra = s.ResourceSchema, s.ResourceExtra }, nil
}

func (p *reading) readScopeNames(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ScopeName = s.ScopeName }, nil
}

func (p *reading) readScopeVersions(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ScopeVersion = s.ScopeVersion }, nil
}

func (p *reading) readScopeSchemas(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ScopeSchemaURL = s.ScopeSchema }, nil
}
