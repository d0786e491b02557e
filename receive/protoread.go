package receive

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoReader reads the fields of one protobuf message, one after the other.
type protoReader struct {
	rest []byte
	err  error // the bytes are not protobuf

	number protowire.Number
	wire   protowire.Type
	value  uint64 // of a varint, fixed64 or fixed32
	data   []byte // of what has a length
}

// next reads a field and reports whether there was one. At the end, and at bytes
// that cannot be read (then err is set), it returns false.
func (r *protoReader) next() bool {
	if len(r.rest) == 0 {
		return false
	}
	number, wire, n := protowire.ConsumeTag(r.rest)
	if n < 0 {
		return r.fail(n)
	}
	r.number, r.wire, r.rest = number, wire, r.rest[n:]
	switch wire {
	case protowire.VarintType:
		r.value, n = protowire.ConsumeVarint(r.rest)
	case protowire.BytesType:
		r.data, n = protowire.ConsumeBytes(r.rest)
	case protowire.Fixed64Type:
		r.value, n = protowire.ConsumeFixed64(r.rest)
	default: // no message here has such a field
		n = protowire.ConsumeFieldValue(number, wire, r.rest)
	}
	if n < 0 {
		return r.fail(n)
	}
	r.rest = r.rest[n:]
	return true
}

func (r *protoReader) fail(n int) bool {
	r.rest, r.err = nil, protowire.ParseError(n)
	return false
}

// isBytes and the like say that this is the field with a number and of the type
// that it must have. A known number with another type is passed over.
func (r *protoReader) isBytes(number protowire.Number) bool {
	return r.number == number && r.wire == protowire.BytesType
}

func (r *protoReader) isVarint(number protowire.Number) bool {
	return r.number == number && r.wire == protowire.VarintType
}

func (r *protoReader) isFixed64(number protowire.Number) bool {
	return r.number == number && r.wire == protowire.Fixed64Type
}

func (r *protoReader) text() string { return borrow(r.data) }

// merged is a message field that should stand once. Should it stand more often,
// its occurrences one behind the other are the merged message.
type merged struct {
	data  []byte
	there bool
	own   bool // data is a copy
}

func (m *merged) add(b []byte) {
	switch {
	case !m.there:
		m.data, m.there = b, true // Fast path: it stands once.
	case !m.own:
		m.data, m.own = append(append([]byte(nil), m.data...), b...), true
	default:
		m.data = append(m.data, b...)
	}
}

// bigEndian reads an id of at most 8 bytes.
func bigEndian(b []byte) uint64 {
	var full [8]byte
	copy(full[8-len(b):], b)
	return binary.BigEndian.Uint64(full[:])
}
