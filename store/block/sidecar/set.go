package sidecar

import "math/bits"

// A set of numbers is a bitmap.

// emptySet returns an empty set of numbers below n, in the memory of another if there is enough.
func emptySet(set []uint64, n int) []uint64 {
	words := (n + 63) / 64
	if cap(set) < words {
		return make([]uint64, words, words+words/8)
	}
	set = set[:words]
	clear(set)
	return set
}

// isNew adds a number to a set. It reports whether the number is new.
func isNew(set []uint64, n uint32) bool {
	word, bit := &set[n/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// appendSet appends the numbers of a set in order.
func appendSet(dst []uint32, set []uint64) []uint32 {
	for i, word := range set {
		for ; word != 0; word &= word - 1 {
			dst = append(dst, uint32(64*i+bits.TrailingZeros64(word)))
		}
	}
	return dst
}

// hashSet is a set of hashes, in a table that is at most half full.
type hashSet struct {
	slots []uint64 // 0: free
	used  int
}

// add reports whether the hash is new.
func (s *hashSet) add(h uint64) bool {
	if 2*s.used >= len(s.slots) {
		s.grow()
	}
	if !s.put(h) {
		return false
	}
	s.used++
	return true
}

func (s *hashSet) put(h uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := (h >> 1) & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return false
		case 0:
			s.slots[i] = h
			return true
		}
	}
}

func (s *hashSet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(1024, 2*len(old)))
	for _, h := range old {
		if h != 0 {
			s.put(h)
		}
	}
}

func (s *hashSet) clear() {
	clear(s.slots)
	s.used = 0
}

func (s *hashSet) all() []uint64 {
	all := make([]uint64, 0, s.used)
	for _, h := range s.slots {
		if h != 0 {
			all = append(all, h)
		}
	}
	return all
}
