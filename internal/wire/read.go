package wire

import "google.golang.org/protobuf/encoding/protowire"

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
	Err  error  // the bytes are not protobuf

	Number Number // of the field read last
	Type   protowire.Type
	Value  uint64 // of a varint, fixed64 or fixed32
	Data   []byte // of what has a length: a string, bytes, a message, a packed list
}

// Next reads a field and reports whether there was one. At the end, and at bytes
// that cannot be read (then Err is set), it returns false.
func (r *Reader) Next() bool {
	if len(r.Rest) == 0 || r.Err != nil {
		return false
	}
	number, typ, n := protowire.ConsumeTag(r.Rest)
	if n < 0 {
		return r.fail(n)
	}
	b := r.Rest[n:]
	r.Number, r.Type = number, typ
	switch typ {
	case protowire.VarintType:
		r.Value, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		r.Data, n = protowire.ConsumeBytes(b)
	case protowire.Fixed64Type:
		r.Value, n = protowire.ConsumeFixed64(b)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(b)
		r.Value = uint64(v)
	default:
		n = protowire.ConsumeFieldValue(number, typ, b)
	}
	if n < 0 {
		return r.fail(n)
	}
	r.Rest = b[n:]
	return true
}

func (r *Reader) fail(n int) bool {
	r.Err = protowire.ParseError(n)
	return false
}

// Offset is where in the whole message the reader stands; after an error, where
// the field begins that cannot be read.
func (r *Reader) Offset(whole []byte) int { return len(whole) - len(r.Rest) }

// IsBytes and the like report that the field has this number and the type that it
// must have. A known number with another type is unknown, as it is to every
// implementation of protobuf.
func (r *Reader) IsBytes(number Number) bool {
	return r.Number == number && r.Type == protowire.BytesType
}

// IsVarint is IsBytes for varints.
func (r *Reader) IsVarint(number Number) bool {
	return r.Number == number && r.Type == protowire.VarintType
}

// IsFixed64 is IsBytes for fixed64, sfixed64 and double.
func (r *Reader) IsFixed64(number Number) bool {
	return r.Number == number && r.Type == protowire.Fixed64Type
}

// IsFixed32 is IsBytes for fixed32, sfixed32 and float.
func (r *Reader) IsFixed32(number Number) bool {
	return r.Number == number && r.Type == protowire.Fixed32Type
}

// Text is Data as a borrowed string.
func (r *Reader) Text() string { return Borrow(r.Data) }

// Merged is a message field that should be there once. Should it be there more
// often, its occurrences one behind the other are the merged message.
type Merged struct {
	Data  []byte
	There bool
	own   bool // Data is a copy
}

// Add takes one occurrence.
func (m *Merged) Add(b []byte) {
	switch {
	case !m.There:
		m.Data, m.There = b, true // Fast path: it is there once.
	case !m.own:
		m.Data, m.own = append(append([]byte(nil), m.Data...), b...), true
	default:
		m.Data = append(m.Data, b...)
	}
}
