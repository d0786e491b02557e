package block

import (
	"context"
	"fmt"
	"slices"

	"etude/trace"
)

// readUnit reads a unit; the caller holds the part.
func (p *part) readUnit(ctx context.Context, name unitName) (*unit, error) {
	if name.all {
		return p.readAllKeys(ctx, name.level)
	}
	if name.columns == 0 {
		if err := p.readKeys(ctx, name.level, map[string]bool{name.key: true}); err != nil {
			return nil, err
		}
		return p.units[name], nil
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
var unitReaders = map[trace.Columns]func(*part, context.Context) (func(*trace.View), error){
	trace.SpanIDs:        (*part).readSpanIDs,
	trace.Parents:        (*part).readParents,
	trace.Times:          (*part).readTimes,
	trace.Names:          (*part).readNames,
	trace.Kinds:          (*part).readKinds,
	trace.Statuses:       (*part).readStatuses,
	trace.StatusMessages: (*part).readMessages,
	trace.TraceStates:    (*part).readStates,
	trace.SpanFlags:      (*part).readSpanFlags,
	trace.Dropped:        (*part).readDropped,
	trace.Sizes:          (*part).readSizes,
	trace.ResourceFields: (*part).readResourceFields,
	trace.ScopeNames:     (*part).readScopeNames,
	trace.ScopeVersions:  (*part).readScopeVersions,
	trace.ScopeSchemas:   (*part).readScopeSchemas,
	trace.EventSpans:     (*part).readEventSpans,
	trace.EventTimes:     (*part).readEventTimes,
	trace.EventNames:     (*part).readEventNames,
	trace.LinkSpans:      (*part).readLinkSpans,
	trace.LinkIDs:        (*part).readLinkIDs,
	trace.LinkFields:     (*part).readLinkFields,
}

// readAllKeys reads all attributes of a level.
func (p *part) readAllKeys(ctx context.Context, level trace.Level) (*unit, error) {
	list, err := p.attrsOf(ctx, level, nil)
	if err != nil {
		return nil, err
	}
	attrs := list.allAttrs()
	return &unit{put: func(v *trace.View) { v.SetAttrs(level, attrs) }, bytes: attrs.Bytes()}, nil
}

// readKeys reads the attributes of some keys, each to a unit of its own.
func (p *part) readKeys(ctx context.Context, level trace.Level, keys map[string]bool) error {
	list, err := p.attrsOf(ctx, level, keys)
	if err != nil {
		return err
	}
	for key := range keys {
		p.units[unitName{level: level, key: key}] = &unit{}
	}
	for _, c := range list.columns() {
		u := p.units[unitName{level: level, key: c.Key}]
		c.Rows, c.Codes, c.Nums = slices.Clip(c.Rows), slices.Clip(c.Codes), slices.Clip(c.Nums)
		u.columns = append(u.columns, c)
		u.bytes += 128 + 4*len(c.Rows) + 4*len(c.Codes) + 8*len(c.Nums)
	}
	return nil
}

// attrsOf reads attributes of spans, events or links.
func (p *part) attrsOf(ctx context.Context, level trace.Level, keys map[string]bool) (*attrList, error) {
	s := p.skeleton
	if level == trace.SpanLevel {
		return p.readAttrs(ctx, level, s.first, keys, s.extra)
	}
	parents, err := p.children(ctx, ownerOf[level])
	if err != nil {
		return nil, err
	}
	if level == trace.LinkLevel && p.b.Meta.Format == VParquet3 {
		return p.oldLinkAttrs(ctx, keys)
	}
	return p.readAttrs(ctx, level, p.childFirst(parents), keys, s.extra)
}

// childFirst returns the first event or link of each trace.
func (p *part) childFirst(parents []uint32) []uint32 {
	of := make([]uint32, len(parents))
	for i, row := range parents {
		of[i] = p.skeleton.trace[row]
	}
	return firstRows(of, len(p.skeleton.ids))
}

func (p *part) readSpanIDs(ctx context.Context) (func(*trace.View), error) {
	ids, err := p.spanIDs(ctx, ofSpan, fieldID, p.skeleton.rows())
	return func(v *trace.View) { v.SpanID = ids }, err
}

func (p *part) readParents(ctx context.Context) (func(*trace.View), error) {
	ids, err := p.spanIDs(ctx, ofSpan, fieldParent, p.skeleton.rows())
	return func(v *trace.View) { v.Parent = ids }, err
}

// spanIDs reads a column of span ids. An id of another length than eight bytes is
// cut, or filled with zeros.
func (p *part) spanIDs(ctx context.Context, of owner, f field, rows int) ([]trace.SpanID, error) {
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

func (p *part) readTimes(ctx context.Context) (func(*trace.View), error) {
	start, err := p.readNumbers(ctx, ofSpan, fieldStart, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	end, err := p.readNumbers(ctx, ofSpan, fieldDuration, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	for i, s := range start {
		end[i] += s // wraps, as the duration does
	}
	return func(v *trace.View) { v.Start, v.End = start, end }, nil
}

func (p *part) readNames(ctx context.Context) (func(*trace.View), error) {
	codes, err := p.codes(ctx, ofSpan, fieldName, p.skeleton.rows())
	return func(v *trace.View) { v.Name = codes }, err
}

func (p *part) readKinds(ctx context.Context) (func(*trace.View), error) {
	kinds, err := p.enums(ctx, fieldKind)
	return func(v *trace.View) { v.Kind = kinds }, err
}

func (p *part) readStatuses(ctx context.Context) (func(*trace.View), error) {
	statuses, err := p.enums(ctx, fieldStatus)
	return func(v *trace.View) { v.Status = statuses }, err
}

// enums reads a column of enums. Numbers that a byte cannot hold become 255, as
// package otlp has them.
func (p *part) enums(ctx context.Context, f field) ([]uint8, error) {
	numbers, err := p.readNumbers(ctx, ofSpan, f, p.skeleton.rows())
	if err != nil {
		return nil, err
	}
	enums := make([]uint8, len(numbers))
	for i, n := range numbers {
		enums[i] = uint8(min(n, 255))
	}
	return enums, nil
}

// sparseTexts reads a column of texts most of which are empty.
func (p *part) sparseTexts(ctx context.Context, of owner, f field, rows int) (trace.Sparse, error) {
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

// sparseNumbers reads a column of numbers most of which are zero.
func (p *part) sparseNumbers(ctx context.Context, of owner, f field, rows int) (trace.Sparse, error) {
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

func (p *part) readMessages(ctx context.Context) (func(*trace.View), error) {
	s, err := p.sparseTexts(ctx, ofSpan, fieldMessage, p.skeleton.rows())
	return func(v *trace.View) { v.StatusMessage = s }, err
}

func (p *part) readStates(ctx context.Context) (func(*trace.View), error) {
	s, err := p.sparseTexts(ctx, ofSpan, fieldState, p.skeleton.rows())
	return func(v *trace.View) { v.TraceState = s }, err
}

func (p *part) readSpanFlags(context.Context) (func(*trace.View), error) {
	s := p.skeleton.extra.flags(extraSpanFlags, p.skeleton.first)
	return func(v *trace.View) { v.Flags = s }, nil
}

// readDropped reads what senders dropped, of every level.
func (p *part) readDropped(ctx context.Context) (put func(*trace.View), err error) {
	var spans [3]trace.Sparse
	for i, f := range [...]field{fieldDropped, fieldDroppedEvents, fieldDroppedLinks} {
		if spans[i], err = p.sparseNumbers(ctx, ofSpan, f, p.skeleton.rows()); err != nil {
			return nil, err
		}
	}
	events, err := p.children(ctx, ofEvent)
	if err != nil {
		return nil, err
	}
	event, err := p.sparseNumbers(ctx, ofEvent, fieldDropped, len(events))
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
		v.ResourceDropped, v.ScopeDropped = s.resourceDropped, s.scopeDropped
	}, nil
}

// readSizes makes zeros: a block does not know how long a span was as a message.
func (p *part) readSizes(context.Context) (func(*trace.View), error) {
	sizes := make([]uint32, p.skeleton.rows())
	return func(v *trace.View) { v.Size = sizes }, nil
}

func (p *part) readResourceFields(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ResourceSchemaURL, v.ResourceExtra = s.resourceSchema, s.resourceExtra }, nil
}

func (p *part) readScopeNames(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ScopeName = s.scopeName }, nil
}

func (p *part) readScopeVersions(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ScopeVersion = s.scopeVersion }, nil
}

func (p *part) readScopeSchemas(context.Context) (func(*trace.View), error) {
	s := p.skeleton
	return func(v *trace.View) { v.ScopeSchemaURL = s.scopeSchema }, nil
}
