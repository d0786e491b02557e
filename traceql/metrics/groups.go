package metrics

// groups numbers the series of a metrics query: the combinations of a label for
// each entry of by() and, for functions that sort values into buckets, a bucket.
type groups struct {
	labels  []*labels // one per entry of by()
	chain   []*pairs  // chain[i] joins the group of the entries before i with entry i; chain[0] is not used
	buckets *pairs    // joins group and bucket; nil for functions without buckets
}

func newGroups(q *Query) groups {
	g := groups{chain: make([]*pairs, len(q.by))}
	for i := range q.by {
		g.labels = append(g.labels, newLabels())
		g.chain[i] = &pairs{}
	}
	if q.buckets() {
		g.buckets = &pairs{}
	}
	return g
}

// own makes the groups copy the texts of their labels.
func (g *groups) own() {
	for _, l := range g.labels {
		l.owned = true
	}
}

// first returns the number of groups of the first n entries of by().
func (g *groups) first(n int) int {
	switch n {
	case 0:
		return 1
	case 1:
		return len(g.labels[0].values)
	}
	return len(g.chain[n-1].list)
}

func (g *groups) series() int {
	if g.buckets != nil {
		return len(g.buckets.list)
	}
	return g.first(len(g.labels))
}

// join adds the series of one View and returns the number of each.
func (g *groups) join(o *groups) []uint32 {
	to := []uint32{0}
	for i, l := range o.labels {
		labels := g.labels[i].join(l)
		if i == 0 {
			to = labels
			continue
		}
		to = g.chain[i].join(o.chain[i], to, func(n uint32) uint32 { return labels[n] })
	}
	if g.buckets != nil {
		to = g.buckets.join(o.buckets, to, func(n uint32) uint32 { return n })
	}
	return to
}

// bytes returns the memory of the numbers.
func (g *groups) bytes() (n int) {
	for i, l := range g.labels {
		n += len(l.values)*labelBytes + l.texts + len(g.chain[i].list)*pairBytes
	}
	if g.buckets != nil {
		n += len(g.buckets.list) * pairBytes
	}
	return n
}

// pairs numbers pairs of numbers. It uses either a table, for small numbers of rows, or a map.
type pairs struct {
	list    [][2]uint32
	numbers map[[2]uint32]uint32
	dense   []uint32 // number + 1 of a pair, at a*width+b
	width   uint32
}

// maxDense bounds the table of pairs.
const maxDense = 1 << 18

// prepare makes the table for pairs below a, b, if it is not too large.
func (p *pairs) prepare(a, b int) {
	if a*b <= maxDense {
		p.dense, p.width = make([]uint32, a*b), uint32(b)
	}
}

// joinRows replaces first by the number of the pair, for the rows that have a slot.
func (p *pairs) joinRows(first, second []uint32, slots []int32) {
	first, second = first[:len(slots)], second[:len(slots)]
	if p.dense == nil {
		for row, slot := range slots {
			if slot != noSlot {
				first[row] = p.number(first[row], second[row])
			}
		}
		return
	}
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		n := &p.dense[first[row]*p.width+second[row]]
		if *n == 0 {
			p.list = append(p.list, [2]uint32{first[row], second[row]})
			*n = uint32(len(p.list))
		}
		first[row] = *n - 1
	}
}

func (p *pairs) number(a, b uint32) uint32 {
	pair := [2]uint32{a, b}
	n, ok := p.numbers[pair]
	if !ok {
		if p.numbers == nil {
			p.numbers = map[[2]uint32]uint32{}
		}
		n = uint32(len(p.list))
		p.list = append(p.list, pair)
		p.numbers[pair] = n
	}
	return n
}

// join adds the pairs of one View and returns the number of each. First and second map the View's numbers to
// the numbers here.
func (p *pairs) join(o *pairs, first []uint32, second func(uint32) uint32) []uint32 {
	to := make([]uint32, len(o.list))
	for n, pair := range o.list {
		to[n] = p.number(first[pair[0]], second(pair[1]))
	}
	return to
}
