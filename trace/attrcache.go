package trace

import (
	"encoding/binary"
	"math/bits"
)

// attrCache finds repeated attributes by their encoded bytes, with one access to memory that stays in the
// processor's cache. Nearly every attribute repeats an earlier one. Only the others need a lookup in the
// columns and the dictionary, which are far larger.
type attrCache struct{ entries []attrEntry } // its length is a power of two, or 0

// attrEntry is an attribute of up to maxCached bytes. Of two attributes with the same hash, the later one
// remains.
type attrEntry struct {
	sent [maxCached]byte
	size uint8 // 0: free
	cell
}

// cell is a value in a column.
type cell struct {
	col  uint32
	code uint32 // of a text or Bool
	num  uint64 // of an Int or Double
}

const (
	cachedAttrs = 512
	maxCached   = 111 // with the other fields, an entry fills two cache lines of the processor
)

// add appends the cell to its column.
func (v *cell) add(c *Column, row uint32) {
	c.Rows = append(c.Rows, row)
	switch c.Type {
	case Int, Double:
		c.Nums = append(c.Nums, v.num)
	case Empty:
	default:
		c.Codes = append(c.Codes, v.code)
	}
}

// find returns the cell of an attribute, or nil.
func (a *attrCache) find(sent []byte) *cell {
	if len(a.entries) == 0 || len(sent) < 8 || len(sent) > maxCached {
		return nil
	}
	e := &a.entries[attrHash(sent)]
	if int(e.size) != len(sent) || string(e.sent[:e.size]) != string(sent) {
		return nil
	}
	return &e.cell
}

// put stores the cell of an attribute.
func (a *attrCache) put(sent []byte, v cell) {
	if len(sent) < 8 || len(sent) > maxCached {
		return
	}
	if a.entries == nil {
		a.entries = make([]attrEntry, cachedAttrs)
	}
	e := &a.entries[attrHash(sent)]
	e.size, e.cell = uint8(copy(e.sent[:], sent)), v
}

// attrHash hashes the length and at least eight bytes from both ends: keys differ at one end, values at the
// other.
func attrHash(b []byte) uint64 {
	first, last := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[len(b)-8:])
	hi, lo := bits.Mul64(first^secretLo, last^secretHi)
	return (hi ^ lo) % cachedAttrs
}
