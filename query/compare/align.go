package compare

import "slices"

// This file matches the children of one node with those of its counterpart. The passes go from certain to
// likely, and each handles only the children left by the passes before:
//
//  1. service and name are equal;
//  2. the name is equal: the service has another name;
//  3. a child is new, and one of its own children has a counterpart among the children left on the other
//     side: a span was inserted in between, or removed. Its children replace it in the match, and it keeps
//     its own time;
//  4. one root is left on each side.
//
// Rejected: an edit distance between whole trees. It takes time cubic in the size of the trace, and a span that
// changed its caller is not the same work.

// entry is one line of a level: a node before and its counterpart after; either may be missing.
type entry struct {
	before, after int32
	// The time per trace that the level's parent waits for it.
	pathBefore, pathAfter float64
	above                 int // the entry in between, -1 for none
	opened                bool
}

// candidate is a child that may get a counterpart.
type candidate struct {
	node  int32
	share float64 // fraction of the time of the entry in between that is on the path
	above int
}

// level aligns the children of two nodes.
type level struct {
	c             *Comparison
	entries       []entry
	before, after []candidate // without counterpart so far
}

// maxOpened is the maximum number of layers of new spans between a span and its caller.
const maxOpened = 4

// align returns the entries for the children of two nodes; either node may be missing.
func (c *Comparison) align(before, after int32) []entry {
	l := level{c: c}
	for _, n := range c.Before.children(before) {
		l.before = append(l.before, candidate{n, 1, -1})
	}
	for _, n := range c.After.children(after) {
		l.after = append(l.after, candidate{n, 1, -1})
	}
	if before != none && after != none {
		l.match()
		for range maxOpened {
			if !l.open() {
				break
			}
			l.match()
		}
		if before == 0 && len(l.before) == 1 && len(l.after) == 1 {
			l.pair(l.before[0], l.after[0])
			l.before, l.after = nil, nil
		}
	}
	for _, b := range l.before {
		l.pair(b, candidate{node: none, above: -1})
	}
	for _, a := range l.after {
		l.pair(candidate{node: none, above: -1}, a)
	}
	return l.entries
}

func (l *level) pair(b, a candidate) int {
	e := entry{before: b.node, after: a.node, above: max(b.above, a.above)}
	if b.node != none {
		e.pathBefore = b.share * l.c.Before.mean(l.c.Before.nodes[b.node].path)
	}
	if a.node != none {
		e.pathAfter = a.share * l.c.After.mean(l.c.After.nodes[a.node].path)
	}
	l.entries = append(l.entries, e)
	return len(l.entries) - 1
}

func (l *level) match() {
	list := l.c.Before.ops.list
	l.matchBy(func(op int32) operation { return list[op] })
	l.matchBy(func(op int32) operation { return operation{name: list[op].name} })
}

// matchBy pairs candidates with the same key, in order.
func (l *level) matchBy(key func(op int32) operation) {
	if len(l.before) == 0 || len(l.after) == 0 {
		return
	}
	groups := make(map[operation]int, len(l.before))
	var before, after [][]candidate
	for _, b := range l.before {
		k := key(l.c.Before.nodes[b.node].op)
		g, ok := groups[k]
		if !ok {
			g = len(before)
			groups[k], before, after = g, append(before, nil), append(after, nil)
		}
		before[g] = append(before[g], b)
	}
	l.before = l.before[:0]
	left := l.after[:0]
	for _, a := range l.after {
		if g, ok := groups[key(l.c.After.nodes[a.node].op)]; ok {
			after[g] = append(after[g], a)
		} else {
			left = append(left, a)
		}
	}
	l.after = left
	for g := range before {
		l.matchRun(before[g], after[g])
	}
}

// maxRun limits the product of the lengths of two runs that are aligned by duration.
const maxRun = 4096

// matchRun pairs two runs of the same operation. The longer one has additional candidates. If the cost is
// small, their durations decide which ones are additional; otherwise the last ones are.
func (l *level) matchRun(before, after []candidate) {
	swap := len(before) > len(after)
	short, long := before, after
	if swap {
		short, long = after, before
	}
	if len(short) < len(long) && len(short)*len(long) <= maxRun {
		long = slices.Clone(long)
		l.alike(short, long, swap)
	}
	for i := range short {
		if swap {
			l.pair(long[i], short[i])
		} else {
			l.pair(short[i], long[i])
		}
	}
	if swap {
		l.before = append(l.before, long[len(short):]...)
	} else {
		l.after = append(l.after, long[len(short):]...)
	}
}

// alike moves to the front of long, in order, the candidates that pair with short at the smallest sum of
// differences in duration.
func (l *level) alike(short, long []candidate, swap bool) {
	n, m := len(short), len(long)
	of, other := l.c.Before, l.c.After
	if swap {
		of, other = other, of
	}
	// cost[i*(m+1)+j] is the smallest sum for the last n-i of short within the last m-j of long. An impossible
	// pair costs more than any other.
	cost := make([]float64, (n+1)*(m+1))
	pairing := func(i, j int) float64 {
		d := of.mean(of.nodes[short[i].node].length) - other.mean(other.nodes[long[j].node].length)
		return max(d, -d) + cost[(i+1)*(m+1)+j+1]
	}
	for i := n - 1; i >= 0; i-- {
		for j := m; j >= 0; j-- {
			at := i*(m+1) + j
			if m-j < n-i {
				cost[at] = impossible
				continue
			}
			cost[at] = min(cost[at+1], pairing(i, j))
		}
	}
	var taken, rest []candidate
	for i, j := 0, 0; j < m; j++ {
		if i < n && pairing(i, j) <= cost[i*(m+1)+j+1] {
			taken, i = append(taken, long[j]), i+1
		} else {
			rest = append(rest, long[j])
		}
	}
	copy(long, append(taken, rest...))
}

const impossible = 1e300

// open replaces nodes without counterpart by their children, if one of these has a counterpart among the
// remaining candidates of the other side.
func (l *level) open() (any bool) {
	if len(l.before) == 0 || len(l.after) == 0 {
		return false
	}
	wantBefore, wantAfter := l.names(l.c.Before, l.before), l.names(l.c.After, l.after)
	l.after, any = l.openSide(l.c.After, l.after, wantBefore, func(c candidate) int { return l.pair(candidate{node: none, above: -1}, c) })
	if any { // The other side is opened after these have been matched.
		return true
	}
	l.before, any = l.openSide(l.c.Before, l.before, wantAfter, func(c candidate) int { return l.pair(c, candidate{node: none, above: -1}) })
	return any
}

// names returns the operations of candidates.
func (l *level) names(of *Profile, list []candidate) map[int32]bool {
	names := make(map[int32]bool, len(list))
	for _, c := range list {
		names[of.nodes[c.node].op] = true
	}
	return names
}

func (l *level) openSide(of *Profile, list []candidate, wanted map[int32]bool, keep func(candidate) int) (left []candidate, any bool) {
	for _, c := range list {
		n := &of.nodes[c.node]
		children := of.children(c.node)
		if !slices.ContainsFunc(children, func(below int32) bool { return wanted[of.nodes[below].op] }) {
			left = append(left, c)
			continue
		}
		any = true
		at := keep(c)
		l.entries[at].opened = true
		share := 0.0
		if n.length > 0 {
			share = c.share * n.path / n.length
		}
		for _, below := range children {
			left = append(left, candidate{below, share, at})
		}
	}
	return left, any
}
