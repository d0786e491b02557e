package generator

import (
	"strings"

	"etude/trace"
)

// span is one row, for the slow path.
type span struct {
	v        *trace.View
	row      uint32
	resource *resource
}

// resource has the properties of a Table's resource that series need. Its texts are copies, because they
// outlive the Table.
type resource struct {
	number                            uint32
	service, namespace, job, instance string
	target, host                      *group // or nil
}

func newResource(v *trace.View, number uint32) *resource {
	r := &resource{number: number}
	attr := func(key string) string {
		value, _ := v.ResourceAttrs.Value(number, key)
		return strings.Clone(cut(valueText(value), maxValue))
	}
	r.service, r.namespace, r.instance = attr("service.name"), attr("service.namespace"), attr("service.instance.id")
	r.job = r.service
	if r.namespace != "" && r.service != "" {
		r.job = r.namespace + "/" + r.service
	}
	return r
}

// text returns the text that a filter compares, and whether the span has it.
func (s *span) text(from origin, key string) (string, bool) {
	switch from {
	case fromKind:
		return kindText(s.v.Kind[s.row]), true
	case fromName:
		return s.v.Text(s.v.Name[s.row]), true
	case fromStatus:
		return statusText(s.v.Status[s.row]), true
	case fromResource:
		value, ok := s.v.ResourceAttrs.Value(s.resource.number, key)
		return valueText(value), ok
	default:
		value, ok := s.v.SpanAttrs.Value(s.row, key)
		return valueText(value), ok
	}
}

// attr returns an attribute of the resource or the span as a label's value; the resource's comes first.
func (s *span) attr(key string) string {
	text, ok := s.text(fromResource, key)
	if !ok || text == "" {
		text, _ = s.text(fromSpan, key)
	}
	return cut(text, maxValue)
}

// first returns the first of the span's own attributes that has a text.
func (s *span) first(keys []string) string {
	for _, key := range keys {
		if text, _ := s.text(fromSpan, key); text != "" {
			return cut(text, maxValue)
		}
	}
	return ""
}

// has returns the text of the first attribute that the span or its resource has.
func (s *span) has(keys []string) (text string, ok bool) {
	for _, key := range keys {
		for _, from := range []origin{fromSpan, fromResource} {
			if text, ok := s.text(from, key); ok {
				return cut(text, maxValue), true
			}
		}
	}
	return "", false
}
