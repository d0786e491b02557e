package write

import (
	"math"

	"etude/internal/wire"
	"etude/otlp"
	"etude/store/block/layout"
	"etude/trace"
)

// arrayValue is an array of scalars of one type, as the Value columns hold it.
type arrayValue struct {
	typ   trace.Type // Empty when it has no elements
	texts []string
	nums  []uint64
}

func (a *arrayValue) len() int { return len(a.texts) + len(a.nums) }

// parse reads an encoded AnyValue. It returns false for values that the columns cannot hold: mixed and nested
// arrays, and arrays with bytes or empty values.
func (a *arrayValue) parse(value string) bool {
	*a = arrayValue{}
	var list []byte
	c := wire.Reader{Rest: []byte(value)}
	for c.Next() {
		if c.IsBytes(5) {
			list = append(list, c.Data...)
		}
	}
	l := wire.Reader{Rest: list}
	for l.Next() {
		if l.IsBytes(1) && !a.element(l.Data) {
			return false
		}
	}
	return c.Err == nil && l.Err == nil
}

// element adds one element; if it has several fields, the last one counts.
func (a *arrayValue) element(b []byte) bool {
	t, str, num := trace.Empty, "", uint64(0)
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.IsBytes(1):
			t, str = trace.String, string(c.Data)
		case c.IsVarint(2):
			t, num = trace.Bool, min(c.Value, 1)
		case c.IsVarint(3):
			t, num = trace.Int, c.Value
		case c.IsFixed64(4):
			t, num = trace.Double, c.Value
		case c.IsBytes(5), c.IsBytes(6), c.IsBytes(7):
			return false
		}
	}
	if t == trace.Empty || a.len() > 0 && t != a.typ || c.Err != nil {
		return false
	}
	if a.typ = t; t == trace.String {
		a.texts = append(a.texts, str)
	} else {
		a.nums = append(a.nums, num)
	}
	return true
}

// oddValue returns the list entry of a non-scalar value: Array and its number for an array of scalars,
// otherwise KVList and the number of its JSON text.
func (g *shredder) oddValue(a *attrRows, v trace.Value) (trace.Type, uint64) {
	if v.Type == trace.Array {
		var array arrayValue
		if array.parse(v.Str()) {
			a.arrays = append(a.arrays, array)
			return trace.Array, uint64(len(a.arrays) - 1)
		}
	}
	json := otlp.ValueToJSON(nil, otlp.AppendValue(nil, v))
	return trace.KVList, uint64(g.texts.number(string(json)))
}

// valueColumns are the Value columns of the list of one level.
type valueColumns struct {
	isArray []bool
	text    valueColumn
	num     [3]valueColumn // Int, Double, Bool
	odd     valueColumn    // ValueUnsupported
}

// valueColumn is one of them. It has the levels of the list, unless a slot is an array.
type valueColumn struct {
	rows
	vals []uint64
}

// valuesOf builds the Value columns of a level in one walk over its list.
func (g *shredder) valuesOf(a *attrRows, attr layout.Owner) *valueColumns {
	v := &g.valueColumns
	if g.valuesFor == attr { // The columns of a level follow each other in the file.
		return v
	}
	g.valuesFor = attr
	max := layout.MaxLevel[attr]
	v.isArray = v.isArray[:0]
	all := [...]*valueColumn{&v.text, &v.num[0], &v.num[1], &v.num[2], &v.odd}
	for _, c := range all {
		c.rows.reset(g.pages)
		c.vals = c.vals[:0]
		c.def = append(c.def, a.def...)
		if len(a.arrays) == 0 {
			c.rep, c.ends = append(c.rep, a.rep...), append(c.ends, a.ends...)
		}
	}
	if len(a.arrays) > 0 {
		g.valuesWithArrays(a, v, max)
		return v
	}
	next := 0
	for slot, def := range a.def {
		if def < max {
			continue
		}
		c := all[columnOfType(a.types[next])]
		c.def[slot] = max + 1
		c.vals = append(c.vals, a.vals[next])
		next++
	}
	v.isArray = append(v.isArray, make([]bool, next)...)
	return v
}

// columnOfType returns the number of the Value column for a type.
func columnOfType(t trace.Type) int {
	switch t {
	case trace.String:
		return 0
	case trace.Int:
		return 1
	case trace.Double:
		return 2
	case trace.Bool:
		return 3
	}
	return 4
}

// valuesWithArrays is valuesOf for a list with arrays: a slot of an array becomes several.
func (g *shredder) valuesWithArrays(a *attrRows, v *valueColumns, max uint8) {
	all := [...]*valueColumn{&v.text, &v.num[0], &v.num[1], &v.num[2], &v.odd}
	for _, c := range all {
		c.rows.reset(g.pages)
	}
	next, page := 0, 0
	for slot, def := range a.def {
		for page < len(a.ends) && slot == a.ends[page] {
			for _, c := range all {
				c.endPage()
			}
			page++
		}
		rep := a.rep[slot]
		filled, val, array := -1, uint64(0), arrayValue{}
		if def == max {
			t := a.types[next]
			if val = a.vals[next]; t == trace.Array {
				array = a.arrays[val]
				t = array.typ
			}
			v.isArray = append(v.isArray, a.types[next] == trace.Array)
			if filled = columnOfType(t); a.types[next] == trace.Array && array.len() == 0 {
				filled = -1
			}
			next++
		}
		for n, c := range all {
			switch {
			case n != filled:
				c.add(rep, def)
			case array.len() > 0:
				g.addElements(c, &array, rep, max+1)
			default:
				c.add(rep, max+1)
				c.vals = append(c.vals, val)
			}
		}
	}
	for range len(a.ends) - page {
		for _, c := range all {
			c.endPage()
		}
	}
}

// addElements adds an array to the column of its type.
func (g *shredder) addElements(c *valueColumn, a *arrayValue, rep, max uint8) {
	for _, s := range a.texts {
		c.vals = append(c.vals, uint64(g.texts.number(s)))
	}
	c.vals = append(c.vals, a.nums...)
	for range a.len() {
		c.add(rep, max)
		rep = max
	}
}

func doubles(dst []float64, bits []uint64) []float64 {
	for _, b := range bits {
		dst = append(dst, math.Float64frombits(b))
	}
	return dst
}
