package eval

import "etude/trace"

// Splits remembers which traces two Tables have both. Few have, since a trace
// comes within a moment; but to be sure takes a look into one for every trace of
// the other, more than all else that a structural operator does. It never
// changes for traces that are there, so it is looked for once. The zero Splits is
// ready, any goroutine may use it, and a nil one remembers nothing.
type Splits struct{ pairs perPair[split] }

// split is what is known of a pair.
type split struct {
	older, newer int         // traces that were looked at
	both         [][2]uint32 // numbers of the traces that both have: in the older Table, in the newer one
}

// maxSplits bounds what is remembered, to some MiB: all pairs of 300 Tables.
const maxSplits = 1 << 16

// between yields the numbers in v and in o of the traces that both have.
func (s *Splits) between(v, o *trace.View, yield func(number, there uint32)) {
	older, newer := v, o
	if v.ID() > o.ID() {
		older, newer = o, v
	}
	for _, p := range s.find(older, newer).both {
		switch {
		case int(p[0]) >= len(older.TraceIDs) || int(p[1]) >= len(newer.TraceIDs): // found in later Views
		case older == v:
			yield(p[0], p[1])
		default:
			yield(p[1], p[0])
		}
	}
}

// find looks at the traces that have come since the pair was looked at last.
func (s *Splits) find(o, n *trace.View) *split {
	if s == nil {
		return (&split{}).with(o, n)
	}
	pair := tablePair{o.ID(), n.ID()}
	known := s.pairs.get(pair)
	switch {
	case known == nil:
		known = &split{}
	case known.older >= len(o.TraceIDs) && known.newer >= len(n.TraceIDs):
		return known
	case known.older > len(o.TraceIDs) || known.newer > len(n.TraceIDs):
		// One View is later than what is known and one is not. What is known would
		// have to be known of both.
		return (&split{}).with(o, n)
	}
	known = known.with(o, n)
	s.pairs.put(pair, known, maxSplits)
	return known
}

// with returns what is known with all traces of two Views looked at.
func (s *split) with(o, n *trace.View) *split {
	out := &split{older: len(o.TraceIDs), newer: len(n.TraceIDs), both: s.both[:len(s.both):len(s.both)]}
	for number := s.older; number < out.older; number++ {
		if there, ok := n.FindTrace(o.TraceIDs[number]); ok {
			out.both = append(out.both, [2]uint32{uint32(number), there})
		}
	}
	for number := s.newer; number < out.newer; number++ {
		if there, ok := o.FindTrace(n.TraceIDs[number]); ok && int(there) < s.older { // else it is found above
			out.both = append(out.both, [2]uint32{there, uint32(number)})
		}
	}
	return out
}
