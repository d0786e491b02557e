package syntax

import "strings"

// Conditions returns the conditions of all filters of a query, for requests that the query only narrows. A
// query that is still being typed may not parse. Then it joins the parts of the first filter, between &&, that
// parse by themselves, and ignores the other conditions.
func Conditions(src string) []Field {
	if q, err := Parse(src); err == nil {
		return pipelineConds(nil, q.Pipeline)
	}
	_, inside, ok := strings.Cut(src, "{")
	if !ok {
		return nil
	}
	var joined Field
	for _, part := range splitAnd(inside) {
		f, err := ParseCondition(part)
		_, complete := f.(*Binary)
		switch {
		case err != nil || !complete:
		case joined == nil:
			joined = f
		default:
			joined = &Binary{Op: "&&", L: joined, R: f, pos: f.Pos()}
		}
	}
	if joined == nil {
		return nil
	}
	return []Field{joined}
}

// ParseCondition parses the content of a filter.
func ParseCondition(src string) (f Field, err error) {
	defer catch(&err)
	p := newParser(src)
	f = p.field()
	p.expectEnd()
	return f, nil
}

func pipelineConds(out []Field, p *Pipeline) []Field {
	for _, s := range p.Stages {
		if set, ok := s.(Spanset); ok {
			out = spansetConds(out, set)
		}
	}
	return out
}

// spansetConds appends the conditions; nil for the empty filter.
func spansetConds(out []Field, s Spanset) []Field {
	switch s := s.(type) {
	case *Filter:
		return append(out, s.Cond)
	case *Pipeline:
		return pipelineConds(out, s)
	case *SpansetOp:
		return spansetConds(spansetConds(out, s.L), s.R)
	}
	return out
}

// splitAnd splits the content of a filter at each && outside quotes and parentheses, and ends at the closing
// brace.
func splitAnd(src string) (parts []string) {
	begin, depth := 0, 0
	var quote byte
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case quote != 0:
			if c == '\\' && quote == '"' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '`':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '}':
			return append(parts, src[begin:i])
		case depth == 0 && strings.HasPrefix(src[i:], "&&"):
			parts = append(parts, src[begin:i])
			i++
			begin = i + 1
		}
	}
	return append(parts, src[begin:])
}
