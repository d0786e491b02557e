package sidecar

import "slices"

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

// hashList collects hashes other than 0. Some may occur several times.
type hashList struct {
	all  []uint64
	sort *hashSort // lists that are not used at the same time share one
}

// hashSort is memory for hashList.unique.
type hashSort struct {
	hashes []uint64
	starts []uint32
}

// manyHashes is the length from which the list drops repeated hashes before it grows.
const manyHashes = 1 << 18

func (l *hashList) add(h uint64) {
	if len(l.all) == cap(l.all) && len(l.all) >= manyHashes {
		l.unique()
	}
	l.all = append(l.all, h)
}

func (l *hashList) clear() { l.all = l.all[:0] }

// bucketSize is about the number of hashes of a bucket; its table has room for eight times as many.
const bucketSize = 64

// unique drops repeated hashes and returns the rest, in no order. It sorts the hashes into small buckets, each of which
// stays in the processor's cache; a table of all hashes would not.
func (l *hashList) unique() []uint64 {
	width, b := 0, l.sort
	for len(l.all)>>width > bucketSize {
		width++
	}
	b.starts = append(b.starts[:0], make([]uint32, 1<<width+1)...)
	for _, h := range l.all {
		b.starts[h>>1>>(63-width)+1]++
	}
	for i := range 1 << width {
		b.starts[i+1] += b.starts[i]
	}
	b.hashes = slices.Grow(b.hashes[:0], len(l.all))[:len(l.all)]
	for _, h := range l.all {
		at := &b.starts[h>>1>>(63-width)]
		b.hashes[*at] = h
		*at++ // first the start of the bucket, at last its end
	}
	kept, from := l.all[:0], uint32(0)
	for _, to := range b.starts[:1<<width] {
		kept = appendUnique(kept, b.hashes[from:to])
		from = to
	}
	l.all = kept
	return kept
}

// appendUnique appends the hashes of a bucket, each once.
func appendUnique(dst, bucket []uint64) []uint64 {
	var table [8 * bucketSize]uint64
	if len(bucket) > len(table)/2 { // Slow path: the hashes are not random.
		slices.Sort(bucket)
		return append(dst, slices.Compact(bucket)...)
	}
next:
	for _, h := range bucket {
		i := h >> 1 % uint64(len(table))
		for ; table[i] != 0; i = (i + 1) % uint64(len(table)) {
			if table[i] == h {
				continue next
			}
		}
		table[i] = h
		dst = append(dst, h)
	}
	return dst
}
