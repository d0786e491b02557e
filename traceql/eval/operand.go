package eval

import (
	"math"
	"slices"
	"strings"

	"etude/trace"
	"etude/traceql/syntax"
)

// Operand is the field of a span that an entry of by() or the argument of a metrics function reads. It belongs
// to the Program that compiled it.
type Operand struct{ x expr }

// Operand compiles an entry of by() or an argument. An attribute of a parent is allowed here, but always missing.
func (p *Program) Operand(f syntax.Field) Operand {
	if a, ok := f.(*syntax.AttrRef); ok && a.Parent {
		return Operand{constant{}}
	}
	x := p.expr(f)
	p.touch(x, nil)
	x = p.ofMatched(x)
	p.operands = append(p.operands, x)
	return Operand{x}
}

// IntrinsicOperand reads an intrinsic, by its canonical name.
func IntrinsicOperand(name string) Operand { return Operand{intrinsic{name}} }

// NeedsTrace reports whether the value needs whole traces. Then the caller uses [Run.Value], otherwise a [Reader].
func (o Operand) NeedsTrace() bool { return o.x.needs().trace }

// Reader reads an operand in the rows of one View. Row reads any operand. The other fields are for callers that
// read many rows: they give the columns with the values, if columns have them. A Reader belongs to one
// goroutine.
type Reader struct {
	Nothing  bool // no row has a value
	Duration bool // the value is the duration of the span

	Codes []uint32 // of a text, row by row
	Words []uint8  // of a Status or Kind, row by row
	Type  Type     // of Words

	// If ByScope is set, all spans of a scope have the value that Base reads in one of them, except for spans
	// with a value in Columns.
	ByScope bool
	// Columns have the values of spans in order of precedence: the first value of a row counts. Nil with
	// ByScope unset means that columns do not have the values.
	Columns []*trace.Column

	b    *Bound
	x    expr
	base func(row uint32) Value
	at   ctx
}

// Reader returns the reader of an operand in an open part.
func (r *Run) Reader(part int, o Operand) *Reader { return r.bound[part].reader(o) }

func (b *Bound) reader(o Operand) *Reader {
	out := &Reader{b: b, x: o.x, at: ctx{b: b, event: -1, link: -1}}
	switch x := o.x.(type) {
	case constant:
		out.Nothing = true
	case *attribute:
		out.readAttribute(x)
	case intrinsic:
		out.readIntrinsic(x)
	}
	return out
}

func (r *Reader) readAttribute(x *attribute) {
	a := r.b.attr(x.slot)
	switch {
	case x.level.BelowSpans():
		return
	case x.level != trace.SpanLevel:
		r.ByScope, r.base = true, r.Row
		return
	case x.inherits:
		r.ByScope, r.base = true, func(row uint32) Value {
			v := a.resource.first(r.b, r.b.V.Resource(row))
			if v.Type == Nil && x.isService() {
				return textValue("")
			}
			return v
		}
	}
	r.Columns = make([]*trace.Column, 0, len(a.own.cols))
	for _, c := range a.own.cols {
		if c != nil {
			r.Columns = append(r.Columns, c)
		}
	}
}

func (r *Reader) readIntrinsic(x intrinsic) {
	v := r.b.V
	switch x.name {
	case syntax.Duration:
		r.Duration = true
	case syntax.Name:
		r.Codes = v.Name
	case syntax.StatusMessage:
		r.ByScope, r.base = true, func(uint32) Value { return textValue("") }
		r.Columns = []*trace.Column{v.StatusMessage.Column(trace.String)}
	case syntax.Status:
		r.Words, r.Type = v.Status, Status
	case syntax.Kind:
		r.Words, r.Type = v.Kind, Kind
	case syntax.ScopeName, syntax.ScopeVersion:
		r.ByScope, r.base = true, r.Row
	}
}

// Row returns the value of a row.
func (r *Reader) Row(row uint32) Value {
	r.at.row = row
	return r.x.value(&r.at)
}

// Base is described at ByScope.
func (r *Reader) Base(row uint32) Value { return r.base(row) }

// At returns the value at a position of one of the Columns; ok is false for a value
// that the language cannot read.
func (r *Reader) At(c *trace.Column, i int) (v Value, ok bool) {
	if c.Type == trace.String { // Fast path: it may be a column of an intrinsic.
		return textValue(r.b.V.Text(c.Codes[i])), true
	}
	return r.b.value(&r.b.V.SpanAttrs, c, i)
}

// Stop counts the work of reading a row with Row. It reports whether the query is cancelled.
func (r *Reader) Stop() bool { return r.b.poll.Stop(rowWork) }

// OwnColumn returns the type of Tempo's dedicated column for the attribute; see columnType.
func (o Operand) OwnColumn() (t trace.Type, ok bool) {
	if a, isAttr := o.x.(*attribute); isAttr && a.ofSpan() {
		return columnType(a)
	}
	return 0, false
}

// Value returns the value of an operand for a span of a whole trace.
func (r *Run) Value(t *Trace, span int32, o Operand) Value {
	r.t = t
	return o.x.value(r.at(span))
}

// AttrValue returns the value at a position of a column of span attributes in an open part;
// ok is false for a value that the language cannot read.
func (r *Run) AttrValue(part int, c *trace.Column, i int) (v Value, ok bool) {
	b := r.bound[part]
	return b.value(&b.V.SpanAttrs, c, i)
}

// Text returns a Value that is a text, Number one that is a float.
func Text(s string) Value { return textValue(s) }

// Number is described at Text.
func Number(x float64) Value { return Value{Type: Float, Float: x} }

// Bits returns the number in a Value of type Int, Duration or Float: Int, or the
// bits of Float.
func (v Value) Bits() uint64 {
	if v.Type == Float {
		return math.Float64bits(v.Float)
	}
	return uint64(v.Int)
}

// AttrName returns the name of an attribute among labels. It is the same as in a query, but without quoting for
// a quote in it.
func AttrName(a syntax.Attr) string {
	if a.Name == "" || strings.ContainsAny(a.Name, " \t\r\n{}()=~!<>&|^,") {
		return a.String()
	}
	prefix := a.Scope.String() + "."
	switch {
	case a.Parent && a.Scope == syntax.ScopeNone:
		prefix = "parent."
	case a.Parent:
		prefix = "parent." + prefix
	}
	return prefix + a.Name
}

// Reads returns the values that the query reads and the span has, except for the id of the trace, named as among
// labels.
func (r *Run) Reads(t *Trace, span int32) (out []Attr) {
	r.t = t
	for i := range r.p.touched {
		name, x := "", r.p.touched[i].x
		switch x := x.(type) {
		case *attribute:
			name = AttrName(x.Attr)
		case intrinsic:
			name = x.name
		}
		if v := x.value(r.at(span)); v.Type != Nil && name != syntax.TraceID {
			out = append(out, Attr{name, v})
		}
	}
	return out
}

// Selects returns a test of the query's conditions on an intrinsic. The test holds for a value that one of them
// selects. Selects returns nil if the query does not read the intrinsic.
func (p *Program) Selects(intrinsicName string) func(Value) bool {
	at := slices.IndexFunc(p.touched, func(t touch) bool { return t.x == expr(intrinsic{intrinsicName}) })
	if at < 0 {
		return nil
	}
	t := p.touched[at]
	t.all = false
	return t.selects
}

// Filter is a condition of a Program beside its pipeline.
type Filter struct{ number int }

// AddFilter compiles a condition. A nil condition holds for every span.
func (p *Program) AddFilter(f syntax.Field) Filter { return Filter{int(p.filter(f).(pick))} }

// Holds reports whether a condition holds for a span of a whole trace.
func (r *Run) Holds(f Filter, t *Trace, span int32) bool {
	ref, fl := t.Spans[span], &r.p.filters[f.number]
	r.t = t
	if !r.of(ref).mask(f.number).Has(ref.Row) {
		return false
	}
	return fl.exact || fl.cond.holds(r.at(span))
}
