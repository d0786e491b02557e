package receive

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoBuilder appends protobuf. Embedded messages are written in place: open
// leaves one byte for the length, close moves the content when it needs more.
// Few messages do, and those are moved once, which is cheaper than to
// measure everything beforehand.
type protoBuilder struct{ b []byte }

// mark is where an embedded message began.
type mark int

func (p *protoBuilder) open(field protowire.Number) mark {
	p.b = protowire.AppendTag(p.b, field, protowire.BytesType)
	p.b = append(p.b, 0)
	return mark(len(p.b))
}

func (p *protoBuilder) close(m mark) {
	n := uint64(len(p.b) - int(m))
	if more := protowire.SizeVarint(n) - 1; more > 0 {
		p.b = append(p.b, make([]byte, more)...)
		copy(p.b[int(m)+more:], p.b[m:int(m)+int(n)])
	}
	protowire.AppendVarint(p.b[:m-1], n)
}

// The writers below leave zero values out, as proto3 does. Inside a oneof,
// where presence counts, the builder's callers write the tag themselves.

func (p *protoBuilder) varint(field protowire.Number, v uint64) {
	if v == 0 {
		return
	}
	p.b = protowire.AppendTag(p.b, field, protowire.VarintType)
	p.b = protowire.AppendVarint(p.b, v)
}

func (p *protoBuilder) fixed64(field protowire.Number, v uint64) {
	if v == 0 {
		return
	}
	p.b = protowire.AppendTag(p.b, field, protowire.Fixed64Type)
	p.b = protowire.AppendFixed64(p.b, v)
}

func (p *protoBuilder) string(field protowire.Number, v string) {
	if v == "" {
		return
	}
	p.b = protowire.AppendTag(p.b, field, protowire.BytesType)
	p.b = protowire.AppendString(p.b, validText(v))
}

// validText keeps protobuf's promise that strings are UTF-8, which thrift does
// not make: one odd byte should not cost a whole batch.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func (p *protoBuilder) bytes(field protowire.Number, v []byte) {
	if len(v) == 0 {
		return
	}
	p.b = protowire.AppendTag(p.b, field, protowire.BytesType)
	p.b = protowire.AppendBytes(p.b, v)
}
