package eval

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/trace"
)

// Field numbers of OTLP's AnyValue and ArrayValue (common.proto).
const (
	anyString = 1
	anyBool   = 2
	anyInt    = 3
	anyDouble = 4
	anyArray  = 5
	arrValues = 1
)

// FromAttr returns an attribute value as a value of the language. ok is false for values that the language
// cannot read: bytes, maps, empty values, and arrays that are empty or of mixed types. An array with one
// element becomes that element.
func FromAttr(v trace.Value) (out Value, ok bool) {
	switch v.Type {
	case trace.String:
		return textValue(v.Str()), true
	case trace.Int:
		return Value{Type: Int, Int: v.Int()}, true
	case trace.Double:
		return Value{Type: Float, Float: v.Double()}, true
	case trace.Bool:
		return boolValue(v.Bool()), true
	case trace.Array:
		return arrayValue(decodeArray(v.Str()))
	}
	return Value{}, false
}

func arrayValue(elems []Value) (Value, bool) {
	if len(elems) == 0 {
		return Value{}, false
	}
	for _, e := range elems {
		if e.Type == Nil || e.Type != elems[0].Type {
			return Value{}, false
		}
	}
	if len(elems) == 1 {
		return elems[0], true
	}
	return Value{Type: Array, Elems: elems}, true
}

// decodeArray reads an encoded AnyValue that holds an array. Elements of other
// types than the four scalar ones become Nil.
func decodeArray(encoded string) (elems []Value) {
	eachField([]byte(encoded), func(num protowire.Number, content []byte, _ uint64) {
		if num != anyArray {
			return
		}
		eachField(content, func(num protowire.Number, content []byte, _ uint64) {
			if num == arrValues {
				elems = append(elems, decodeScalar(content))
			}
		})
	})
	return elems
}

func decodeScalar(encoded []byte) (v Value) {
	eachField(encoded, func(num protowire.Number, content []byte, n uint64) {
		switch num {
		case anyString:
			v = textValue(string(content))
		case anyBool:
			v = boolValue(n != 0)
		case anyInt:
			v = Value{Type: Int, Int: int64(n)}
		case anyDouble:
			v = Value{Type: Float, Float: math.Float64frombits(n)}
		default:
			v = Value{}
		}
	})
	return v
}

// eachField calls f for each field of a message: content for a length-delimited one, n for the others. It stops
// at bytes that are not a valid message.
func eachField(b []byte, f func(num protowire.Number, content []byte, n uint64)) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		var content []byte
		var number uint64
		switch typ {
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return
		}
		f(num, content, number)
		b = b[n:]
	}
}
