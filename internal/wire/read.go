package wire

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// Reader reads the fields of the message in Rest, one after the other:
//
//	r := wire.Reader{Rest: b}
//	for r.Next() {
//		switch {
//		case r.IsBytes(1): ...
//		}
//	}
//	return r.Err
type Reader struct {
	Rest []byte // not read yet
	Err  error  // set when the bytes are not protobuf

	Number Number // of the last field
	Type   protowire.Type
	Value  uint64 // of a varint, fixed64 or fixed32
	Data   []byte // of a field with a length: a string, bytes, a message, a packed list
}

// Next reads a field and reports whether there was one. It returns false at the end, and at invalid bytes, for
// which it sets Err. Data has no spare capacity, so appending to it copies.
func (r *Reader) Next() bool {
	b := r.Rest
	if len(b) == 0 || r.Err != nil {
		return false
	}
	tag := uint64(b[0])
	if tag < 0x80 { // Fast path: numbers up to 15.
		b = b[1:]
	} else {
		var n int
		if tag, n = uvarint(b); n < 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
			return r.fail()
		}
		b = b[n:]
	}
	if tag < 8 {
		return r.fail() // number 0
	}
	r.Number, r.Type = Number(tag>>3), protowire.Type(tag&7)
	switch r.Type {
	case protowire.VarintType:
		v, n := uvarint(b)
		if n < 0 {
			return r.fail()
		}
		r.Value, r.Rest = v, b[n:]
	case protowire.BytesType:
		size, n := uvarint(b)
		if n < 0 || size > uint64(len(b)-n) {
			return r.fail()
		}
		end := n + int(size)
		r.Data, r.Rest = b[n:end:end], b[end:]
	case protowire.Fixed64Type:
		if len(b) < 8 {
			return r.fail()
		}
		r.Value, r.Rest = binary.LittleEndian.Uint64(b), b[8:]
	case protowire.Fixed32Type:
		if len(b) < 4 {
			return r.fail()
		}
		r.Value, r.Rest = uint64(binary.LittleEndian.Uint32(b)), b[4:]
	default: // a group, an old form that only unknown fields can have, or an unknown type
		n := protowire.ConsumeFieldValue(r.Number, r.Type, b)
		if n < 0 {
			return r.fail()
		}
		r.Rest = b[n:]
	}
	return true
}

// uvarint reads a varint and returns its length, or a negative number.
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 { // Fast path: one byte.
		return uint64(b[0]), 1
	}
	if len(b) > 1 && b[1] < 0x80 { // Fast path: two bytes.
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
	}
	return protowire.ConsumeVarint(b)
}

// fail determines, with protowire's own code, why the next field is invalid.
func (r *Reader) fail() bool {
	n := 0
	if number, typ, tag := protowire.ConsumeTag(r.Rest); tag < 0 {
		n = tag
	} else {
		n = protowire.ConsumeFieldValue(number, typ, r.Rest[tag:])
	}
	if r.Err = protowire.ParseError(n); r.Err == nil {
		r.Err = errors.New("invalid field number")
	}
	return false
}

// Offset is the reader's position in the whole message. After an error it is the position of the invalid field.
func (r *Reader) Offset(whole []byte) int { return len(whole) - len(r.Rest) }

// IsBytes reports whether the field has this number and a length. A known number with another type counts as an
// unknown field, as in every implementation of protobuf.
func (r *Reader) IsBytes(number Number) bool {
	return r.Number == number && r.Type == protowire.BytesType
}

// IsVarint reports whether the field has this number and is a varint.
func (r *Reader) IsVarint(number Number) bool {
	return r.Number == number && r.Type == protowire.VarintType
}

// IsFixed64 reports whether the field has this number and is a fixed64, sfixed64 or double.
func (r *Reader) IsFixed64(number Number) bool {
	return r.Number == number && r.Type == protowire.Fixed64Type
}

// IsFixed32 reports whether the field has this number and is a fixed32, sfixed32 or float.
func (r *Reader) IsFixed32(number Number) bool {
	return r.Number == number && r.Type == protowire.Fixed32Type
}

// Text is Data as a borrowed string.
func (r *Reader) Text() string { return Borrow(r.Data) }

// Merged is a message field that should occur once. If it occurs more often, its occurrences, joined in order,
// are the merged message.
type Merged struct {
	Data  []byte
	There bool
	own   bool // Data is a copy
}

// Add adds one occurrence.
func (m *Merged) Add(b []byte) {
	switch {
	case !m.There:
		m.Data, m.There = b, true // Fast path: the first occurrence.
	case !m.own:
		m.Data, m.own = append(append([]byte(nil), m.Data...), b...), true
	default:
		m.Data = append(m.Data, b...)
	}
}
