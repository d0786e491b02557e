package trace

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// seed and its two words differ from process to process, so that nobody can
// prepare ids or strings that all fall on one hash slot.
var (
	seed     = maphash.MakeSeed()
	secretLo = maphash.String(seed, "lo")
	secretHi = maphash.String(seed, "hi") | 1
)

// index is a hash table from a 32-bit hash to a 32-bit number (a string code, a
// trace number or a row). The caller compares keys; the index only finds
// candidates. Slots are filled once and never emptied, which lets readers probe
// while the writer inserts: they use the slots array of their View, load slots
// atomically, and ignore numbers that are newer than the View.
type index struct {
	slots []uint64 // hash<<32 | number+1; 0 is free; length a power of two
	used  int
}

const minSlots = 64

// roomyIndex returns an empty index with as many slots as x has.
func roomyIndex(x *index) index { return index{slots: make([]uint64, len(x.slots))} }

// candidates calls yield with each number stored under the hash.
func (x *index) candidates(hash uint32) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		mask := uint32(len(x.slots) - 1)
		if len(x.slots) == 0 {
			return
		}
		for i := hash & mask; ; i = (i + 1) & mask {
			slot := atomic.LoadUint64(&x.slots[i])
			if slot == 0 {
				return
			}
			if uint32(slot>>32) == hash && !yield(uint32(slot)-1) {
				return
			}
		}
	}
}

// insert adds a number. Writer only.
func (x *index) insert(hash, number uint32) {
	if 3*len(x.slots) <= 4*x.used+4 { // at most three quarters full
		x.grow()
	}
	x.put(x.slots, uint64(hash)<<32|uint64(number+1))
	x.used++
}

func (x *index) put(slots []uint64, slot uint64) {
	mask := uint32(len(slots) - 1)
	i := uint32(slot>>32) & mask
	for slots[i] != 0 {
		i = (i + 1) & mask
	}
	atomic.StoreUint64(&slots[i], slot)
}

// grow moves to an array of twice the size. Readers keep the old array, which
// holds all that their View may see.
func (x *index) grow() {
	next := make([]uint64, max(minSlots, 2*len(x.slots)))
	for _, slot := range x.slots {
		if slot != 0 {
			x.put(next, slot)
		}
	}
	x.slots = next
}

func hashBytes(b []byte) uint32 { return fold(maphash.Bytes(seed, b)) }

func hashString(s string) uint32 { return fold(maphash.String(seed, s)) }

// hashSpan mixes a span id with the number of its trace.
func hashSpan(trace uint32, id SpanID) uint32 {
	var word uint64
	for _, b := range id {
		word = word<<8 | uint64(b)
	}
	hi, lo := bits.Mul64(word^secretLo, (uint64(trace)<<1|1)*secretHi)
	return fold(hi ^ lo)
}

func fold(h uint64) uint32 { return uint32(h) ^ uint32(h>>32) }
