package query

import (
	"math"

	"etude/trace"
	"etude/traceql/eval"
)

// A query finds the distinct values of a column from its newest position backwards, and only as many as it needs, so
// the first thousand of a million cost a thousand. The list stays with the View, which never changes: a column of few
// values is read once, and the next query gets the list.
//
// A list ends when its texts fill a whole answer. The rest is not needed: a reader that consumed the whole list has
// reached the limit of the answer.
//
// The rejected alternative, lists made when a Table is sealed, would pay for
// every column at ingest and still leave the growing Table to be scanned.

// column is a column of attributes at a level of a View, or an intrinsic as one: its
// Key is the canonical name, and its Rows are nil, for it has a value in every row.
type column struct {
	*trace.Column
	level     trace.Level
	intrinsic bool
}

// columnID tells a column from others of its View.
type columnID struct {
	level     trace.Level
	typ       trace.Type
	intrinsic bool
	key       string
}

func (c column) id() columnID { return columnID{c.level, c.Type, c.intrinsic, c.Key} }

// distinct are the distinct values of one column, the newest first, as far as
// they have been found.
type distinct struct {
	column
	v     *trace.View
	keep  func(row uint32) bool // nil for every row
	found []uint32              // positions; grows only
	below int                   // positions from here on have been read
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

// upTo looks for at least n values, when there are as many, and returns all
// found. Done tells that there are no more.
func (d *distinct) upTo(n int) (found []uint32, done bool) {
	for d.below > 0 && len(d.found) < n && d.bytes <= maxTagBytes {
		if len(d.Codes) > 0 { // a Table made like another has empty codes where it has numbers
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

// each calls yield with the values until it returns false. More is upTo, under
// the lock that guards the list; the slice that it has returned does not change.
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
		if n := len(d.v.Text(d.Codes[i])); n <= maxTagBytes { // a longer one is in no answer
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

// value returns the value at a position, as answers print it.
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

// numbers is a set of numbers that answers fast for those asked for lately.
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
