package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"etude/store/block/layout"
	"etude/store/block/sidecar"
	"etude/trace"
)

// skeleton is the common part of all Views of a part: its traces with their rows, and the scopes and resources.
//
// A file repeats the resource in every trace. A View has equal resources once, as a
// Table does: answers group spans by the number of their resource. So the skeleton
// reads the resources and scopes whole. There are few of them, and no column of a resource or scope needs a second
// read.
type skeleton struct {
	sidecar.Frame
	ids      []trace.TraceID
	pages    []int           // traces of each page of the columns, as our writer cuts them
	extra    *extras         // nil if there are none, or before the first use
	hasExtra bool            // extra was read
	lacks    map[string]bool // keys that no trace keeps whole
}

func (s *skeleton) rows() int { return len(s.Trace) }

// frame maps rows of the file: it has an entry for each time the file has a resource or scope.
type frame struct {
	traces        int
	resourceTrace []uint32 // the trace of each resource
	scopeResource []uint32 // the resource of each scope
	spanScope     []uint32 // the scope of each span
	spanTrace     []uint32
}

// readFrame reads the levels of a column of spans.
func (p *reading) readFrame(ctx context.Context) (*frame, error) {
	c := p.b.stored(layout.OfSpan, layout.FieldStatus)
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
	if len(f.spanScope) > layout.MaxSpans {
		return nil, p.b.damage(p.number, c, fmt.Errorf("a row group of %d spans: at most %d are read", len(f.spanScope), layout.MaxSpans))
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

// count returns how many rows of a kind the frame has.
func (f *frame) count(of layout.Owner) int {
	switch of {
	case layout.OfTrace:
		return f.traces
	case layout.OfResource:
		return len(f.resourceTrace)
	case layout.OfScope:
		return len(f.scopeResource)
	}
	return len(f.spanScope)
}

// readSkeleton reads the skeleton; the caller holds the part.
func (p *reading) readSkeleton(ctx context.Context) (*skeleton, error) {
	if frame, err := p.readSidecarFrame(); err == nil { // Fast path
		s := &skeleton{Frame: frame}
		if s.ids, s.pages, err = p.readTraceIDs(ctx, len(s.First)-1); err != nil {
			return nil, err
		}
		return s, nil
	}
	return p.readWholeSkeleton(ctx)
}

// readSidecarFrame reads the frame from the sidecar.
func (p *reading) readSidecarFrame() (frame sidecar.Frame, err error) {
	if p.b.sidecar == nil {
		return frame, errNoSidecar
	}
	return p.facts.ReadFrame(p.b.sidecar, p.dict)
}

var errNoSidecar = errors.New("there is no sidecar")

// readWholeSkeleton reads the skeleton from the file.
func (p *reading) readWholeSkeleton(ctx context.Context) (*skeleton, error) {
	f, err := p.readFrame(ctx)
	if err != nil {
		return nil, err
	}
	s := &skeleton{Frame: sidecar.Frame{Trace: f.spanTrace}}
	if s.ids, s.pages, err = p.readTraceIDs(ctx, f.traces); err != nil {
		return nil, err
	}
	s.First = firstRows(f.spanTrace, f.traces)
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
	s.Scope = f.spanScope
	for i, scope := range s.Scope {
		s.Scope[i] = scopes[scope]
	}
	return s, nil
}

// readTraceIDs reads the ids, which must ascend.
func (p *reading) readTraceIDs(ctx context.Context, traces int) (ids []trace.TraceID, pages []int, err error) {
	c := p.b.stored(layout.OfTrace, layout.FieldID)
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

// joinResources gives equal resources the same number. It returns the number of each resource of the file.
func (p *reading) joinResources(ctx context.Context, f *frame, s *skeleton) ([]uint32, error) {
	all, err := p.readAttrs(ctx, trace.ResourceLevel, firstRows(f.resourceTrace, f.traces), nil, s.extra)
	if err != nil {
		return nil, err
	}
	dropped, err := p.readCounts(ctx, layout.OfResource, f)
	if err != nil {
		return nil, err
	}
	schema, extra := s.extra.resources(p.dict, f)
	j := newJoiner(all)
	for row := range uint32(f.count(layout.OfResource)) {
		if j.isNew(row, at(dropped, row), at(schema, row), at(extra, row)) {
			s.ResourceDropped = append(s.ResourceDropped, at(dropped, row))
			s.ResourceSchema = append(s.ResourceSchema, at(schema, row))
			s.ResourceExtra = append(s.ResourceExtra, at(extra, row))
		}
	}
	s.Resource = j.attrs()
	return j.numbers, nil
}

func (p *reading) joinScopes(ctx context.Context, f *frame, s *skeleton, resources []uint32) ([]uint32, error) {
	all, err := p.readAttrs(ctx, trace.ScopeLevel, firstRows(f.scopeTrace(), f.traces), nil, s.extra)
	if err != nil {
		return nil, err
	}
	dropped, err := p.readCounts(ctx, layout.OfScope, f)
	if err != nil {
		return nil, err
	}
	name, err := p.readCodes(ctx, layout.OfScope, layout.FieldName, f)
	if err != nil {
		return nil, err
	}
	version, err := p.readCodes(ctx, layout.OfScope, layout.FieldVersion, f)
	if err != nil {
		return nil, err
	}
	schema := s.extra.scopes(p.dict, f)
	j := newJoiner(all)
	for row := range uint32(f.count(layout.OfScope)) {
		resource := resources[f.scopeResource[row]]
		if j.isNew(row, resource, at(dropped, row), at(schema, row), at(name, row), at(version, row)) {
			s.ScopeResource = append(s.ScopeResource, resource)
			s.ScopeDropped = append(s.ScopeDropped, at(dropped, row))
			s.ScopeSchema = append(s.ScopeSchema, at(schema, row))
			s.ScopeName = append(s.ScopeName, at(name, row))
			s.ScopeVersion = append(s.ScopeVersion, at(version, row))
		}
	}
	s.ScopeAttrs = j.attrs()
	return j.numbers, nil
}

// at returns a value of a column, or zero if the column is absent.
func at(values []uint32, row uint32) uint32 {
	if values == nil {
		return 0
	}
	return values[row]
}

// joiner gives equal rows the same number.
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

// isNew gives a row its number. It reports whether no previous row has this number. Two rows are equal if they
// have the same attributes in the same order, and the same additional numbers.
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

// bytes returns the memory of the skeleton without the dictionary.
func (s *skeleton) bytes() int {
	n := 16*len(s.ids) + 4*(len(s.First)+len(s.Trace)+len(s.Scope)+5*len(s.ScopeResource)+3*len(s.ResourceDropped))
	return n + s.Resource.Bytes() + s.ScopeAttrs.Bytes() + s.extra.bytes()
}
