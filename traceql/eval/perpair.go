package eval

import "sync"

// perPair keeps what is known of pairs of Tables, which many queries ask and add
// to. When it is full it begins anew: what it holds is costly, not precious.
type perPair[T any] struct {
	mu    sync.Mutex
	known map[tablePair]*T
}

type tablePair struct{ older, newer uint64 } // ids of Tables

// get returns what is known, nil for nothing. It is never changed.
func (p *perPair[T]) get(pair tablePair) *T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[pair]
}

// put takes the place of what was known; at most so many pairs are kept.
func (p *perPair[T]) put(pair tablePair, x *T, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= most {
		p.known = map[tablePair]*T{}
	}
	p.known[pair] = x
}
