package metrics

import (
	"math"
	"strings"

	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// labelName is the name of an attribute or intrinsic among labels. It is the same as in a query, but a quote in
// it causes no quoting.
func labelName(f syntax.Field) string {
	if a, ok := f.(*syntax.AttrRef); ok {
		return eval.AttrName(a.Attr)
	}
	return syntax.FieldText(f)
}

// labels numbers the values of one entry of by(), over all Views of a query. Number 0 is nil, for a span
// without a value.
type labels struct {
	numbers map[labelKey]uint32
	values  []eval.Value
	local   bool // local to one View: a text's code identifies it, without a lookup
	owned   bool // texts are copies, so that they do not keep the dictionary of a closed part in memory
	texts   int  // bytes of the texts

	// The most frequent lookups: the last value, and small ints (number + 1; 0 if unknown).
	last  labelKey
	lastN uint32
	small []uint32
}

// smallInts bounds the ints, from 0 on, that need no hashing: codes, counts, levels.
const smallInts = 1024

// Labels of fewer values than fewLabels have no table of small ints.
const fewLabels = 4

// labelKey identifies a value; n holds the bits of a float.
type labelKey struct {
	t eval.Type
	n int64
	s string
}

func newLabels() *labels {
	return &labels{numbers: map[labelKey]uint32{}, values: []eval.Value{{}}}
}

// number returns the number of a value.
func (l *labels) number(v eval.Value) uint32 {
	switch v.Type {
	case eval.Nil:
		return 0
	case eval.Array:
		v = arrayLabel
	case eval.Int:
		if v.Int >= 0 && v.Int < smallInts {
			return l.smallInt(v)
		}
	}
	return l.find(v)
}

func (l *labels) smallInt(v eval.Value) uint32 {
	if l.small == nil {
		if len(l.values) < fewLabels { // compare() has labels for every attribute.
			return l.find(v)
		}
		l.small = make([]uint32, smallInts)
	}
	n := &l.small[v.Int]
	if *n == 0 {
		*n = l.find(v) + 1
	}
	return *n - 1
}

func (l *labels) find(v eval.Value) uint32 {
	key := labelKey{v.Type, v.Int, v.Str}
	if v.Type == eval.Float {
		key.n = int64(math.Float64bits(v.Float))
	}
	if key == l.last {
		return l.lastN
	}
	n, ok := l.numbers[key]
	if !ok {
		if l.owned {
			key.s = strings.Clone(key.s)
			v.Str = key.s
		}
		l.texts += len(key.s)
		n = uint32(len(l.values))
		l.values = append(l.values, v)
		l.numbers[key] = n
	}
	l.last, l.lastN = key, n
	return n
}

// join adds the values of one View's labels and returns the number of each. The View may list a value twice, as
// a text and as another value.
func (l *labels) join(o *labels) []uint32 {
	to := make([]uint32, len(o.values))
	for n, v := range o.values {
		to[n] = l.number(v)
	}
	return to
}

// texts numbers dictionary codes of one View. It looks each up once.
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
		if v := eval.Text(t.v.Text(code)); t.l.local {
			t.l.values = append(t.l.values, v)
		} else {
			n = t.l.number(v)
		}
		t.seen[code] = n + 1
	}
	return t.seen[code] - 1
}

// labelColumn returns the label number of each row that has a slot. Fast path: by
// column, for attributes of spans, resources and scopes and the span's own fields; slow path: row by row.
func labelColumn(r *eval.Reader, v *trace.View, own *trace.Type, l *labels, slots []int32) []uint32 {
	out := labelArrays.zeroed(len(slots))
	t := &texts{l: l, v: v}
	switch {
	case r.Nothing:
	case r.Codes != nil:
		for row, slot := range slots {
			if slot != noSlot {
				out[row] = t.number(r.Codes[row])
			}
		}
	case r.Words != nil:
		wordLabels(r, l, slots, out)
	case r.ByScope || r.Columns != nil:
		if r.ByScope {
			labelsByScope(r, v, l, slots, out)
		}
		columnLabels(r, own, t, slots, out)
	default:
		for row, slot := range slots {
			if slot != noSlot {
				if r.Stop() {
					break
				}
				out[row] = l.number(r.Row(uint32(row)))
			}
		}
	}
	return out
}

// columnLabels overwrites the labels of rows that have a value. It goes from the last column and position to
// the first, so that the first value of a row stays. Own, unless nil, is the type of the only column that
// counts.
func columnLabels(r *eval.Reader, own *trace.Type, t *texts, slots []int32, out []uint32) {
	for i := len(r.Columns) - 1; i >= 0; i-- {
		c := r.Columns[i]
		if own != nil && c.Type != *own {
			continue
		}
		for at := len(c.Rows) - 1; at >= 0; at-- {
			row := c.Rows[at]
			if int(row) >= len(slots) || slots[row] == noSlot {
				continue
			}
			if c.Type == trace.String {
				out[row] = t.number(c.Codes[at])
			} else if v, ok := r.At(c, at); ok {
				out[row] = t.l.number(v)
			}
		}
	}
}

// labelsByScope evaluates once per scope, not once per row.
func labelsByScope(r *eval.Reader, v *trace.View, l *labels, slots []int32, out []uint32) {
	known := make([]uint32, v.Scopes()) // number + 1
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		n := &known[v.Scope[row]]
		if *n == 0 {
			*n = l.number(r.Base(uint32(row))) + 1
		}
		out[row] = *n - 1
	}
}

func wordLabels(r *eval.Reader, l *labels, slots []int32, out []uint32) {
	var known [256]uint32 // number + 1
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		n := &known[r.Words[row]]
		if *n == 0 {
			*n = l.number(eval.Value{Type: r.Type, Int: int64(r.Words[row])}) + 1
		}
		out[row] = *n - 1
	}
}
