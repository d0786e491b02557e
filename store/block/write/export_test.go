package write

import (
	"slices"

	"etude/store/block/layout"
)

// Column is a column that a test may spoil before it is written.
type Column = columnData

// Tampered returns options with which a test sees each column before it is written.
func Tampered(change func(*layout.Leaf, *Column)) Options { return Options{tamper: change} }

// Indirect returns options with which the writer lists the attributes of each row.
func Indirect() Options { return Options{indirect: true} }

func (c *columnData) Add32()  { c.i32[0]++ }
func (c *columnData) Add64()  { c.i64[0]++ }
func (c *columnData) Rename() { c.dict[0] += "x" }

// SwapFirst exchanges the ids of the first two traces.
func (c *columnData) SwapFirst() {
	first := slices.Clone(c.bytes[:16])
	copy(c.bytes, c.bytes[16:32])
	copy(c.bytes[16:], first)
}
