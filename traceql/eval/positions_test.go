package eval

import "testing"

// TestPositions goes beyond the keys that are found one by one.
func TestPositions(t *testing.T) {
	t.Parallel()
	var p positions[int]
	for round := range 2 {
		for key := range 3 * maxFew {
			if number, fresh := p.of(-key); number != key || fresh != (round == 0) {
				t.Fatalf("round %d: key %d has number %d, fresh %t", round, -key, number, fresh)
			}
		}
	}
}
