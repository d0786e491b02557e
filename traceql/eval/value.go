package eval

import (
	"math"
	"strconv"
	"strings"
	"time"

	"etude/traceql/syntax"
)

// Type is the type of a Value.
type Type uint8

// The types. An Array has at least two elements, all of one of the types Int,
// Float, String and Bool.
const (
	Nil Type = iota
	Int
	Float
	String
	Bool
	Duration
	Status
	Kind
	Array
)

// Value is the value of an expression for one span. Int holds an int, a duration in nanoseconds, a bool (0 or
// 1), or a status or kind numbered as in OTLP.
type Value struct {
	Type  Type
	Int   int64
	Float float64
	Str   string
	Elems []Value
}

func boolValue(b bool) Value {
	if b {
		return Value{Type: Bool, Int: 1}
	}
	return Value{Type: Bool}
}

func textValue(s string) Value { return Value{Type: String, Str: s} }

func (v Value) isTrue() bool { return v.Type == Bool && v.Int != 0 }

func (v Value) numeric() bool { return v.Type == Int || v.Type == Float || v.Type == Duration }

// exact reports whether the value is a whole number kept in Int.
func (v Value) exact() bool { return v.Type == Int || v.Type == Duration }

// Number returns a number as a float.
func (v Value) Number() float64 {
	if v.Type == Float {
		return v.Float
	}
	return float64(v.Int)
}

// Text returns the value as answers print it: durations in Go's notation, floats
// with "." or "e", words for status and kind, "nil".
func (v Value) Text() string {
	switch v.Type {
	case Int:
		return strconv.FormatInt(v.Int, 10)
	case Float:
		return syntax.FloatText(v.Float)
	case String:
		return v.Str
	case Bool:
		return strconv.FormatBool(v.Int != 0)
	case Duration:
		return time.Duration(v.Int).String()
	case Status:
		return syntax.StatusWord(v.Int)
	case Kind:
		return syntax.KindWord(v.Int)
	case Array:
		return arrayText(v.Elems)
	}
	return "nil"
}

func arrayText(elems []Value) string {
	parts := make([]string, len(elems))
	for i, e := range elems {
		parts[i] = e.Text()
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// Key returns a text that differs if two values belong to different groups of by().
func (v Value) Key() string {
	return string(rune('a'+v.Type)) + v.Text()
}

var literalTypes = [...]Type{
	syntax.LitNil: Nil, syntax.LitString: String, syntax.LitInt: Int, syntax.LitFloat: Float,
	syntax.LitDuration: Duration, syntax.LitBool: Bool, syntax.LitStatus: Status, syntax.LitKind: Kind,
}

// Literal returns the Value of a literal.
func Literal(l *syntax.Literal) Value {
	return Value{Type: literalTypes[l.Type], Int: l.Int, Float: l.Float, Str: l.Str}
}

// Compare applies a comparison. An array on either side satisfies the comparison if one of its elements does,
// also for != and !~. Comparisons of incompatible types are false.
func Compare(op string, a, b Value) bool {
	switch {
	case a.Type == Array && b.Type == Array:
		return false
	case a.Type == Array:
		return anyElem(a.Elems, func(e Value) bool { return Compare(op, e, b) })
	case b.Type == Array:
		return anyElem(b.Elems, func(e Value) bool { return Compare(op, a, e) })
	case a.numeric() && b.numeric():
		return compareNumbers(op, a, b)
	case a.Type != b.Type || a.Type == Nil:
		return false
	case a.Type == String:
		return ordered(op, strings.Compare(a.Str, b.Str))
	}
	return op == "=" && a.Int == b.Int || op == "!=" && a.Int != b.Int
}

func anyElem(elems []Value, f func(Value) bool) bool {
	for _, e := range elems {
		if f(e) {
			return true
		}
	}
	return false
}

func compareNumbers(op string, a, b Value) bool {
	if a.exact() && b.exact() {
		switch {
		case a.Int < b.Int:
			return ordered(op, -1)
		case a.Int > b.Int:
			return ordered(op, 1)
		}
		return ordered(op, 0)
	}
	return compareFloats(op, a.Number(), b.Number())
}

func compareFloats(op string, x, y float64) bool {
	switch op {
	case "=":
		return x == y
	case "!=":
		return x != y
	case "<":
		return x < y
	case "<=":
		return x <= y
	case ">":
		return x > y
	case ">=":
		return x >= y
	}
	return false
}

// ordered reports whether op holds for operands that compare as c (-1, 0, 1).
func ordered(op string, c int) bool {
	switch op {
	case "=":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return false
}

// flip returns the operator for exchanged operands.
func flip(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

// arith applies an arithmetic operator. A missing operand and division by an integer zero yield nil, for which
// no comparison holds. For a non-numeric operand see noNumber.
func arith(op string, a, b Value) Value {
	switch {
	case a.Type == Nil || b.Type == Nil:
		return Value{}
	case !a.numeric() || !b.numeric():
		return noNumber
	}
	if a.Type == Int && b.Type == Int {
		return arithInts(op, a.Int, b.Int)
	}
	return Value{Type: Float, Float: arithFloats(op, a.Number(), b.Number())}
}

func arithInts(op string, a, b int64) Value {
	v := Value{Type: Int}
	switch op {
	case "+":
		v.Int = a + b
	case "-":
		v.Int = a - b
	case "*":
		v.Int = a * b
	case "^":
		v.Int = int64(math.Pow(float64(a), float64(b)))
	default:
		if b == 0 {
			return Value{}
		}
		if op == "/" {
			v.Int = a / b
		} else {
			v.Int = a % b
		}
	}
	return v
}

func arithFloats(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "%":
		return math.Mod(a, b)
	}
	return math.Pow(a, b)
}

func negate(v Value) Value {
	switch v.Type {
	case Int, Duration:
		v.Int = -v.Int
		return v
	case Float:
		v.Float = -v.Float
		return v
	case Nil:
		return v
	}
	return noNumber
}
