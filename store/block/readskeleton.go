package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"etude/trace"
)

// skeleton is what every View of a part has: its traces, which rows they have, and
// the scopes and resources.
//
// A file repeats the resource in every trace. A View has equal resources once, as a
// Table does: answers group spans by the number of their resource. So the skeleton
// reads the resources and scopes whole. There are few of them, and nothing that
// belongs to a resource or scope need be read again.
type skeleton struct {
	ids                  []trace.TraceID
	first                []uint32 // row with which each trace begins, and behind them the number of rows
	trace, scope         []uint32
	scopeResource        []uint32
	scopeName            []uint32
	scopeVersion         []uint32
	scopeDropped         []uint32
	scopeSchema          []uint32
	resourceDropped      []uint32
	resourceSchema       []uint32
	resourceExtra        []uint32
	resource, scopeAttrs trace.Attrs
	pages                []int   // traces of each page of the columns, as our writer cuts them
	extra                *extras // nil when there are none, or as long as nobody has asked
	hasExtra             bool    // extra was read
}

func (s *skeleton) rows() int { return len(s.trace) }

// frame is where things lie in the file: one entry for each resource and scope as
// often as the file has it.
type frame struct {
	traces        int
	resourceTrace []uint32 // of each resource the trace
	scopeResource []uint32 // of each scope the resource
	spanScope     []uint32 // of each span the scope
	spanTrace     []uint32
}

// readFrame reads the levels of a column of spans.
func (p *reading) readFrame(ctx context.Context) (*frame, error) {
	c := p.b.stored(ofSpan, fieldStatus)
	v, err := p.read(ctx, c, wants{rep: true, def: true})
	if err != nil {
		return nil, err
	}
	f := &frame{spanScope: make([]uint32, 0, len(v.nums)), spanTrace: make([]uint32, 0, len(v.nums))}
	for i, rep := range v.rep {
		def := v.def[i]
		if rep == 0 {
			f.traces++
		}
		if f.traces == 0 || rep > def {
			return nil, p.b.damage(p.number, c, errLevels)
		}
		if def >= 1 && rep <= 1 {
			f.resourceTrace = append(f.resourceTrace, uint32(f.traces-1))
		}
		if def >= 2 && rep <= 2 {
			f.scopeResource = append(f.scopeResource, uint32(len(f.resourceTrace)-1))
		}
		if def >= 3 {
			f.spanScope = append(f.spanScope, uint32(len(f.scopeResource)-1))
			f.spanTrace = append(f.spanTrace, uint32(f.traces-1))
		}
	}
	if len(f.spanScope) > maxSpans {
		return nil, p.b.damage(p.number, c, fmt.Errorf("a row group of %d spans: at most %d are read", len(f.spanScope), maxSpans))
	}
	if want := p.b.footer.groups[p.number].rows; f.traces != want {
		return nil, p.b.damage(p.number, c, fmt.Errorf("it has %d traces, the footer says %d", f.traces, want))
	}
	return f, nil
}

var errLevels = errors.New("its levels are damaged")

// scopeTrace returns the trace of each scope.
func (f *frame) scopeTrace() []uint32 {
	of := make([]uint32, len(f.scopeResource))
	for i, r := range f.scopeResource {
		of[i] = f.resourceTrace[r]
	}
	return of
}

// count is how many rows of a kind the frame has.
func (f *frame) count(of owner) int {
	switch of {
	case ofTrace:
		return f.traces
	case ofResource:
		return len(f.resourceTrace)
	case ofScope:
		return len(f.scopeResource)
	}
	return len(f.spanScope)
}

// readSkeleton reads the skeleton; the caller holds the part.
func (p *reading) readSkeleton(ctx context.Context) (*skeleton, error) {
	if s, err := p.readSidecarFrame(); err == nil { // Fast path
		s.ids, s.pages, err = p.readTraceIDs(ctx, len(s.first)-1)
		return s, err
	}
	return p.readWholeSkeleton(ctx)
}

var errNoFrame = errors.New("the sidecar has no frame")

// readSidecarFrame reads the frame from the sidecar.
func (p *reading) readSidecarFrame() (*skeleton, error) {
	f := &p.facts
	if f.frameLength == 0 || p.b.sidecar == nil {
		return nil, errNoFrame
	}
	b := make([]byte, f.frameLength)
	if _, err := p.b.sidecar.ReadAt(b, f.frameAt); err != nil {
		return nil, err
	}
	return parseFrame(b, p.dict, f)
}

// readWholeSkeleton reads the skeleton from the file.
func (p *reading) readWholeSkeleton(ctx context.Context) (*skeleton, error) {
	f, err := p.readFrame(ctx)
	if err != nil {
		return nil, err
	}
	s := &skeleton{trace: f.spanTrace}
	if s.ids, s.pages, err = p.readTraceIDs(ctx, f.traces); err != nil {
		return nil, err
	}
	s.first = firstRows(f.spanTrace, f.traces)
	if s.extra, err = p.readExtras(ctx, f.traces); err != nil {
		return nil, err
	}
	s.hasExtra = true
	resources, err := p.joinResources(ctx, f, s)
	if err != nil {
		return nil, err
	}
	scopes, err := p.joinScopes(ctx, f, s, resources)
	if err != nil {
		return nil, err
	}
	s.scope = f.spanScope
	for i, scope := range s.scope {
		s.scope[i] = scopes[scope]
	}
	return s, nil
}

// readTraceIDs reads the ids, which must ascend.
func (p *reading) readTraceIDs(ctx context.Context, traces int) (ids []trace.TraceID, pages []int, err error) {
	c := p.b.stored(ofTrace, fieldID)
	v, err := p.read(ctx, c, wants{})
	if err != nil {
		return nil, nil, err
	}
	if len(v.index) != traces {
		return nil, nil, p.b.damage(p.number, c, fmt.Errorf("%d ids of %d traces", len(v.index), traces))
	}
	ids = make([]trace.TraceID, traces)
	for i, at := range v.index {
		id := v.texts.get(at)
		if len(id) != len(ids[i]) {
			return nil, nil, p.b.damage(p.number, c, fmt.Errorf("an id of %d bytes", len(id)))
		}
		copy(ids[i][:], id)
		if i > 0 && bytes.Compare(ids[i-1][:], ids[i][:]) >= 0 {
			return nil, nil, p.b.damage(p.number, c, fmt.Errorf("the traces are not sorted: %s comes before %s", ids[i-1], ids[i]))
		}
	}
	return ids, v.pages, nil
}

// joinResources gives equal resources one number; it returns the number of each
// resource of the file.
func (p *reading) joinResources(ctx context.Context, f *frame, s *skeleton) ([]uint32, error) {
	all, err := p.readAttrs(ctx, trace.ResourceLevel, firstRows(f.resourceTrace, f.traces), nil, s.extra)
	if err != nil {
		return nil, err
	}
	dropped, err := p.readCounts(ctx, ofResource, f)
	if err != nil {
		return nil, err
	}
	schema, extra := s.extra.resources(p.dict, f)
	j := newJoiner(all)
	for row := range uint32(f.count(ofResource)) {
		if j.isNew(row, at(dropped, row), at(schema, row), at(extra, row)) {
			s.resourceDropped = append(s.resourceDropped, at(dropped, row))
			s.resourceSchema = append(s.resourceSchema, at(schema, row))
			s.resourceExtra = append(s.resourceExtra, at(extra, row))
		}
	}
	s.resource = j.attrs()
	return j.numbers, nil
}

func (p *reading) joinScopes(ctx context.Context, f *frame, s *skeleton, resources []uint32) ([]uint32, error) {
	all, err := p.readAttrs(ctx, trace.ScopeLevel, firstRows(f.scopeTrace(), f.traces), nil, s.extra)
	if err != nil {
		return nil, err
	}
	dropped, err := p.readCounts(ctx, ofScope, f)
	if err != nil {
		return nil, err
	}
	name, err := p.readCodes(ctx, ofScope, fieldName, f)
	if err != nil {
		return nil, err
	}
	version, err := p.readCodes(ctx, ofScope, fieldVersion, f)
	if err != nil {
		return nil, err
	}
	schema := s.extra.scopes(p.dict, f)
	j := newJoiner(all)
	for row := range uint32(f.count(ofScope)) {
		resource := resources[f.scopeResource[row]]
		if j.isNew(row, resource, at(dropped, row), at(schema, row), at(name, row), at(version, row)) {
			s.scopeResource = append(s.scopeResource, resource)
			s.scopeDropped = append(s.scopeDropped, at(dropped, row))
			s.scopeSchema = append(s.scopeSchema, at(schema, row))
			s.scopeName = append(s.scopeName, at(name, row))
			s.scopeVersion = append(s.scopeVersion, at(version, row))
		}
	}
	s.scopeAttrs = j.attrs()
	return j.numbers, nil
}

// at returns a value of a column that may be absent, and is then zero.
func at(values []uint32, row uint32) uint32 {
	if values == nil {
		return 0
	}
	return values[row]
}

// joiner gives equal rows one number.
type joiner struct {
	all     *attrList
	known   map[string]uint32
	numbers []uint32
	key     []byte
	out     *attrSink
}

func newJoiner(all *attrList) *joiner {
	return &joiner{all: all, known: map[string]uint32{}, out: newAttrSink(all.names)}
}

// isNew gives a row its number, and tells whether no row before has it. Rows are
// equal when their attributes are, in their order, and the numbers given beside.
func (j *joiner) isNew(row uint32, beside ...uint32) bool {
	j.key = j.key[:0]
	for _, n := range beside {
		j.key = binary.LittleEndian.AppendUint32(j.key, n)
	}
	attrs := j.all.of(row)
	for _, a := range attrs {
		j.key = binary.LittleEndian.AppendUint32(j.key, a.name)
		j.key = append(j.key, byte(a.typ))
		j.key = binary.LittleEndian.AppendUint64(j.key, a.value)
	}
	number, known := j.known[string(j.key)]
	if !known {
		number = uint32(len(j.known))
		j.known[string(j.key)] = number
		j.out.row(attrs)
	}
	j.numbers = append(j.numbers, number)
	return !known
}

func (j *joiner) attrs() trace.Attrs { return j.out.attrs() }

// bytes is the memory that the skeleton takes, the dictionary aside.
func (s *skeleton) bytes() int {
	n := 16*len(s.ids) + 4*(len(s.first)+len(s.trace)+len(s.scope)+5*len(s.scopeResource)+3*len(s.resourceDropped))
	return n + s.resource.Bytes() + s.scopeAttrs.Bytes() + s.extra.bytes()
}
