package query

import (
	"math"

	"etude/trace"
	"etude/traceql/eval"
)

// A query finds the distinct values of a column from its newest position backwards, and only as many as it
// needs, so the first thousand of a million values cost a thousand. The list stays with the View, which never
// changes: a query reads a column with few values once, and the next query reuses the list.
//
// A list ends when its texts fill a whole answer. No query needs more: a reader that consumed the whole list
// has reached the limit of the answer.
//
// Rejected: making the lists when the store seals a Table. Ingest would pay for every column, and a query would
// still have to scan the growing Table.

// column is a column of attributes at a level of a View, or an intrinsic in the same form: its Key is the
// canonical name, and its Rows are nil because every row has a value.
type column struct {
	*trace.Column
	level     trace.Level
	intrinsic bool
}

// columnID identifies a column within its View.
type columnID struct {
	level     trace.Level
	typ       trace.Type
	intrinsic bool
	key       string
}

func (c column) id() columnID { return columnID{c.level, c.Type, c.intrinsic, c.Key} }

// distinct has the distinct values of one column, the newest first, as far as queries have found them.
type distinct struct {
	column
	v     *trace.View
	keep  func(row uint32) bool // nil for every row
	found []uint32              // positions; grows only
	below int                   // upTo has read the positions from here on
	bytes int                   // of the texts found

	seen     []uint64 // set of codes
	seenNums numbers  // set of numbers
}

func newDistinct(v *trace.View, c column, keep func(row uint32) bool) *distinct {
	d := &distinct{column: c, v: v, keep: keep, below: max(len(c.Codes), len(c.Nums))}
	switch {
	case c.Type == trace.Bool:
		d.seen = make([]uint64, 1)
	case len(c.Codes) > 0:
		d.seen = make([]uint64, (v.Strings.Len()+63)/64)
	}
	return d
}

// upTo searches until it has n values or the column has no more. It returns all found values. Done means that
// there are no more.
func (d *distinct) upTo(n int) (found []uint32, done bool) {
	for d.below > 0 && len(d.found) < n && d.bytes <= maxTagBytes {
		if len(d.Codes) > 0 { // a column of numbers may have empty codes
			d.nextCode()
		} else {
			d.nextNumber()
		}
	}
	if done = d.below == 0 || d.bytes > maxTagBytes; done {
		d.seen, d.seenNums = nil, numbers{}
	}
	return d.found, done
}

// each calls yield with the values until it returns false. More is upTo under the lock that guards the list. A
// returned slice does not change.
func (d *distinct) each(more func(n int) (found []uint32, done bool), yield func(TagValue) bool) {
	for from, want := 0, 64; ; want *= 4 {
		found, done := more(want)
		for _, i := range found[from:] {
			if !yield(d.value(d.v, i)) {
				return
			}
		}
		if done {
			return
		}
		from = len(found)
	}
}

// nextCode goes back to the next new code. Hot: it reads every row of a column
// of few values.
func (d *distinct) nextCode() {
	for i := d.below - 1; i >= 0; i-- {
		code := d.Codes[i]
		if d.seen[code>>6]&(1<<(code&63)) == 0 && d.keeps(i) {
			d.seen[code>>6] |= 1 << (code & 63)
			d.add(i)
			return
		}
	}
	d.below = 0
}

func (d *distinct) nextNumber() {
	for i := d.below - 1; i >= 0; i-- {
		if !d.seenNums.has(d.Nums[i]) && d.keeps(i) {
			d.seenNums.add(d.Nums[i])
			d.add(i)
			return
		}
	}
	d.below = 0
}

func (d *distinct) add(i int) {
	d.below = i
	d.found = append(d.found, uint32(i))
	if d.Type == trace.String {
		if n := len(d.v.Text(d.Codes[i])); n <= maxTagBytes { // no answer has a longer one
			d.bytes += n
		}
	}
}

func (d *distinct) keeps(i int) bool {
	if d.keep == nil {
		return true
	}
	row := uint32(i)
	if d.Rows != nil {
		row = d.Rows[i]
	}
	return d.keep(row)
}

// value returns the value at a position in the form of answers.
func (c column) value(v *trace.View, i uint32) TagValue {
	switch c.Type {
	case trace.Int:
		return tagValue(eval.Value{Type: eval.Int, Int: int64(c.Nums[i])})
	case trace.Double:
		return tagValue(eval.Value{Type: eval.Float, Float: math.Float64frombits(c.Nums[i])})
	case trace.Bool:
		return tagValue(eval.Value{Type: eval.Bool, Int: int64(c.Codes[i])})
	}
	return TagValue{valueTypes[eval.String], v.Text(c.Codes[i])}
}

// numbers is a set of numbers with a fast path for recently used ones.
type numbers struct {
	set    map[uint64]struct{}
	recent [64]uint64
	filled uint64 // slots of recent in use
}

func (n *numbers) has(x uint64) bool {
	slot := x * 0x9e3779b97f4a7c15 >> 58
	if n.filled&(1<<slot) != 0 && n.recent[slot] == x {
		return true
	}
	if _, ok := n.set[x]; !ok {
		return false
	}
	n.recent[slot], n.filled = x, n.filled|1<<slot
	return true
}

func (n *numbers) add(x uint64) {
	if n.set == nil {
		n.set = map[uint64]struct{}{}
	}
	n.set[x] = struct{}{}
}
