package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"etude/internal/wire"
	"etude/otlp"
	"etude/store/block/layout"
	"etude/trace"
)

// extras holds the values of the column EtudeExtra (see layout/extra.go) of the traces of a part. Most traces
// have none. The methods of a nil extras act as for a block without the column.
type extras struct {
	column *stored
	traces []uint32 // the traces that have a value, ascending
	says   [][]byte // the value of each of these traces
}

// extras returns the traces' values, or nil if no trace has one.
func (p *reading) extras(ctx context.Context) (x *extras, err error) {
	if s := p.skeleton; !s.hasExtra {
		if s.extra, err = p.readExtras(ctx, len(s.ids)); err != nil {
			return nil, err
		}
		s.hasExtra = true
		p.b.cache.grow(p, s.extra.bytes())
	}
	return p.skeleton.extra, nil
}

// extrasOf returns the values for a reader of the attributes of some keys; nil keys mean all. It returns nil if
// no trace keeps an attribute of these keys in its value. That is the usual case, and it saves the memory of
// the values. The values contain such keys as plain bytes, so a search for the bytes decides.
func (p *reading) extrasOf(ctx context.Context, keys map[string]bool) (*extras, error) {
	s := p.skeleton
	if keys == nil || s.hasExtra {
		return p.extras(ctx)
	}
	if p.b.listed()[p.number] { // Fast path
		return nil, nil
	}
	var asked [][]byte
	for key := range keys {
		if !s.lacks[key] {
			asked = append(asked, []byte(key))
		}
	}
	c := p.b.stored(layout.OfTrace, layout.FieldEtude)
	if c == nil || len(asked) == 0 {
		return nil, nil
	}
	has := func(page []byte) bool {
		return slices.ContainsFunc(asked, func(key []byte) bool { return bytes.Contains(page, key) })
	}
	v, err := p.read(ctx, c, wants{raw: has})
	if err != nil {
		return nil, err
	}
	if slices.Contains(v.found, true) || has(v.texts.data) {
		return p.extras(ctx)
	}
	if s.lacks == nil {
		s.lacks = map[string]bool{}
	}
	for _, key := range asked {
		s.lacks[string(key)] = true
	}
	return nil, nil
}

// readExtras reads the column. It returns nil if the file lacks it.
func (p *reading) readExtras(ctx context.Context, traces int) (*extras, error) {
	v, err := p.readTexts(ctx, layout.OfTrace, layout.FieldEtude, traces)
	if v == nil || err != nil {
		return nil, err
	}
	x := &extras{column: p.b.stored(layout.OfTrace, layout.FieldEtude)}
	for t := range traces {
		if b := v.text(t); len(b) > 0 {
			x.traces, x.says = append(x.traces, uint32(t)), append(x.says, b)
		}
	}
	return x, nil
}

// each calls visit for each field with the given number.
func (x *extras) each(number wire.Number, visit func(trace uint32, data []byte)) {
	if x == nil {
		return
	}
	for i, t := range x.traces {
		r := wire.Reader{Rest: x.says[i]}
		for r.Next() {
			if r.IsBytes(number) {
				visit(t, r.Data)
			}
		}
	}
}

// firstRows returns the first row of each trace, and last the number of rows. Its input is the trace number of
// each row, ascending.
func firstRows(traceOf []uint32, traces int) []uint32 {
	first := make([]uint32, traces+1)
	for _, t := range traceOf {
		first[t+1]++
	}
	for t := range traces {
		first[t+1] += first[t]
	}
	return first
}

// rowIn returns a row of the part by its number within its trace.
func rowIn(first []uint32, trace uint32, n uint64) (row uint32, ok bool) {
	if n >= uint64(first[trace+1]-first[trace]) {
		return 0, false
	}
	return first[trace] + uint32(n), true
}

// resources returns the schema URL and the fields kept as sent of each resource of the file, as codes; or nil
// if there are none.
func (x *extras) resources(d *trace.Dict, f *frame) (schema, extra []uint32) {
	first := firstRows(f.resourceTrace, f.traces)
	x.each(layout.ExtraResource, func(t uint32, data []byte) {
		if schema == nil {
			schema, extra = make([]uint32, len(f.resourceTrace)), make([]uint32, len(f.resourceTrace))
		}
		n, text, fields := numbered(data)
		if row, ok := rowIn(first, t, n); ok {
			schema[row], extra[row] = d.Add(text), d.Add(fields)
		}
	})
	return schema, extra
}

// scopes returns the schema URL of each scope of the file.
func (x *extras) scopes(d *trace.Dict, f *frame) (schema []uint32) {
	first := firstRows(f.scopeTrace(), f.traces)
	x.each(layout.ExtraScope, func(t uint32, data []byte) {
		if schema == nil {
			schema = make([]uint32, len(f.scopeResource))
		}
		n, text, _ := numbered(data)
		if row, ok := rowIn(first, t, n); ok {
			schema[row] = d.Add(text)
		}
	})
	return schema
}

// numbered reads a message that has a row and two texts.
func numbered(b []byte) (row uint64, first, second []byte) {
	r := wire.Reader{Rest: b}
	for r.Next() {
		switch {
		case r.IsVarint(1):
			row = r.Value
		case r.IsBytes(2):
			first = r.Data
		case r.IsBytes(3):
			second = r.Data
		}
	}
	return row, first, second
}

// flags reads the flags of the spans or links of all traces.
func (x *extras) flags(number wire.Number, first []uint32) trace.Sparse {
	var rows, values []uint32
	x.each(number, func(t uint32, b []byte) {
		at, end := first[t], first[t+1]
		for len(b) > 0 && at < end {
			count, n := binary.Uvarint(b)
			flags, m := binary.Uvarint(b[max(n, 0):])
			if n <= 0 || m <= 0 {
				return
			}
			b = b[n+m:]
			for ; count > 0 && at < end; count-- {
				if flags != 0 {
					rows, values = append(rows, at), append(values, uint32(flags))
				}
				at++
			}
		}
	})
	return trace.NewSparse(rows, values)
}

// orderOf has the fields of a level: with a number for each row, and the older one with a code for each row.
var orderOf = map[trace.Level][2]wire.Number{trace.ResourceLevel: {layout.ExtraResourceOrders, layout.ExtraResourceCodes},
	trace.SpanLevel: {layout.ExtraSpanOrders, layout.ExtraSpanCodes}, trace.EventLevel: {layout.ExtraEventOrders, layout.ExtraEventCodes}}

// orders walks the order codes of a level. The caller asks row by row, ascending.
type orders struct {
	x      *extras
	fields [2]wire.Number
	first  []uint32
	at     int    // in x.traces
	end    uint32 // the row after the trace whose codes are in rest
	rest   []byte
	codes  [][]byte // of the trace; rest then has numbers
	coded  bool     // rest has codes
}

// next returns the code of a row; it is empty for a row in the order of the file.
func (o *orders) next(row uint32) (code []byte) {
	for row >= o.end {
		if o.x == nil || o.at >= len(o.x.traces) {
			return nil
		}
		t := o.x.traces[o.at]
		if row < o.first[t] {
			return nil
		}
		o.rest, o.end = nil, o.first[t+1]
		if row < o.end {
			o.begin(o.x.says[o.at])
		}
		o.at++
	}
	switch {
	case len(o.rest) == 0:
		return nil
	case o.coded:
		code, o.rest = orderCode(o.rest)
		return code
	}
	number, n := binary.Uvarint(o.rest)
	if o.rest = o.rest[max(n, 0):]; n <= 0 || number > uint64(len(o.codes)) {
		o.rest = nil
		return nil
	}
	if number > 0 {
		code = o.codes[number-1]
	}
	return code
}

// begin finds the codes of a trace in its value.
func (o *orders) begin(value []byte) {
	for r := (wire.Reader{Rest: value}); r.Next(); {
		switch {
		case r.IsBytes(o.fields[1]):
			o.rest, o.coded = r.Data, true
		case r.IsBytes(o.fields[0]):
			o.codes, o.rest, o.coded = o.codes[:0], r.Data, false
			count, n := binary.Uvarint(o.rest)
			o.rest = o.rest[max(n, 0):]
			for ; count > 0 && len(o.rest) > 0; count-- {
				var code []byte
				code, o.rest = orderCode(o.rest)
				o.codes = append(o.codes, code)
			}
		}
	}
}

// whole returns the attribute lists that traces keep whole, by row, as encoded KeyValues.
func (x *extras) whole(level trace.Level, first []uint32) map[uint32][][]byte {
	var rows map[uint32][][]byte
	x.each(layout.ExtraWhole, func(t uint32, b []byte) {
		var l, n uint64
		var attrs [][]byte
		r := wire.Reader{Rest: b}
		for r.Next() {
			switch {
			case r.IsVarint(1):
				l = r.Value
			case r.IsVarint(2):
				n = r.Value
			case r.IsBytes(3):
				attrs = append(attrs, r.Data)
			}
		}
		if row, ok := rowIn(first, t, n); ok && l == uint64(level) {
			if rows == nil {
				rows = map[uint32][][]byte{}
			}
			rows[row] = attrs
		}
	})
	return rows
}

// orderCode splits the code of the first row off.
func orderCode(b []byte) (code, rest []byte) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return nil, nil
	}
	b = b[size:]
	at := 0
	for range 2 * n {
		_, size := binary.Uvarint(b[at:])
		if size <= 0 {
			return nil, nil
		}
		at += size
	}
	return b[:at], b[at:]
}

// replace drops the attributes from start on and adds the whole list of the row.
func (r *attrReader) replace(start int, whole [][]byte) error {
	r.list.attrs = r.list.attrs[:start]
	for _, b := range whole {
		if err := r.addKeyValue(b); err != nil {
			return err
		}
	}
	return nil
}

// order puts the attributes of the last row, which begin at start, in the order of a code. The attributes from
// own on come from own columns.
func (r *attrReader) order(code []byte, start, own int) {
	r.scratch = append(r.scratch[:0], r.list.attrs[start:]...)
	listed, owned := r.scratch[:own-start], r.scratch[own-start:]
	out := r.list.attrs[:start]
	done := 0
	for len(code) > 0 {
		number, n := binary.Uvarint(code)
		before, m := binary.Uvarint(code[n:])
		code = code[n+m:]
		for ; done < len(listed) && uint64(done) < before; done++ {
			out = append(out, listed[done])
		}
		for i := range owned {
			if uint64(r.numbers[i]) == number {
				out = append(out, owned[i])
				r.numbers[i] = placed
				break
			}
		}
	}
	out = append(out, listed[done:]...)
	for i := range owned {
		if r.numbers[i] != placed {
			out = append(out, owned[i])
		}
	}
	r.list.attrs = out
}

// placed marks an attribute that order has placed.
const placed = ^uint32(0)

// addKeyValue adds an attribute from an encoded KeyValue.
func (r *attrReader) addKeyValue(b []byte) error {
	var key, value []byte
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.IsBytes(1):
			key = c.Data
		case c.IsBytes(2):
			value = c.Data
		}
	}
	if c.Err != nil {
		return errors.New("an attribute kept whole is damaged")
	}
	if !r.wants(string(key)) {
		return nil
	}
	return r.addEncoded(r.name(string(key)), value)
}

// addEncoded adds an encoded AnyValue.
func (r *attrReader) addEncoded(name uint32, b []byte) error {
	t, content, number, err := otlp.ReadValue(b)
	if err != nil {
		return fmt.Errorf("attribute %q: %w", r.list.names[name], err)
	}
	if t == trace.String || t == trace.Bytes || t == trace.Array || t == trace.KVList {
		number = uint64(r.p.dict.Add(content))
	}
	r.add(name, t, number)
	return nil
}

func (x *extras) bytes() (n int) {
	if x != nil {
		for _, says := range x.says {
			n += 28 + len(says)
		}
	}
	return n
}
