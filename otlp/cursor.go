package otlp

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// cursor reads the fields of one message, one after the other.
type cursor struct {
	rest []byte
	bad  bool // the bytes end within a field, or are not fields at all

	number uint64
	wire   uint8
	value  uint64 // varint, fixed64, fixed32
	data   []byte // length-delimited
}

// next reads a field and reports whether there was one. At the end, and at bytes
// that cannot be read (then bad is set), it returns false.
func (c *cursor) next() bool {
	if len(c.rest) == 0 {
		return false
	}
	tag := uint64(c.rest[0])
	if tag < 0x80 { // Fast path: numbers up to 15.
		c.rest = c.rest[1:]
	} else if tag = c.varint(); c.bad {
		return false
	}
	c.number, c.wire = tag>>3, uint8(tag&7)
	if c.number == 0 || c.number > uint64(protowire.MaxValidNumber) {
		c.bad = true
		return false
	}
	switch c.wire {
	case wireVarint:
		c.value = c.varint()
	case wireBytes:
		c.data = c.take(c.varint())
	case wireFixed64:
		if b := c.take(8); b != nil {
			c.value = binary.LittleEndian.Uint64(b)
		}
	case wireFixed32:
		if b := c.take(4); b != nil {
			c.value = uint64(binary.LittleEndian.Uint32(b))
		}
	case wireGroup:
		c.group()
	default:
		c.bad = true
	}
	return !c.bad
}

func (c *cursor) varint() uint64 {
	if len(c.rest) > 0 && c.rest[0] < 0x80 { // Fast path: one byte.
		v := c.rest[0]
		c.rest = c.rest[1:]
		return uint64(v)
	}
	if len(c.rest) > 1 && c.rest[1] < 0x80 { // Fast path: two bytes.
		v := uint64(c.rest[0]&0x7f) | uint64(c.rest[1])<<7
		c.rest = c.rest[2:]
		return v
	}
	v, n := protowire.ConsumeVarint(c.rest)
	if n < 0 {
		c.bad = true
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.rest)) {
		c.bad = true
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// group skips a group, an old form that only unknown fields can have.
func (c *cursor) group() {
	n := protowire.ConsumeFieldValue(protowire.Number(c.number), protowire.StartGroupType, c.rest)
	if n < 0 {
		c.bad = true
		return
	}
	c.rest = c.rest[n:]
}
