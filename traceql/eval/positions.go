package eval

import "slices"

// positions numbers keys 0, 1, 2, ... in the order in which they first occur. Nearly all queries have few keys,
// for which a linear search is faster than a map.
type positions[K comparable] struct {
	few  []K
	many map[K]int // nil while there are at most maxFew
}

const maxFew = 16

// of returns the number of a key, and whether it is new.
func (p *positions[K]) of(key K) (number int, fresh bool) {
	if p.many == nil { // Fast path
		if number = slices.Index(p.few, key); number >= 0 {
			return number, false
		}
		if p.few = append(p.few, key); len(p.few) <= maxFew {
			return len(p.few) - 1, true
		}
		p.many = map[K]int{}
		for number, key := range p.few {
			p.many[key] = number
		}
		return len(p.few) - 1, true
	}
	number, known := p.many[key]
	if !known {
		number = len(p.many)
		p.many[key] = number
	}
	return number, !known
}
