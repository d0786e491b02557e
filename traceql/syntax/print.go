package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// String returns the canonical text of the query.
func (q *Query) String() string {
	var b strings.Builder
	b.WriteString(q.Pipeline.text())
	if q.Metrics != nil {
		b.WriteString(" | ")
		q.Metrics.print(&b)
	}
	if len(q.Hints) > 0 {
		b.WriteString(" with (")
		for i, h := range q.Hints {
			separate(&b, i)
			fmt.Fprintf(&b, "%s=%s", h.Name, h.Value)
		}
		b.WriteString(")")
	}
	return b.String()
}

// String returns the canonical text of the pipeline in parentheses.
func (p *Pipeline) String() string { return "(" + p.text() + ")" }

func (p *Pipeline) text() string {
	parts := make([]string, len(p.Stages))
	for i, s := range p.Stages {
		parts[i] = fmt.Sprint(s)
	}
	return strings.Join(parts, " | ")
}

func (f *Filter) String() string {
	if f.Cond == nil {
		return "{ }"
	}
	return "{ " + FieldText(f.Cond) + " }"
}

func (o *SpansetOp) String() string {
	grouped := holdsPipeline(o)
	return o.operand(o.L, grouped) + " " + o.Op + " " + o.operand(o.R, grouped)
}

// operand adds parentheses to an operand that would otherwise parse differently.
func (o *SpansetOp) operand(s Spanset, grouped bool) string {
	if _, ok := s.(*Pipeline); ok {
		return fmt.Sprint(s)
	}
	if _, ok := s.(*SpansetOp); ok || grouped {
		return "(" + fmt.Sprint(s) + ")"
	}
	return fmt.Sprint(s)
}

func (a *Aggregate) String() string {
	return fmt.Sprintf("%s %s %s", a.Call(), a.Op, a.Value)
}

// Call returns the canonical text of the aggregate without its comparison, which is the key of its value in
// answers.
func (a *Aggregate) Call() string {
	if a.Arg == nil {
		return a.Func + "()"
	}
	return a.Func + "(" + FieldText(a.Arg) + ")"
}

func (b *By) String() string { return "by(" + FieldText(b.Expr) + ")" }

func (s *Select) String() string { return "select(" + fieldList(s.Attrs) + ")" }

func (c *Coalesce) String() string { return "coalesce()" }

// FieldText returns the canonical text of an expression: every compound operand is in parentheses, the whole is
// not.
func FieldText(f Field) string {
	var b strings.Builder
	writeField(&b, f)
	return b.String()
}

func writeField(b *strings.Builder, f Field) {
	switch f := f.(type) {
	case *Binary:
		writeOperand(b, f.L)
		b.WriteString(" " + f.Op + " ")
		writeOperand(b, f.R)
	case *Unary:
		b.WriteString(f.Op)
		writeOperand(b, f.X)
	case fmt.Stringer:
		b.WriteString(f.String())
	}
}

func writeOperand(b *strings.Builder, f Field) {
	switch f.(type) {
	case *Binary, *Unary:
		b.WriteByte('(')
		writeField(b, f)
		b.WriteByte(')')
	default:
		writeField(b, f)
	}
}

func (b *Binary) String() string { return FieldText(b) }

func (u *Unary) String() string { return FieldText(u) }

func (l *Literal) String() string {
	switch l.Type {
	case LitString:
		if strings.Contains(l.Str, "`") || !utf8.ValidString(l.Str) {
			return strconv.Quote(l.Str)
		}
		return "`" + l.Str + "`"
	case LitInt:
		if l.Int == -1<<63 {
			return "minInt"
		}
		return strconv.FormatInt(l.Int, 10)
	case LitFloat:
		return FloatText(l.Float)
	case LitDuration:
		return time.Duration(l.Int).String()
	case LitBool:
		return strconv.FormatBool(l.Int != 0)
	case LitStatus:
		return StatusWord(l.Int)
	case LitKind:
		return KindWord(l.Int)
	}
	return "nil"
}

// FloatText formats a float so that it parses as one: always with "." or "e".
func FloatText(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(s, ".eIN") {
		return s
	}
	return s + ".0"
}

func (a *AttrRef) String() string { return a.Attr.String() }

func (i *Intrinsic) String() string { return i.Name }

// String returns the attribute in the form of a query.
func (a Attr) String() string {
	prefix := a.Scope.String() + "."
	if a.Parent && a.Scope == ScopeNone {
		prefix = "parent."
	} else if a.Parent {
		prefix = "parent." + prefix
	}
	if a.needsQuotes() {
		return prefix + `"` + nameEscapes.Replace(a.Name) + `"`
	}
	return prefix + a.Name
}

var nameEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (a Attr) needsQuotes() bool {
	if a.Name == "" || strings.ContainsRune(a.Name, '"') {
		return true
	}
	for i := range len(a.Name) {
		if endsName(a.Name[i]) {
			return true
		}
	}
	switch {
	case a.Scope != ScopeNone:
		return false
	case a.Parent:
		return strings.HasPrefix(a.Name, "span.") || strings.HasPrefix(a.Name, "resource.")
	}
	return isDigit(a.Name[0])
}

func (m *Metrics) print(b *strings.Builder) {
	b.WriteString(m.Func + "(")
	switch {
	case m.Compare != nil:
		m.Compare.print(b)
	case m.Arg != nil:
		b.WriteString(FieldText(m.Arg))
		for _, q := range m.Quantiles {
			b.WriteString(", " + FloatText(q))
		}
	}
	b.WriteString(")")
	if len(m.By) > 0 {
		b.WriteString(" by (" + fieldList(m.By) + ")")
	}
	for _, s := range m.Second {
		if s.Func != "" {
			fmt.Fprintf(b, " | %s(%d)", s.Func, s.K)
		} else {
			fmt.Fprintf(b, " %s %s", s.Op, s.Value)
		}
	}
}

func (c *Compare) print(b *strings.Builder) {
	b.WriteString(c.Filter.String())
	if c.HasTopN {
		fmt.Fprintf(b, ", %d", c.TopN)
	}
	if c.HasWindow {
		fmt.Fprintf(b, ", %d, %d", c.Start, c.End)
	}
}

func fieldList(fields []Field) string {
	var b strings.Builder
	for i, f := range fields {
		separate(&b, i)
		b.WriteString(FieldText(f))
	}
	return b.String()
}

func separate(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString(", ")
	}
}
