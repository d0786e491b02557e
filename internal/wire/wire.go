// Package wire writes and reads protobuf's wire format, for code that converts between encodings without
// intermediate objects.
//
// [Builder] appends fields to bytes, and [Reader] iterates over the fields of a message. Neither knows the
// meaning of the numbers. A Reader copies nothing: it returns parts of its input.
package wire

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Number is the number of a field.
type Number = protowire.Number

// The wire types that a Reader distinguishes.
const (
	Varint  = protowire.VarintType
	Fixed64 = protowire.Fixed64Type
	Bytes   = protowire.BytesType
	Fixed32 = protowire.Fixed32Type
)

// Builder appends fields to B. It writes embedded messages in place: Open leaves one byte for the length, and
// Close moves the content when the length needs more. Few messages need a move. This is cheaper than measuring
// every message first.
type Builder struct{ B []byte }

// Mark is the position where an embedded message began.
type Mark int

// Open begins an embedded message. Messages must be closed in reverse order.
func (b *Builder) Open(field Number) Mark {
	b.B = protowire.AppendTag(b.B, field, protowire.BytesType)
	b.B = append(b.B, 0)
	return Mark(len(b.B))
}

// Close ends the embedded message that began at m.
func (b *Builder) Close(m Mark) {
	n := uint64(len(b.B) - int(m))
	if more := protowire.SizeVarint(n) - 1; more > 0 {
		var room [9]byte
		b.B = append(b.B, room[:more]...)
		copy(b.B[int(m)+more:], b.B[m:int(m)+int(n)])
	}
	protowire.AppendVarint(b.B[:m-1], n)
}

// The methods below leave out zero values, as proto3 does. Inside a oneof, where presence counts, use the
// methods that end in Always.

// Varint writes a uint32, uint64, bool or enum.
func (b *Builder) Varint(field Number, v uint64) {
	if v != 0 {
		b.VarintAlways(field, v)
	}
}

// VarintAlways writes a varint even when it is zero.
func (b *Builder) VarintAlways(field Number, v uint64) {
	b.B = protowire.AppendTag(b.B, field, protowire.VarintType)
	b.B = protowire.AppendVarint(b.B, v)
}

// Fixed64 writes a fixed64, sfixed64 or the bits of a double.
func (b *Builder) Fixed64(field Number, v uint64) {
	if v != 0 {
		b.Fixed64Always(field, v)
	}
}

// Fixed64Always writes a fixed64 even when it is zero.
func (b *Builder) Fixed64Always(field Number, v uint64) {
	b.B = protowire.AppendTag(b.B, field, protowire.Fixed64Type)
	b.B = protowire.AppendFixed64(b.B, v)
}

// Fixed32 writes a fixed32.
func (b *Builder) Fixed32(field Number, v uint32) {
	if v != 0 {
		b.B = protowire.AppendTag(b.B, field, protowire.Fixed32Type)
		b.B = protowire.AppendFixed32(b.B, v)
	}
}

// String writes a string. It replaces invalid UTF-8 by U+FFFD, because protobuf requires UTF-8 and the sender's
// protocol may not.
func (b *Builder) String(field Number, v string) {
	if v != "" {
		b.StringAlways(field, v)
	}
}

// StringAlways writes a string even when it is empty.
func (b *Builder) StringAlways(field Number, v string) {
	b.B = protowire.AppendTag(b.B, field, protowire.BytesType)
	b.B = protowire.AppendString(b.B, ValidText(v))
}

// Raw writes a string without checking that it is UTF-8.
func (b *Builder) Raw(field Number, v string) {
	if v != "" {
		b.RawAlways(field, v)
	}
}

// RawAlways is Raw, even for an empty string.
func (b *Builder) RawAlways(field Number, v string) {
	b.B = protowire.AppendTag(b.B, field, protowire.BytesType)
	b.B = protowire.AppendString(b.B, v)
}

// Bytes writes bytes, or an encoded embedded message.
func (b *Builder) Bytes(field Number, v []byte) {
	if len(v) > 0 {
		b.B = protowire.AppendTag(b.B, field, protowire.BytesType)
		b.B = protowire.AppendBytes(b.B, v)
	}
}

// ValidText returns s with U+FFFD for invalid UTF-8.
func ValidText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Borrow returns b as a string without a copy. b must not change while the string is in use.
func Borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
