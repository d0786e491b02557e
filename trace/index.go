package trace

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// seed and its two words differ between processes, so that no sender can construct ids or strings that share
// one hash slot.
var (
	seed     = maphash.MakeSeed()
	secretLo = maphash.String(seed, "lo")
	secretHi = maphash.String(seed, "hi") | 1
)

// index is a hash table to numbers (string codes, trace numbers or rows), which are inserted as 0, 1, 2, ...
// The caller compares keys; the index only finds candidates. A slot has the number in the low bits that the
// table's size requires, and as much of the hash as fits above them. This takes half the memory of whole
// hashes, which matters because the cache limits the writer's speed. Slots are filled once and never emptied,
// so readers may probe while the writer inserts: they use the slots array of their View, load slots atomically,
// and ignore numbers that are newer than the View.
type index struct {
	slots []uint32 // hash's high bits | number+1; 0 is free; length a power of two
	used  int
}

const minSlots = 64

// roomyIndex returns an empty index with as many slots as x has.
func roomyIndex(x *index) index { return index{slots: make([]uint32, len(x.slots))} }

// candidates calls yield with each number that may have the hash.
func (x *index) candidates(hash uint32) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		if len(x.slots) == 0 {
			return
		}
		mask := uint32(len(x.slots) - 1)
		for i := hash & mask; ; i = (i + 1) & mask {
			slot := atomic.LoadUint32(&x.slots[i])
			if slot == 0 {
				return
			}
			if (slot^hash)&^mask == 0 && !yield(slot&mask-1) {
				return
			}
		}
	}
}

// insert adds the next number, which equals the number of entries. hashOf returns the hash of an earlier
// number, in case the table must grow. Only the writer may call it.
func (x *index) insert(hash uint32, hashOf func(number uint32) uint32) {
	if 3*len(x.slots) <= 4*x.used+4 { // Slow path
		x.reserve(1, hashOf)
	}
	put(x.slots, hash, uint32(x.used))
	x.used++
}

// reserve makes room for n more numbers. At most three quarters of the slots are used, so that number+1 fits
// below the mask.
func (x *index) reserve(n int, hashOf func(number uint32) uint32) {
	size := len(x.slots)
	for 3*size <= 4*(x.used+n) {
		size = max(minSlots, 2*size)
	}
	if size > len(x.slots) {
		x.grow(size, hashOf)
	}
}

func put(slots []uint32, hash, number uint32) {
	mask := uint32(len(slots) - 1)
	i := hash & mask
	for slots[i] != 0 {
		i = (i + 1) & mask
	}
	atomic.StoreUint32(&slots[i], hash&^mask|(number+1))
}

// grow moves to a larger array. Readers keep the old array, which has everything that their View may use.
func (x *index) grow(size int, hashOf func(number uint32) uint32) {
	next := make([]uint32, size)
	for number := range uint32(x.used) {
		put(next, hashOf(number), number)
	}
	x.slots = next
}

func hashBytes(b []byte) uint32 { return fold(maphash.Bytes(seed, b)) }

func hashString(s string) uint32 { return fold(maphash.String(seed, s)) }

// hashSpan mixes all properties that identify a span. A sender may give many spans of a trace the same id, so
// hashing only the id would put them into one slot.
func hashSpan(trace uint32, id SpanID, kind uint8, start uint64) uint32 {
	hi, lo := bits.Mul64(binary.BigEndian.Uint64(id[:])^secretLo, (uint64(trace)<<1|1)*secretHi)
	hi, lo = bits.Mul64(hi^lo^secretHi, start^uint64(kind)<<56^secretLo)
	return fold(hi ^ lo)
}

func fold(h uint64) uint32 { return uint32(h) ^ uint32(h>>32) }
