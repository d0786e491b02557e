package eval

import "math/bits"

// Mask is a set of rows of one table.
type Mask []uint64

// NewMask returns the empty set of n rows.
func NewMask(n int) Mask { return make(Mask, (n+63)/64) }

// fullMask returns the set of all n rows.
func fullMask(n int) Mask {
	m := NewMask(n)
	for i := range m {
		m[i] = ^uint64(0)
	}
	if rest := n % 64; rest != 0 {
		m[len(m)-1] = 1<<rest - 1
	}
	return m
}

// Has reports whether a row is in the set.
func (m Mask) Has(row uint32) bool { return m[row>>6]&(1<<(row&63)) != 0 }

// Set puts a row into the set.
func (m Mask) Set(row uint32) { m[row>>6] |= 1 << (row & 63) }

func (m Mask) clear(row uint32) { m[row>>6] &^= 1 << (row & 63) }

func (m Mask) clone() Mask { return append(Mask(nil), m...) }

// Empty reports whether no row is in the set.
func (m Mask) Empty() bool {
	for _, w := range m {
		if w != 0 {
			return false
		}
	}
	return true
}

// count returns the number of rows.
func (m Mask) count() (n int) {
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// Rows yields the rows of the set in order.
func (m Mask) Rows(yield func(uint32) bool) {
	for i, w := range m {
		for ; w != 0; w &= w - 1 {
			if !yield(uint32(i<<6 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}

func (m Mask) and(o Mask) {
	for i := range m {
		m[i] &= o[i]
	}
}

func (m Mask) or(o Mask) {
	for i := range m {
		m[i] |= o[i]
	}
}

// AndNot removes the rows of another set.
func (m Mask) AndNot(o Mask) {
	for i := range m {
		m[i] &^= o[i]
	}
}

// fill returns the set of rows below n for which test holds.
func fill(n int, test func(row int) bool) Mask {
	m := NewMask(n)
	for i := range n {
		if test(i) {
			m[i>>6] |= 1 << (i & 63)
		}
	}
	return m
}
