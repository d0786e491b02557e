package block

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// thriftReader reads Thrift's compact protocol, in which Parquet writes its footer
// and the headers of pages.
//
// Parquet-go's own decoder makes a list as long as its header says before it reads
// an element, so a damaged byte can ask for gigabytes. And it keeps every field of
// the footer: 800 bytes for a column chunk, of which a reader needs 24. This reader allocates nothing; its caller
// keeps the fields that it needs.
//
// The first error stays in err, and everything read afterwards is zero.
type thriftReader struct {
	b     []byte
	at    int
	depth int
	err   error
}

// Types of the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12

	maxThriftDepth = 32
)

var errThriftEnd = errors.New("thrift: it ends too early")

func (t *thriftReader) fail(err error) {
	if t.err == nil {
		t.err = err
	}
	t.at = len(t.b)
}

func (t *thriftReader) byte() byte {
	if t.at >= len(t.b) {
		t.fail(errThriftEnd)
		return 0
	}
	t.at++
	return t.b[t.at-1]
}

func (t *thriftReader) uvarint() uint64 {
	v, n := binary.Uvarint(t.b[t.at:])
	if n <= 0 {
		t.fail(errThriftEnd)
		return 0
	}
	t.at += n
	return v
}

// int reads an I16, I32 or I64.
func (t *thriftReader) int() int64 {
	v := t.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// binary reads a BINARY without copying it.
func (t *thriftReader) binary() []byte {
	n := t.uvarint()
	if n > uint64(len(t.b)-t.at) {
		t.fail(errThriftEnd)
		return nil
	}
	t.at += int(n)
	return t.b[t.at-int(n) : t.at]
}

// fields calls visit for each field of a struct. Visit reads the value and returns
// true, or returns false, and fields skips it.
func (t *thriftReader) fields(visit func(id int64, kind byte) bool) {
	if t.depth++; t.depth > maxThriftDepth {
		t.fail(errors.New("thrift: nested too deeply"))
		return
	}
	defer func() { t.depth-- }()
	id := int64(0)
	for t.err == nil {
		head := t.byte()
		kind := head & 15
		if kind == 0 {
			return
		}
		if head>>4 != 0 {
			id += int64(head >> 4)
		} else {
			id = t.int()
		}
		if t.err == nil && !visit(id, kind) {
			t.skip(kind)
		}
	}
}

// list calls visit for each element of a LIST; visit must read it.
func (t *thriftReader) list(visit func(kind byte)) {
	head := t.byte()
	n := uint64(head >> 4)
	if n == 15 {
		n = t.uvarint()
	}
	if n > uint64(len(t.b)-t.at) { // An element has at least one byte.
		t.fail(errThriftEnd)
	}
	for ; n > 0 && t.err == nil; n-- {
		visit(head & 15)
	}
}

// skip reads past a value.
func (t *thriftReader) skip(kind byte) {
	switch kind {
	case thriftTrue, thriftFalse: // in the field's header
	case thriftByte:
		t.byte()
	case 4, 5, 6:
		t.uvarint()
	case thriftDouble:
		if t.at += 8; t.at > len(t.b) {
			t.fail(errThriftEnd)
		}
	case thriftBinary:
		t.binary()
	case thriftList, thriftSet:
		t.list(t.skipElement)
	case thriftMap:
		t.skipMap()
	case thriftStruct:
		t.fields(func(int64, byte) bool { return false })
	default:
		t.fail(fmt.Errorf("thrift: unknown type %d", kind))
	}
}

// skipElement is skip within a list, where a bool has a byte.
func (t *thriftReader) skipElement(kind byte) {
	if t.depth++; t.depth > maxThriftDepth {
		t.fail(errors.New("thrift: nested too deeply"))
		return
	}
	defer func() { t.depth-- }()
	if kind == thriftTrue || kind == thriftFalse {
		kind = thriftByte
	}
	t.skip(kind)
}

func (t *thriftReader) skipMap() {
	n := t.uvarint()
	if n == 0 {
		return
	}
	kinds := t.byte()
	for ; n > 0 && t.err == nil; n-- {
		t.skipElement(kinds >> 4)
		t.skipElement(kinds & 15)
	}
}
