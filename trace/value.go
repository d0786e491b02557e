package trace

import "math"

// Type is the type of an attribute value, as in OTLP's AnyValue.
type Type uint8

// The types. Array, KVList and Bytes have their content as bytes. For Array and KVList this is the encoded
// AnyValue message, because only answers and rare conditions decode it.
const (
	Empty Type = iota
	String
	Int
	Double
	Bool
	Bytes
	Array
	KVList
	numTypes
)

// Types is the number of types; every Type is less than it.
const Types = int(numTypes)

// String returns the type's name in lower case.
func (t Type) String() string {
	return [...]string{"empty", "string", "int", "double", "bool", "bytes", "array", "kvlist"}[t]
}

// IsText reports whether values of the type are dictionary codes.
func (t Type) IsText() bool { return t == String || t == Bytes || t == Array || t == KVList }

// Value is one attribute value.
type Value struct {
	Type Type
	str  string // String, Bytes, Array, KVList
	num  uint64 // Int, Double (IEEE bits), Bool
}

// Str is the text of a String, the content of Bytes, or the encoded AnyValue of
// an Array or KVList.
func (v Value) Str() string { return v.str }

// Int is the value of an Int.
func (v Value) Int() int64 { return int64(v.num) }

// Double is the value of a Double.
func (v Value) Double() float64 { return math.Float64frombits(v.num) }

// Bits is the value of a Double as IEEE bits, of an Int in two's complement, of
// a Bool as 0 or 1.
func (v Value) Bits() uint64 { return v.num }

// Bool is the value of a Bool.
func (v Value) Bool() bool { return v.num != 0 }

// Kind is OTLP's SpanKind.
type Kind uint8

// The kinds, numbered as in OTLP.
const (
	KindUnspecified Kind = iota
	KindInternal
	KindServer
	KindClient
	KindProducer
	KindConsumer
)

// Status is OTLP's StatusCode.
type Status uint8

// The status codes, numbered as in OTLP.
const (
	StatusUnset Status = iota
	StatusOK
	StatusError
)

// Text returns a String, Bytes, Array or KVList; see [Value.Str].
func Text(t Type, s string) Value { return Value{Type: t, str: s} }

// Number returns an Int, Double or Bool; see [Value.Bits].
func Number(t Type, bits uint64) Value { return Value{Type: t, num: bits} }
