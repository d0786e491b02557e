package block

import (
	"context"
	"errors"
	"fmt"

	"etude/store/block/layout"
	"etude/trace"
)

// cursor walks a column parent by parent: next returns the values of the next one.
// A parent is a row, or an attribute of a row.
type cursor struct {
	p      *reading
	column *stored
	v      *values
	depth  uint8 // the definition and repetition level of a parent that exists
	none   bool  // no parent has a value, so next does not walk the levels
	at     int   // the next entry
	value  int   // the next value
}

var errEntries = errors.New("it has fewer or more rows than other columns of the row group")

// open reads the column. A column that the file lacks has no values.
func (c *cursor) open(ctx context.Context, p *reading, from *stored, depth uint8) error {
	return c.openIf(ctx, p, from, depth, nil)
}

// openIf is open, but if the dictionary fails the test the column counts as empty.
func (c *cursor) openIf(ctx context.Context, p *reading, from *stored, depth uint8, dictionary func(*texts) bool) (err error) {
	c.p, c.column, c.depth = p, from, depth
	if from == nil {
		c.none = true
		return nil
	}
	c.v, err = p.read(ctx, from, wants{rep: true, def: true, dictionary: dictionary})
	if err != nil {
		return err
	}
	c.none = len(c.v.index) == 0 && len(c.v.nums) == 0
	return nil
}

// next returns the values of the next parent: the place of the first and their number n.
func (c *cursor) next() (from, n int, err error) {
	rep, def := c.v.rep, c.v.def
	for c.at < len(def) && def[c.at] < c.depth { // no parent
		c.at++
	}
	if c.at >= len(def) || rep[c.at] > c.depth {
		return 0, 0, c.damage(errEntries)
	}
	from = c.value
	full := c.column.file.def
	for {
		if def[c.at] == full {
			c.value++
		}
		c.at++
		if c.at >= len(rep) || rep[c.at] <= c.depth {
			break
		}
	}
	return from, c.value - from, nil
}

// end reports whether the column had values for more parents.
func (c *cursor) end() error {
	if c.none || c.v == nil {
		return nil
	}
	for ; c.at < len(c.v.def); c.at++ {
		if c.v.def[c.at] >= c.depth {
			return c.damage(errEntries)
		}
	}
	return nil
}

func (c *cursor) damage(err error) error { return c.p.b.damage(c.p.number, c.column, err) }

// text returns a byte string.
func (v *values) text(i int) []byte { return v.texts.get(v.index[i]) }

// code returns a byte string's code in the dictionary of the part.
func (v *values) code(d *trace.Dict, i int) uint32 {
	if v.codes == nil {
		v.codes = make([]uint32, v.texts.len())
	}
	at := v.index[i]
	if v.codes[at] == 0 {
		v.codes[at] = d.Add(v.texts.get(at)) + 1
	}
	return v.codes[at] - 1
}

// one checks that each of n rows has exactly one value.
func (p *reading) one(c *stored, v *values, n int) error {
	if got := len(v.index) + len(v.nums); got != n {
		return p.b.damage(p.number, c, fmt.Errorf("%d values for %d rows", got, n))
	}
	return nil
}

// readTexts reads a column with one byte string per row. It returns nil if the file lacks the column.
func (p *reading) readTexts(ctx context.Context, of layout.Owner, f layout.Field, rows int) (*values, error) {
	c := p.b.stored(of, f)
	if c == nil {
		return nil, nil
	}
	v, err := p.read(ctx, c, wants{})
	if err != nil {
		return nil, err
	}
	return v, p.one(c, v, rows)
}

// readNumbers reads a column with one number per row. It returns nil if the file lacks the column.
func (p *reading) readNumbers(ctx context.Context, of layout.Owner, f layout.Field, rows int) ([]uint64, error) {
	v, err := p.readTexts(ctx, of, f, rows)
	if v == nil || err != nil {
		return nil, err
	}
	return v.nums, nil
}

// readCounts reads the counts of attributes, events or links that senders dropped.
func (p *reading) readCounts(ctx context.Context, of layout.Owner, f *frame) ([]uint32, error) {
	numbers, err := p.readNumbers(ctx, of, layout.FieldDropped, f.count(of))
	if numbers == nil || err != nil {
		return nil, err
	}
	counts := make([]uint32, len(numbers))
	for i, n := range numbers {
		counts[i] = uint32(n)
	}
	return counts, nil
}

// readCodes reads a column of texts as codes.
func (p *reading) readCodes(ctx context.Context, of layout.Owner, f layout.Field, frame *frame) ([]uint32, error) {
	return p.codes(ctx, of, f, frame.count(of))
}

func (p *reading) codes(ctx context.Context, of layout.Owner, f layout.Field, rows int) ([]uint32, error) {
	v, err := p.readTexts(ctx, of, f, rows)
	if v == nil || err != nil {
		return nil, err
	}
	codes := make([]uint32, rows)
	for i := range codes {
		codes[i] = v.code(p.dict, i)
	}
	return codes, nil
}
