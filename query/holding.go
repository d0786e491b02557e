package query

import (
	"slices"
	"strings"

	"etude/traceql/eval"
)

// The memory of a result. The evaluator takes texts from the dictionaries of parts. The search closes parts on disk before it
// ends, so it copies the texts that the result keeps: otherwise a few bytes of text would keep a whole dictionary.

// itemBytes estimates the memory of a Trace, a SpanSet, a Span or a ServiceStats in a result, without texts;
// attrBytes that of an Attr.
const itemBytes, attrBytes = 128, 80

// bytes estimates the memory of a trace in a result.
func (t *Trace) bytes() int {
	n := t.headBytes()
	for i := range t.SpanSets {
		n += t.SpanSets[i].bytes()
	}
	return n
}

// headBytes is bytes without the spansets.
func (t *Trace) headBytes() int {
	n := itemBytes*(1+len(t.Services)) + len(t.RootName) + len(t.RootService)
	for i := range t.Services {
		n += len(t.Services[i].Service)
	}
	return n
}

func (s *SpanSet) bytes() int {
	n := itemBytes + bytesOf(s.Attrs)
	for i := range s.Spans {
		n += itemBytes + len(s.Spans[i].Name) + bytesOf(s.Spans[i].Attrs)
	}
	return n
}

func bytesOf(attrs []eval.Attr) (n int) {
	for i := range attrs {
		n += attrBytes + textBytes(&attrs[i].Value)
	}
	return n
}

func textBytes(v *eval.Value) int {
	n := len(v.Str)
	for i := range v.Elems {
		n += attrBytes + textBytes(&v.Elems[i])
	}
	return n
}

// own copies the texts of the trace, without its spansets.
func (t *Trace) own() {
	t.RootName, t.RootService = strings.Clone(t.RootName), strings.Clone(t.RootService)
	for i := range t.Services {
		t.Services[i].Service = strings.Clone(t.Services[i].Service)
	}
}

// own copies the texts of the set.
func (s *SpanSet) own() {
	ownAttrs(s.Attrs)
	for i := range s.Spans {
		s.Spans[i].Name = strings.Clone(s.Spans[i].Name)
		ownAttrs(s.Spans[i].Attrs)
	}
}

func ownAttrs(attrs []eval.Attr) {
	for i := range attrs {
		ownValue(&attrs[i].Value)
	}
}

func ownValue(v *eval.Value) {
	v.Str, v.Elems = strings.Clone(v.Str), slices.Clone(v.Elems)
	for i := range v.Elems {
		ownValue(&v.Elems[i])
	}
}
