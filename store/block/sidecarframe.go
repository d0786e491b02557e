package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"etude/trace"
)

// A frame is the part of the sidecar that says which scope each span of a row group
// has, and what its resources and scopes are. The file has all of this, too, but
// repeats each resource in each trace: to find the few that differ takes longer than
// all else that most queries read.
//
// It is compressed with zstd and followed by its CRC-32C. Numbers are uvarints; a
// text is its length and its bytes.
//
//	n resources, each: dropped, schema URL, fields kept as sent, attributes
//	n scopes, each: resource, dropped, name, version, schema URL, attributes
//	n traces, each: n runs of {scope, spans}
//
// Attributes are their number, and for each key, type and a text or number.
//
// A frame is left out when it would be large: resources that differ from trace to
// trace are as well read from the file.
type frameBuilder struct {
	views     []*trace.View
	numbers   [][]uint32 // by view and scope: number+1
	resources frameTable
	scopes    frameTable
	traces    int
	spans     int
	body      []byte // the traces
	runs      []byte // of the trace being added
	count     uint64
	scope     uint32 // of the run being added
	length    uint64
}

// frameTable has each row once.
type frameTable struct {
	known map[string]uint32
	b     []byte
}

// add returns the number of a row.
func (t *frameTable) add(row []byte) uint32 {
	number, ok := t.known[string(row)]
	if !ok {
		number = uint32(len(t.known))
		t.known[string(row)] = number
		t.b = append(t.b, row...)
	}
	return number
}

// newFrameBuilder returns a builder of a frame whose spans lie in some Views.
func newFrameBuilder(views []*trace.View) *frameBuilder {
	b := &frameBuilder{views: views, resources: frameTable{known: map[string]uint32{}}, scopes: frameTable{known: map[string]uint32{}}}
	for _, v := range views {
		b.numbers = append(b.numbers, make([]uint32, v.Scopes()))
	}
	return b
}

// span adds the next span of a trace.
func (b *frameBuilder) span(view int, row uint32) {
	v := b.views[view]
	number := &b.numbers[view][v.Scope[row]]
	if *number == 0 {
		*number = b.addScope(v, v.Scope[row]) + 1
	}
	b.spans++
	if b.length > 0 && b.scope == *number-1 {
		b.length++
		return
	}
	b.endRun()
	b.scope, b.length = *number-1, 1
}

func (b *frameBuilder) endRun() {
	if b.length > 0 {
		b.runs = binary.AppendUvarint(binary.AppendUvarint(b.runs, uint64(b.scope)), b.length)
		b.count++
		b.length = 0
	}
}

// endTrace ends a trace.
func (b *frameBuilder) endTrace() {
	b.endRun()
	b.body = append(binary.AppendUvarint(b.body, b.count), b.runs...)
	b.runs, b.count = b.runs[:0], 0
	b.traces++
}

func (b *frameBuilder) addScope(v *trace.View, scope uint32) uint32 {
	r := v.ScopeResource[scope]
	row := binary.AppendUvarint(nil, uint64(v.ResourceDropped[r]))
	row = appendText(appendText(row, v.Text(v.ResourceSchemaURL[r])), v.Text(v.ResourceExtra[r]))
	resource := b.resources.add(appendAttrs(row, &v.ResourceAttrs, r))
	row = binary.AppendUvarint(binary.AppendUvarint(row[:0], uint64(resource)), uint64(v.ScopeDropped[scope]))
	row = appendText(appendText(row, v.Text(v.ScopeName[scope])), v.Text(v.ScopeVersion[scope]))
	row = appendText(row, v.Text(v.ScopeSchemaURL[scope]))
	return b.scopes.add(appendAttrs(row, &v.ScopeAttrs, scope))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendAttrs(b []byte, a *trace.Attrs, row uint32) []byte {
	b = binary.AppendUvarint(b, uint64(a.Count(row)))
	for key, value := range a.Of(row) {
		b = append(appendText(b, key), byte(value.Type))
		if isText(value.Type) {
			b = appendText(b, value.Str())
		} else {
			b = binary.AppendUvarint(b, value.Bits())
		}
	}
	return b
}

// isText tells whether values of a type are texts.
func isText(t trace.Type) bool {
	return t == trace.String || t == trace.Bytes || t == trace.Array || t == trace.KVList
}

// maxFrame is how many bytes of a frame a span may cost before it is left out.
const maxFrame = 8

var zstdWriter = mustZstdWriter()

func mustZstdWriter() *zstd.Encoder {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err) // There are no options.
	}
	return e
}

// frame returns the encoded frame, or nil.
func (b *frameBuilder) frame() []byte {
	var all []byte
	for _, table := range []*frameTable{&b.resources, &b.scopes} {
		all = append(binary.AppendUvarint(all, uint64(len(table.known))), table.b...)
	}
	all = append(binary.AppendUvarint(all, uint64(b.traces)), b.body...)
	packed := zstdWriter.EncodeAll(all, nil)
	if len(packed) > 4096+maxFrame/4*b.spans || len(all) > 1<<16+4*maxFrame*b.spans {
		return nil
	}
	return binary.LittleEndian.AppendUint32(packed, crc32.Checksum(packed, castagnoli))
}

var errFrame = errors.New("the frame is damaged")

// frameReader decodes a frame. After an error everything is zero.
type frameReader struct {
	b    []byte
	bad  bool
	dict *trace.Dict
}

func (r *frameReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many things follow, of at least one byte each.
func (r *frameReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return 0
	}
	return int(n)
}

func (r *frameReader) text() []byte {
	n := r.count()
	text := r.b[:n]
	r.b = r.b[n:]
	return text
}

func (r *frameReader) code() uint32 { return r.dict.Add(r.text()) }

// attrs reads the attributes of one row.
func (r *frameReader) attrs(names map[string]uint32, list *attrList) {
	for n := r.count(); n > 0; n-- {
		key := r.text()
		if len(r.b) == 0 || r.b[0] >= byte(trace.Types) {
			r.b, r.bad = nil, true
			return
		}
		a := attr{typ: trace.Type(r.b[0])}
		r.b = r.b[1:]
		if isText(a.typ) {
			a.value = uint64(r.code())
		} else {
			a.value = r.uvarint()
		}
		name, ok := names[string(key)]
		if !ok {
			name = uint32(len(list.names))
			names[string(key)] = name
			list.names = append(list.names, string(key))
		}
		a.name = name
		list.attrs = append(list.attrs, a)
	}
	list.ends = append(list.ends, uint32(len(list.attrs)))
}

// soundFrame tells whether the checksum of a frame is right.
func soundFrame(b []byte) bool {
	body := b[:max(0, len(b)-4)]
	return len(b) >= 4 && crc32.Checksum(body, castagnoli) == binary.LittleEndian.Uint32(b[len(body):])
}

// parseFrame makes a skeleton without trace ids from a frame.
func parseFrame(b []byte, d *trace.Dict, facts *partFacts) (*skeleton, error) {
	if !soundFrame(b) {
		return nil, errFrame
	}
	all, err := zstdReader.DecodeAll(b[:len(b)-4], nil)
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	r := &frameReader{b: all, dict: d}
	s := &skeleton{}
	r.tables(s)
	r.traces(s, facts)
	if r.bad || len(r.b) > 0 || len(s.trace) != facts.Spans || len(s.first) != facts.traces+1 {
		return nil, errFrame
	}
	return s, nil
}

func (r *frameReader) tables(s *skeleton) {
	list, names := &attrList{}, map[string]uint32{}
	for n := r.count(); n > 0; n-- {
		s.resourceDropped = append(s.resourceDropped, uint32(r.uvarint()))
		s.resourceSchema, s.resourceExtra = append(s.resourceSchema, r.code()), append(s.resourceExtra, r.code())
		r.attrs(names, list)
	}
	if !r.bad {
		s.resource = list.allAttrs()
	}
	list, names = &attrList{}, map[string]uint32{}
	for n := r.count(); n > 0; n-- {
		resource := uint32(r.uvarint())
		r.bad = r.bad || int(resource) >= len(s.resourceDropped)
		s.scopeResource, s.scopeDropped = append(s.scopeResource, resource), append(s.scopeDropped, uint32(r.uvarint()))
		s.scopeName, s.scopeVersion = append(s.scopeName, r.code()), append(s.scopeVersion, r.code())
		s.scopeSchema = append(s.scopeSchema, r.code())
		r.attrs(names, list)
	}
	if !r.bad {
		s.scopeAttrs = list.allAttrs()
	}
}

func (r *frameReader) traces(s *skeleton, facts *partFacts) {
	n := r.count()
	s.first = make([]uint32, 1, n+1)
	s.trace, s.scope = make([]uint32, 0, min(facts.Spans, maxSpans)), make([]uint32, 0, min(facts.Spans, maxSpans))
	for number := range uint32(n) {
		for runs := r.count(); runs > 0; runs-- {
			scope, length := r.uvarint(), r.uvarint()
			if scope >= uint64(len(s.scopeResource)) || length > uint64(facts.Spans-len(s.trace)) {
				r.b, r.bad = nil, true
				return
			}
			for range length {
				s.trace, s.scope = append(s.trace, number), append(s.scope, uint32(scope))
			}
		}
		s.first = append(s.first, uint32(len(s.trace)))
	}
}
