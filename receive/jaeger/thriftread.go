package jaeger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
)

// thriftReader decodes Thrift's binary or compact protocol from bytes in memory (thrift-binary-protocol.md,
// thrift-compact-protocol.md). Upstream's generated code makes an object of every tag. This code allocates
// nothing, borrows texts from the bytes, and accepts a length only when that many bytes are left. It keeps the
// first error: after it, there are no more fields or elements, and every value is zero.
type thriftReader struct {
	rest    []byte
	size    int // number of all bytes
	compact bool
	err     error
}

// Types of values, numbered as in the binary protocol.
const (
	thriftStop   = 0
	thriftBool   = 2
	thriftByte   = 3
	thriftDouble = 4
	thriftI16    = 6
	thriftI32    = 8
	thriftI64    = 10
	thriftString = 11
	thriftStruct = 12
	thriftMap    = 13
	thriftSet    = 14
	thriftList   = 15
	thriftUUID   = 16

	thriftBad = 255
)

// compactTypes maps the compact protocol's numbers to these types. There a bool field has its value as its
// type.
var compactTypes = [16]uint8{
	thriftStop, thriftBool, thriftBool, thriftByte, thriftI16, thriftI32, thriftI64, thriftDouble,
	thriftString, thriftList, thriftSet, thriftMap, thriftStruct, thriftUUID, thriftBad, thriftBad,
}

// maxThriftDepth limits the nesting of unknown fields.
const maxThriftDepth = 64

var (
	errThriftEnd   = errors.New("unexpected end")
	errThriftDepth = errors.New("nested too deeply")
)

func newThriftReader(b []byte, compact bool) *thriftReader {
	return &thriftReader{rest: b, size: len(b), compact: compact}
}

func (r *thriftReader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.size-len(r.rest), err)
	}
	r.rest = nil
}

// thriftField is the head of a field, and of the field before it. Each struct has its own, initially zero.
type thriftField struct {
	id    int16
	typ   uint8
	value bool // of a bool in the compact protocol
}

func (f *thriftField) is(id int16, typ uint8) bool { return f.id == id && f.typ == typ }

// next reads the head of a struct's next field. It returns false at the end of the struct.
func (r *thriftReader) next(f *thriftField) bool {
	b := r.byte()
	if !r.compact {
		if f.typ = b; b != thriftStop {
			f.id = int16(r.fixed(2))
		}
		return r.err == nil && b != thriftStop
	}
	if b == thriftStop || r.err != nil {
		return false
	}
	f.typ, f.value = compactTypes[b&15], b&15 == 1
	if delta := int16(b >> 4); delta != 0 {
		f.id += delta
	} else {
		f.id = int16(r.zigzag())
	}
	return r.err == nil
}

// list reads the head of a list whose elements must have a type, and returns the number of elements.
func (r *thriftReader) list(want uint8) int {
	typ, n := r.listHead()
	if n > 0 && typ != want {
		r.fail(fmt.Errorf("list of type %d, want %d", typ, want))
		return 0
	}
	return n
}

func (r *thriftReader) listHead() (typ uint8, n int) {
	b := r.byte()
	if !r.compact {
		return b, r.length(r.fixed(4), 1)
	}
	size := uint64(b >> 4)
	if size == 15 {
		size = r.varint()
	}
	return r.compactType(b & 15), r.length(size, 1)
}

func (r *thriftReader) mapHead() (key, value uint8, n int) {
	if !r.compact {
		key, value = r.byte(), r.byte()
		return key, value, r.length(r.fixed(4), 2)
	}
	if n = r.length(r.varint(), 2); n == 0 {
		return 0, 0, 0
	}
	b := r.byte()
	return r.compactType(b >> 4), r.compactType(b & 15), n
}

func (r *thriftReader) compactType(nibble byte) uint8 {
	typ := compactTypes[nibble]
	if typ == thriftBad {
		r.fail(fmt.Errorf("unknown type %d", nibble))
	}
	return typ
}

// length checks a number of elements, each of at least each bytes. A negative number on the wire is a huge
// number here.
func (r *thriftReader) length(n uint64, each int) int {
	if n > uint64(len(r.rest)/each) {
		r.fail(errThriftEnd)
		return 0
	}
	return int(n)
}

func (r *thriftReader) text() string { return wire.Borrow(r.binary()) }

func (r *thriftReader) binary() []byte {
	if r.compact {
		return r.consume(r.length(r.varint(), 1))
	}
	return r.consume(r.length(r.fixed(4), 1))
}

func (r *thriftReader) i32() int32 {
	if r.compact {
		return int32(r.zigzag())
	}
	return int32(r.fixed(4))
}

func (r *thriftReader) i64() int64 {
	if r.compact {
		return r.zigzag()
	}
	return int64(r.fixed(8))
}

// double returns the bits of a double. In the compact protocol its bytes are in reverse order.
func (r *thriftReader) double() uint64 {
	if !r.compact {
		return r.fixed(8)
	}
	if b := r.consume(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// bool reads the value of a field; in the compact protocol the field's head has the value.
func (r *thriftReader) bool(f *thriftField) bool {
	if r.compact {
		return f.value
	}
	return r.byte() == 1
}

// skipField skips a field that the translation does not use.
func (r *thriftReader) skipField(f *thriftField) {
	if r.compact && f.typ == thriftBool {
		return
	}
	r.skip(f.typ, maxThriftDepth)
}

func (r *thriftReader) skip(typ uint8, depth int) {
	if depth == 0 {
		r.fail(errThriftDepth)
		return
	}
	switch typ {
	case thriftBool, thriftByte:
		r.consume(1)
	case thriftI16, thriftI32, thriftI64:
		r.skipInt(typ)
	case thriftDouble:
		r.consume(8)
	case thriftUUID:
		r.consume(16)
	case thriftString:
		r.binary()
	case thriftStruct:
		var f thriftField
		for r.next(&f) {
			if !r.compact || f.typ != thriftBool {
				r.skip(f.typ, depth-1)
			}
		}
	case thriftList, thriftSet:
		elem, n := r.listHead()
		for ; n > 0 && r.err == nil; n-- {
			r.skip(elem, depth-1)
		}
	case thriftMap:
		key, value, n := r.mapHead()
		for ; n > 0 && r.err == nil; n-- {
			r.skip(key, depth-1)
			r.skip(value, depth-1)
		}
	default:
		r.fail(fmt.Errorf("unknown type %d", typ))
	}
}

func (r *thriftReader) skipInt(typ uint8) {
	switch {
	case r.compact:
		r.varint()
	case typ == thriftI16:
		r.consume(2)
	case typ == thriftI32:
		r.consume(4)
	default:
		r.consume(8)
	}
}

func (r *thriftReader) byte() uint8 {
	if len(r.rest) == 0 {
		r.fail(errThriftEnd)
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// fixed reads n bytes as a big-endian number. A negative number is sign-extended.
func (r *thriftReader) fixed(n int) uint64 {
	b := r.consume(n)
	if b == nil {
		return 0
	}
	switch n {
	case 2:
		return uint64(int16(binary.BigEndian.Uint16(b)))
	case 4:
		return uint64(int32(binary.BigEndian.Uint32(b)))
	}
	return binary.BigEndian.Uint64(b)
}

func (r *thriftReader) varint() uint64 {
	v, n := protowire.ConsumeVarint(r.rest)
	if n < 0 {
		r.fail(errThriftEnd)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *thriftReader) zigzag() int64 { return protowire.DecodeZigZag(r.varint()) }

func (r *thriftReader) consume(n int) []byte {
	if n > len(r.rest) {
		r.fail(errThriftEnd)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
