package eval

import (
	"context"
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// readable are the column types in which the language finds values.
var readable = [...]trace.Type{trace.String, trace.Int, trace.Double, trace.Bool, trace.Array}

// Readable reports whether the language finds values in columns of a type.
func Readable(t trace.Type) bool { return slices.Contains(readable[:], t) }

// keyColumns are the columns of one attribute key in one table of a View.
type keyColumns struct {
	attrs  *trace.Attrs
	cols   [len(readable)]*trace.Column // nil if there is none
	opaque []*trace.Column              // values that the language cannot read
}

func findColumns(attrs *trace.Attrs, key string) keyColumns {
	k := keyColumns{attrs: attrs}
	for c := range attrs.OfKey(key) {
		if j := slices.Index(readable[:], c.Type); j >= 0 {
			k.cols[j] = c
		} else {
			k.opaque = append(k.opaque, c)
		}
	}
	return k
}

// given reports whether a row has the key at all, with a readable value or not.
func (k *keyColumns) given(row uint32) bool {
	for _, c := range k.cols {
		if c != nil && holdsRow(c, row) {
			return true
		}
	}
	for _, c := range k.opaque {
		if holdsRow(c, row) {
			return true
		}
	}
	return false
}

func holdsRow(c *trace.Column, row uint32) bool {
	from, to := c.Range(row)
	return from < to
}

// values yields the readable values of a row.
func (k *keyColumns) values(b *Bound, row uint32, yield func(Value) bool) bool {
	for _, c := range k.cols {
		if c == nil {
			continue
		}
		from, to := c.Range(row)
		for ; from < to; from++ {
			if v, ok := b.value(k.attrs, c, from); ok && !yield(v) {
				return false
			}
		}
	}
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

// Bound is a Program bound to one View. It has the columns, and makes a mask at its first use. It belongs to
// one goroutine.
type Bound struct {
	V      *trace.View
	lean   bool // V may lack the columns of rows
	ctx    context.Context
	poll   Poll
	memory Memory
	p      *Program
	parts  *Parts // nil: none
	attrs  []boundAttr
	masks  []Mask // one per filter; nil until its first use

	array      map[uint32]decoded
	arrayBytes int // memory of array
}

// fewBound is a Bound with room for few attributes and masks, in one allocation.
type fewBound struct {
	Bound
	attrs [2]boundAttr
	masks [2]Mask
}

// boundAttr is an attribute in a View: its columns at its own level and, if it inherits, the columns of resources.
type boundAttr struct {
	known    bool
	own      keyColumns
	resource keyColumns
}

type decoded struct {
	v  Value
	ok bool
}

// bind binds the Program to a View.
func (p *Program) bind(ctx context.Context, v *trace.View, memory Memory) *Bound {
	var few fewBound
	b := &few.Bound
	*b = Bound{V: v, p: p, ctx: ctx, poll: Poll{ctx: ctx}, memory: memory}
	if len(p.attrs) <= len(few.attrs) && len(p.filters) <= len(few.masks) { // Fast path: one allocation
		b.attrs, b.masks = few.attrs[:len(p.attrs)], few.masks[:len(p.filters)]
	} else {
		b.attrs, b.masks = make([]boundAttr, len(p.attrs)), make([]Mask, len(p.filters))
	}
	return b
}

// rebind binds the Program to another View of the same part, or to none.
func (b *Bound) rebind(v *trace.View) {
	b.V, b.array, b.arrayBytes = v, nil, 0
	clear(b.attrs)
}

func (b *Bound) attr(slot int) *boundAttr {
	a := &b.attrs[slot]
	if a.known {
		return a
	}
	a.known = true
	name := b.p.attrs[slot]
	a.own = findColumns(b.V.Attrs(LevelOf(name.Scope)), name.Name)
	if name.Scope == syntax.ScopeNone {
		a.resource = findColumns(b.V.Attrs(trace.ResourceLevel), name.Name)
	}
	return a
}

// maxArrayBytes bounds the decoded arrays that a Bound keeps.
const maxArrayBytes = 4 << 20

// value returns the language's value at a position of a column. It decodes an array once per dictionary code,
// up to maxArrayBytes.
func (b *Bound) value(attrs *trace.Attrs, c *trace.Column, i int) (Value, bool) {
	if c.Type != trace.Array {
		return FromAttr(attrs.At(c, i))
	}
	d, ok := b.array[c.Codes[i]]
	if !ok {
		encoded := attrs.At(c, i)
		d.v, d.ok = FromAttr(encoded)
		if b.array == nil || b.arrayBytes > maxArrayBytes {
			b.array, b.arrayBytes = map[uint32]decoded{}, 0
		}
		b.array[c.Codes[i]] = d
		b.arrayBytes += decodedBytes + len(d.v.Elems)*elemBytes + len(encoded.Str())
	}
	return d.v, d.ok
}

// maskOf returns the rows that a condition may keep.
func maskOf(b *Bound, c cond) Mask {
	var first cond
	chain, isChain := c.(allOf)
	if first = c; isChain && len(chain) > 0 {
		first = chain[0]
	}
	if l, ok := first.(leaf); ok {
		if m, ok := l.byColumn(b); ok { // Fast path: no mask of all rows is needed.
			if isChain {
				chain[1:].narrow(b, m)
			}
			return m
		}
	}
	m := fullMask(b.V.Spans())
	c.narrow(b, m)
	return m
}

// mask returns the rows that a filter may keep. It is exact unless the filter reads a fact of the whole trace.
func (b *Bound) mask(filter int) Mask {
	if b.masks[filter] == nil {
		m := maskOf(b, b.p.filters[filter].cond)
		b.masks[filter] = m
		_ = b.memory.Take(8*len(m), Progress{Format: "filter %d of %d", A: filter + 1, B: len(b.masks)}) // the context tells
	}
	return b.masks[filter]
}
