package generator

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"etude/internal/wire"
	"etude/trace"
)

// Maximum size of label names and values in bytes; longer ones are cut. Tempo cuts values at 2048 bytes. But
// every series keeps its labels, so 50,000 series with values of 2048 bytes would take hundreds of MiB.
const (
	maxName  = 256
	maxValue = 256
)

// maxTargetLabels limits the attributes that traces_target_info shows of a resource; it shows the first in the
// order of names.
const maxTargetLabels = 64

// intrinsics are the labels that are not made from attributes.
var intrinsics = []string{"service", "span_name", "span_kind", "status_code", "status_message"}

// labelName makes a label name from an attribute key. Characters that a label name cannot have become _, and a
// name in use gets __ before it.
func labelName(key string, taken ...string) string {
	name := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && isNameByte(byte(r)) {
			return r
		}
		return '_'
	}, key)
	for _, t := range taken {
		if name == t {
			name = "__" + name
			break
		}
	}
	return cut(name, maxName)
}

func isNameByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isLabelName reports whether a name needs no change.
func isLabelName(name string) bool {
	return name != "" && len(name) <= maxName && !isDigit(name[0]) && labelName(name) == name
}

// cut shortens a text to at most n bytes, without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := 0; i < utf8.UTFMax && n > i; i++ {
		if utf8.RuneStart(s[n-i]) {
			return s[:n-i]
		}
	}
	return s[:n]
}

// valueText returns an attribute value as the value of a label; "" for bytes and for no value.
func valueText(v trace.Value) string {
	switch v.Type {
	case trace.String:
		return v.Str()
	case trace.Int:
		return strconv.FormatInt(v.Int(), 10)
	case trace.Double:
		return doubleText(v.Double())
	case trace.Bool:
		return strconv.FormatBool(v.Bool())
	case trace.Array, trace.KVList:
		return string(appendAny(nil, v.Str(), 0))
	}
	return ""
}

func doubleText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// boundText returns a bucket's bound as the value of the label le.
func boundText(bound float64) string {
	if math.IsInf(bound, 1) {
		return "+Inf"
	}
	return doubleText(bound)
}

// maxDepth limits the nesting of arrays and lists. Deeper values are left out.
const maxDepth = 16

// appendAny appends the text of an encoded AnyValue: [ab] for an array, {k:v} for a list of keys and values. Of
// several fields the last counts, as in any oneof. Invalid values are left out.
func appendAny(b []byte, message string, depth int) []byte {
	var last []byte
	eachField(message, func(number wire.Number, num uint64, text string) {
		switch number {
		case 1:
			last = append(last[:0], text...)
		case 2:
			last = strconv.AppendBool(last[:0], num != 0)
		case 3:
			last = strconv.AppendInt(last[:0], int64(num), 10)
		case 4:
			last = append(last[:0], doubleText(math.Float64frombits(num))...)
		case 5:
			last = appendArray(last[:0], text, depth)
		case 6:
			last = appendList(last[:0], text, depth)
		case 7:
			last = last[:0]
		}
	})
	return append(b, last...)
}

func appendArray(b []byte, message string, depth int) []byte {
	b = append(b, '[')
	if depth < maxDepth {
		eachField(message, func(number wire.Number, _ uint64, text string) {
			if number == 1 {
				b = appendAny(b, text, depth+1)
			}
		})
	}
	return append(b, ']')
}

func appendList(b []byte, message string, depth int) []byte {
	b = append(b, '{')
	if depth < maxDepth {
		eachField(message, func(number wire.Number, _ uint64, pair string) {
			if number == 1 {
				b = appendPair(b, pair, depth)
			}
		})
	}
	return append(b, '}')
}

func appendPair(b []byte, message string, depth int) []byte {
	var key, value string
	eachField(message, func(number wire.Number, _ uint64, text string) {
		switch number {
		case 1:
			key = text
		case 2:
			value = text
		}
	})
	return appendAny(append(append(b, key...), ':'), value, depth+1)
}

// eachField calls f with the fields of a message up to the first invalid one. A field is a number or a text.
func eachField(message string, f func(number wire.Number, num uint64, text string)) {
	r := wire.Reader{Rest: []byte(message)}
	for r.Next() {
		switch r.Type {
		case wire.Varint, wire.Fixed64:
			f(r.Number, r.Value, "")
		case wire.Bytes:
			f(r.Number, 0, string(r.Data))
		default:
			f(r.Number, 0, "")
		}
	}
}

// kindText and statusText return the label values of OTLP's numbers. A number that OTLP does not define becomes
// its own text.
func kindText(kind uint8) string {
	names := [...]string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"}
	if int(kind) < len(names) {
		return names[kind]
	}
	return strconv.Itoa(int(kind))
}

func statusText(status uint8) string {
	names := [...]string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}
	if int(status) < len(names) {
		return names[status]
	}
	return strconv.Itoa(int(status))
}
