package eval

import (
	"math"
	"slices"
	"strings"

	"etude/trace"
	"etude/traceql/syntax"
)

// labelName is the name of an attribute or intrinsic among labels. It is as in a
// query, but that a quote does not bring quotes.
func labelName(f syntax.Field) string {
	if a, ok := f.(*syntax.AttrRef); ok {
		return attrName(a.Attr)
	}
	return syntax.FieldText(f)
}

func attrName(a syntax.Attr) string {
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

// fixedColumns are the attributes that have a column of their own in every block
// of Tempo's format. Tempo shows them in groups even where a span lacks them.
var fixedColumns = map[syntax.Scope][]string{
	syntax.ScopeResource: {"cluster", "namespace", "pod", "container",
		"k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name"},
	syntax.ScopeSpan: {"http.method", "http.url", "http.status_code",
		"http.route", "http.request.method", "server.address", "url.path", "url.route"},
}

// fixedTypes are the types of fixed columns of spans. In by() Tempo reads what
// has another type, such as a status code sent as text, as missing.
var fixedTypes = map[string]trace.Type{
	"http.method": trace.String, "http.url": trace.String, "http.status_code": trace.Int,
}

// FixedColumn tells whether Tempo's format has a column for an attribute of
// spans or resources alone, which it shows even where spans lack it.
func FixedColumn(s syntax.Scope, name string) bool {
	return slices.Contains(fixedColumns[s], name)
}

func alwaysShown(f syntax.Field) bool {
	a, ok := f.(*syntax.AttrRef)
	if !ok || a.Parent {
		return false
	}
	if a.Scope == syntax.ScopeNone {
		return FixedColumn(syntax.ScopeSpan, a.Name) || FixedColumn(syntax.ScopeResource, a.Name)
	}
	return FixedColumn(a.Scope, a.Name)
}

// labels numbers the values of one entry of by(), over all Views of a query.
// Number 0 is nil, the value of a span that has none.
type labels struct {
	numbers map[labelKey]uint32
	values  []Value
	local   bool // of one View: texts are known by their codes and not looked up

	// What is asked for most: the value that came last, and small ints (number
	// + 1, 0 for not yet known).
	last  labelKey
	lastN uint32
	small []uint32
}

// smallInts is how many ints are looked up without hashing, from 0 on: codes,
// counts, levels.
const smallInts = 1024

// labelKey tells values apart; a float is its bits in n.
type labelKey struct {
	t Type
	n int64
	s string
}

func newLabels() *labels {
	return &labels{numbers: map[labelKey]uint32{}, values: []Value{{}}}
}

// number returns the number of a value. An array cannot be a label: it becomes
// the text "nil", as in Tempo.
func (l *labels) number(v Value) uint32 {
	switch v.Type {
	case Nil:
		return 0
	case Array:
		v = textValue("nil")
	case Int:
		if v.Int >= 0 && v.Int < smallInts {
			return l.smallInt(v)
		}
	}
	return l.find(v)
}

func (l *labels) smallInt(v Value) uint32 {
	if l.small == nil {
		l.small = make([]uint32, smallInts)
	}
	n := &l.small[v.Int]
	if *n == 0 {
		*n = l.find(v) + 1
	}
	return *n - 1
}

func (l *labels) find(v Value) uint32 {
	key := labelKey{v.Type, v.Int, v.Str}
	if v.Type == Float {
		key.n = int64(math.Float64bits(v.Float))
	}
	if key == l.last {
		return l.lastN
	}
	n, ok := l.numbers[key]
	if !ok {
		n = uint32(len(l.values))
		l.values = append(l.values, v)
		l.numbers[key] = n
	}
	l.last, l.lastN = key, n
	return n
}

// join takes over the values of labels of one View and returns the number of
// each. There a value may stand twice, as a text and found otherwise.
func (l *labels) join(o *labels) []uint32 {
	to := make([]uint32, len(o.values))
	for n, v := range o.values {
		to[n] = l.number(v)
	}
	return to
}

// texts numbers dictionary codes of one View, each looked up once.
type texts struct {
	l    *labels
	v    *trace.View
	seen []uint32 // number + 1 by code
}

func (t *texts) number(code uint32) uint32 {
	if t.seen == nil {
		t.seen = make([]uint32, t.v.Strings.Len())
	}
	if t.seen[code] == 0 {
		n := uint32(len(t.l.values))
		if v := textValue(t.v.Text(code)); t.l.local {
			t.l.values = append(t.l.values, v)
		} else {
			n = t.l.number(v)
		}
		t.seen[code] = n + 1
	}
	return t.seen[code] - 1
}

// labelColumn returns the label number of each row that has a slot. Fast path:
// by column, for attributes of spans, resources and scopes and what the span
// itself has; slow path: row by row.
func (b *Bound) labelColumn(x expr, l *labels, slots []int32) []uint32 {
	out := labelArrays.zeroed(len(slots))
	t := &texts{l: l, v: b.V}
	switch x := x.(type) {
	case constant:
		return out
	case *attribute:
		if b.attrLabels(x, t, slots, out) {
			return out
		}
	case intrinsic:
		if b.intrinsicLabels(x, t, slots, out) {
			return out
		}
	}
	c := ctx{b: b, event: -1, link: -1}
	for row, slot := range slots {
		if slot != noSlot {
			if b.poll.stop(rowWork) {
				return out
			}
			c.row = uint32(row)
			out[row] = l.number(x.value(&c))
		}
	}
	return out
}

func (b *Bound) attrLabels(x *attribute, t *texts, slots []int32, out []uint32) bool {
	a := b.attr(x.slot)
	switch {
	case x.level.BelowSpans():
		return false
	case x.level != trace.SpanLevel:
		b.labelsByScope(t, slots, out, x.value)
		return true
	case x.inherits:
		b.labelsByScope(t, slots, out, func(c *ctx) Value {
			v := a.resource.first(b, b.V.Resource(c.row))
			if v.Type == Nil && x.isService() {
				return textValue("")
			}
			return v
		})
	}
	own := a.own
	if typ, ok := fixedTypes[x.Name]; ok && x.ofSpan() {
		own = own.ofType(typ)
	}
	own.labels(b, t, slots, out)
	return true
}

// ofType leaves only the column of a type.
func (k keyColumns) ofType(t trace.Type) keyColumns {
	for i := range k.cols {
		if readable[i] != t {
			k.cols[i] = nil
		}
	}
	return k
}

// first returns the first value of a row, nil when it has none.
func (k *keyColumns) first(b *Bound, row uint32) (v Value) {
	k.values(b, row, func(x Value) bool { v = x; return false })
	return v
}

// labels overwrites the labels of rows that have a value. Columns and positions
// are taken from the last to the first, so that the first value of a row stays.
func (k *keyColumns) labels(b *Bound, t *texts, slots []int32, out []uint32) {
	for i := len(k.cols) - 1; i >= 0; i-- {
		c := k.cols[i]
		if c == nil {
			continue
		}
		for at := len(c.Rows) - 1; at >= 0; at-- {
			row := c.Rows[at]
			if slots[row] == noSlot {
				continue
			}
			if c.Type == trace.String {
				out[row] = t.number(c.Codes[at])
			} else if v, ok := b.value(k.attrs, c, at); ok {
				out[row] = t.l.number(v)
			}
		}
	}
}

// labelsByScope asks once a scope and not once a row.
func (b *Bound) labelsByScope(t *texts, slots []int32, out []uint32, read func(*ctx) Value) {
	known := make([]uint32, b.V.Scopes()) // number + 1
	c := ctx{b: b, event: -1, link: -1}
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		n := &known[b.V.Scope[row]]
		if *n == 0 {
			c.row = uint32(row)
			*n = t.l.number(read(&c)) + 1
		}
		out[row] = *n - 1
	}
}

func (b *Bound) intrinsicLabels(x intrinsic, t *texts, slots []int32, out []uint32) bool {
	switch x.name {
	case syntax.Name:
		for row, slot := range slots {
			if slot != noSlot {
				out[row] = t.number(b.V.Name[row])
			}
		}
	case syntax.StatusMessage:
		none := t.l.number(textValue(""))
		for row := range out {
			out[row] = none
		}
		for row, code := range b.V.StatusMessage.All() {
			if int(row) < len(out) && slots[row] != noSlot {
				out[row] = t.number(code)
			}
		}
	case syntax.Status:
		byteLabels(b.V.Status, Status, t.l, slots, out)
	case syntax.Kind:
		byteLabels(b.V.Kind, Kind, t.l, slots, out)
	case syntax.ScopeName, syntax.ScopeVersion:
		b.labelsByScope(t, slots, out, x.value)
	default:
		return false
	}
	return true
}

func byteLabels(column []uint8, typ Type, l *labels, slots []int32, out []uint32) {
	var known [256]uint32 // number + 1
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		n := &known[column[row]]
		if *n == 0 {
			*n = l.number(Value{Type: typ, Int: int64(column[row])}) + 1
		}
		out[row] = *n - 1
	}
}
