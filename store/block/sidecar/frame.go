package sidecar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"etude/store/block/layout"
	"etude/trace"
)

// A frame is a part of the sidecar. It has the resources and scopes of a row group, and the scope of each span.
// The Parquet file has the same facts, but repeats each resource in each trace. Finding the few distinct
// resources there takes longer than all other reads of most queries.
//
// A frame is compressed with zstd and followed by its CRC-32C. Numbers are uvarints; a text is its length and
// its bytes.
//
//	n resources, each: dropped, schema URL, fields kept as sent, attributes
//	n scopes, each: resource, dropped, name, version, schema URL, attributes
//	n traces, each: n runs of {scope, spans}
//
// Attributes are their number, and for each key, type and a text or number.
//
// The builder leaves out a large frame: if resources differ from trace to trace, a reader is as fast with the file.
type frameBuilder struct {
	sources   []*Source
	numbers   [][]uint32 // by source and scope: number+1
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

// newFrameBuilder returns a builder of a frame whose spans lie in some Sources.
func newFrameBuilder(sources []*Source) *frameBuilder {
	b := &frameBuilder{sources: sources, resources: frameTable{known: map[string]uint32{}}, scopes: frameTable{known: map[string]uint32{}}}
	for _, s := range sources {
		b.numbers = append(b.numbers, make([]uint32, s.View.Scopes()))
	}
	return b
}

// run adds the next spans of a trace, which have one scope.
func (b *frameBuilder) run(source int, scope uint32, spans int) {
	number := &b.numbers[source][scope]
	if *number == 0 {
		*number = b.addScope(b.sources[source].View, scope) + 1
	}
	b.spans += spans
	if b.length > 0 && b.scope == *number-1 {
		b.length += uint64(spans)
		return
	}
	b.endRun()
	b.scope, b.length = *number-1, uint64(spans)
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

// isText reports whether values of a type are texts.
func isText(t trace.Type) bool {
	return t == trace.String || t == trace.Bytes || t == trace.Array || t == trace.KVList
}

// maxFrame is the most bytes of a frame per span. The builder leaves out a frame that needs more.
const maxFrame = 8

var zstdWriter = mustZstdWriter()

func mustZstdWriter() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // The options are constant.
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

// maxUnpacked bounds the bytes of a decompressed frame.
const maxUnpacked = 256 << 20

var frameDecoder = mustZstdReader()

func mustZstdReader() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // The options are constant.
	}
	return d
}

var errFrame = errors.New("the frame is damaged")

// frameReader decodes a frame. After an error it returns only zeros.
type frameReader struct {
	b    []byte
	bad  bool
	dict *trace.Dict
}

func (r *frameReader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // Fast path
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads the number of items that follow, each of at least one byte.
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

// attrTable builds Attrs from the rows of a table.
type attrTable struct {
	*trace.AttrBuilder
	columns map[attrColumn]uint32
}

type attrColumn struct {
	key string
	typ trace.Type
}

func newAttrTable() *attrTable {
	return &attrTable{trace.NewAttrBuilder(), map[attrColumn]uint32{}}
}

// attrs reads the attributes of one row.
func (r *frameReader) attrs(t *attrTable) {
	for n := r.count(); n > 0; n-- {
		key := r.text()
		if len(r.b) == 0 || r.b[0] >= byte(trace.Types) {
			r.b, r.bad = nil, true
			return
		}
		name := attrColumn{string(key), trace.Type(r.b[0])}
		r.b = r.b[1:]
		column, ok := t.columns[name]
		if !ok {
			column = t.Column(name.key, name.typ)
			t.columns[name] = column
		}
		var value uint64
		if isText(name.typ) {
			value = uint64(r.code())
		} else {
			value = r.uvarint()
		}
		t.Add(column, uint32(value), value)
	}
	t.EndRow()
}

// soundFrame reports whether the checksum of a frame is right.
func soundFrame(b []byte) bool {
	body := b[:max(0, len(b)-4)]
	return len(b) >= 4 && crc32.Checksum(body, castagnoli) == binary.LittleEndian.Uint32(b[len(body):])
}

// Frame is a decoded frame. Its texts are codes of a dictionary.
type Frame struct {
	First           []uint32 // the first row of each trace, and last the number of rows
	Trace, Scope    []uint32 // of each row
	ScopeResource   []uint32
	ScopeName       []uint32
	ScopeVersion    []uint32
	ScopeDropped    []uint32
	ScopeSchema     []uint32
	ScopeAttrs      trace.Attrs
	ResourceDropped []uint32
	ResourceSchema  []uint32
	ResourceExtra   []uint32 // fields kept as sent
	Resource        trace.Attrs
}

var errNoFrame = errors.New("the sidecar has no frame")

// ReadFrame reads the frame of a row group. It adds the frame's texts to the dictionary.
func (f *Facts) ReadFrame(file io.ReaderAt, d *trace.Dict) (s Frame, err error) {
	err = f.unpack(file, func(b []byte) (err error) {
		s, err = parseFrame(b, d, f)
		return err
	})
	return s, err
}

// ReadTally reads what the frame of a row group says of its scopes and resources, and how many spans each scope has. The
// rest of the Frame is empty.
func (f *Facts) ReadTally(file io.ReaderAt, d *trace.Dict) (s Frame, spans []uint32, err error) {
	err = f.unpack(file, func(b []byte) (err error) {
		s, spans, err = parseTally(b, d, f)
		return err
	})
	return s, spans, err
}

// frameBuffer has the memory in which a frame is read.
type frameBuffer struct{ packed, all []byte }

var frameBuffers = sync.Pool{New: func() any { return new(frameBuffer) }}

// unpack calls use with the bytes of a frame, which are valid until it returns.
func (f *Facts) unpack(file io.ReaderAt, use func([]byte) error) (err error) {
	if f.FrameLength == 0 {
		return errNoFrame
	}
	buffer := frameBuffers.Get().(*frameBuffer)
	defer frameBuffers.Put(buffer)
	b := slices.Grow(buffer.packed[:0], int(f.FrameLength))[:f.FrameLength]
	buffer.packed = b
	if _, err := file.ReadAt(b, f.frameAt); err != nil {
		return err
	}
	if !soundFrame(b) {
		return errFrame
	}
	if buffer.all, err = frameDecoder.DecodeAll(b[:len(b)-4], buffer.all[:0]); err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	return use(buffer.all)
}

// parseFrame reads a frame that is not compressed. It keeps nothing of b.
func parseFrame(b []byte, d *trace.Dict, facts *Facts) (s Frame, err error) {
	r := &frameReader{b: b, dict: d}
	r.tables(&s)
	r.traces(&s, facts)
	if r.bad || len(r.b) > 0 || len(s.Trace) != facts.Spans || len(s.First) != facts.traces+1 {
		return s, errFrame
	}
	return s, nil
}

// parseTally is parseFrame without the rows.
func parseTally(b []byte, d *trace.Dict, facts *Facts) (s Frame, spans []uint32, err error) {
	r := &frameReader{b: b, dict: d}
	r.tables(&s)
	traces := r.count()
	spans = make([]uint32, len(s.ScopeResource))
	all := uint64(0)
	for range traces {
		for runs := r.count(); runs > 0; runs-- {
			scope, length := r.uvarint(), r.uvarint()
			if all += length; scope >= uint64(len(spans)) || length > uint64(facts.Spans) || all > uint64(facts.Spans) {
				return s, nil, errFrame
			}
			spans[scope] += uint32(length)
		}
	}
	if r.bad || len(r.b) > 0 || all != uint64(facts.Spans) || traces != facts.traces || slices.Contains(spans, 0) {
		return s, nil, errFrame
	}
	return s, spans, nil
}

func (r *frameReader) tables(s *Frame) {
	resources, scopes := newAttrTable(), newAttrTable()
	for n := r.count(); n > 0; n-- {
		s.ResourceDropped = append(s.ResourceDropped, uint32(r.uvarint()))
		s.ResourceSchema, s.ResourceExtra = append(s.ResourceSchema, r.code()), append(s.ResourceExtra, r.code())
		r.attrs(resources)
	}
	if !r.bad {
		s.Resource = resources.Attrs()
	}
	for n := r.count(); n > 0; n-- {
		resource := uint32(r.uvarint())
		r.bad = r.bad || int(resource) >= len(s.ResourceDropped)
		s.ScopeResource, s.ScopeDropped = append(s.ScopeResource, resource), append(s.ScopeDropped, uint32(r.uvarint()))
		s.ScopeName, s.ScopeVersion = append(s.ScopeName, r.code()), append(s.ScopeVersion, r.code())
		s.ScopeSchema = append(s.ScopeSchema, r.code())
		r.attrs(scopes)
	}
	if !r.bad {
		s.ScopeAttrs = scopes.Attrs()
	}
}

func (r *frameReader) traces(s *Frame, facts *Facts) {
	n := r.count()
	s.First = make([]uint32, 1, n+1)
	left := min(facts.Spans, layout.MaxSpans)
	s.Trace, s.Scope = make([]uint32, 0, left), make([]uint32, 0, left)
	for number := range uint32(n) {
		for runs := r.count(); runs > 0; runs-- {
			scope, length := r.uvarint(), r.uvarint()
			if scope >= uint64(len(s.ScopeResource)) || length > uint64(left) {
				r.b, r.bad = nil, true
				return
			}
			left -= int(length)
			at := len(s.Trace)
			s.Trace, s.Scope = s.Trace[:at+int(length)], s.Scope[:at+int(length)]
			for i := at; i < len(s.Trace); i++ {
				s.Trace[i], s.Scope[i] = number, uint32(scope)
			}
		}
		s.First = append(s.First, uint32(len(s.Trace)))
	}
}
