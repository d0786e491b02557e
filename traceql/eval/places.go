package eval

import (
	"cmp"
	"slices"
	"sync"

	"etude/trace"
)

// Places finds the resident parts that have a trace. Without it, each whole trace costs a lookup in every
// Table, which grows with the square of the data: a million traces in a hundred Tables cost a hundred million
// lookups. It is an index of the traces of these Tables, about 25 bytes per trace. It grows with the Tables, so
// it inserts each trace once. The zero Places is ready, and any goroutine may use it. It does not cover parts
// on disk, which have filters of trace ids; see [trace.Snapshot].
//
// Rejected: remembering for each pair of Tables the traces that both have. It still needs one comparison for every
// pair.
type Places struct {
	mu    sync.RWMutex
	index *placeIndex // nil if empty
	uses  uint64

	// The last answer for only resident parts; see repeats. It stays valid for the leading Views, oldest first,
	// that have not changed since.
	asked []viewKey
	again []Mask
}

type viewKey struct {
	table uint64
	spans int
}

// placeIndex maps hashes of trace ids to places. Entries never change. Traces can share a hash: the reader of
// the places compares their ids.
type placeIndex struct {
	slots   []uint32 // the newest entry of a hash + 1; 0 is free; length a power of two
	hashes  int      // number of distinct hashes
	entries []place
	tables  []placedTable
	numbers map[uint64]uint32 // in tables, by the id of the Table
}

type place struct {
	hash, table, trace uint32 // trace is its number in the Table
	before             uint32 // previous entry of the same hash + 1, 0 for none
}

type placedTable struct {
	traces int    // number of inserted traces
	shared Mask   // traces that share their hash with another
	used   uint64 // number of the last use
}

// keptUses is the number of uses for which the index keeps a Table that no query reads.
const keptUses = 256

// directory restricts the index to the resident parts of one query.
type directory struct {
	p     *Places
	index *placeIndex
	views []*trace.View // by part; nil for parts that are not resident
	at    []int32       // the part of each Table in the index, -1 for none
}

// in is one place of a trace: a part, and its number there.
type in struct {
	view   int
	number uint32
}

// of inserts the traces of the Views and returns their directory. A nil Places makes an index for only this query.
func (p *Places) of(views []*trace.View) *directory {
	if p == nil {
		p = new(Places)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses++
	if p.index == nil || p.index.isStale(p.uses) {
		p.index = &placeIndex{numbers: map[uint64]uint32{}} // running queries keep the old index
	}
	d := &directory{p: p, index: p.index, views: views}
	for i, v := range views {
		if v == nil {
			continue
		}
		n := p.index.put(v, p.uses)
		for len(d.at) <= int(n) {
			d.at = append(d.at, -1)
		}
		d.at[n] = int32(i)
	}
	return d
}

// isStale reports whether most traces belong to Tables that no query reads any more.
func (x *placeIndex) isStale(now uint64) bool {
	used, unused := 0, 0
	for i := range x.tables {
		if t := &x.tables[i]; t.used+keptUses < now {
			unused += t.traces
		} else {
			used += t.traces
		}
	}
	return unused > used
}

// put inserts the new traces of a View and returns its Table's number.
func (x *placeIndex) put(v *trace.View, use uint64) uint32 {
	n, ok := x.numbers[v.ID()]
	if !ok {
		n = uint32(len(x.tables))
		x.numbers[v.ID()] = n
		x.tables = append(x.tables, placedTable{})
	}
	t := &x.tables[n]
	t.used = use
	for ; t.traces < len(v.TraceIDs); t.traces++ {
		if t.traces%64 == 0 {
			t.shared = append(t.shared, 0)
		}
		l := v.TraceIDs[t.traces].Lookup()
		x.add(l.Hash(), n, uint32(t.traces))
	}
	return n
}

// add inserts a trace of a Table.
func (x *placeIndex) add(hash, table, trace uint32) {
	if 4*(x.hashes+1) > 3*len(x.slots) {
		x.grow()
	}
	slot := x.slotOf(hash)
	if *slot == 0 {
		x.hashes++
	} else {
		other := &x.entries[*slot-1]
		x.tables[other.table].shared.Set(other.trace)
		x.tables[table].shared.Set(trace)
	}
	x.entries = append(x.entries, place{hash: hash, table: table, trace: trace, before: *slot})
	*slot = uint32(len(x.entries))
}

// slotOf returns the slot of a hash, or the free slot for it.
func (x *placeIndex) slotOf(hash uint32) *uint32 {
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if slot := &x.slots[i]; *slot == 0 || x.entries[*slot-1].hash == hash {
			return slot
		}
	}
}

func (x *placeIndex) grow() {
	old := x.slots
	x.slots = make([]uint32, max(64, 2*len(old)))
	for _, entry := range old {
		if entry != 0 {
			*x.slotOf(x.entries[entry-1].hash) = entry
		}
	}
}

// places appends the places of a trace to dst, older Views first.
func (d *directory) places(dst []in, id trace.TraceID) []in {
	l := id.Lookup()
	d.p.mu.RLock()
	defer d.p.mu.RUnlock()
	if len(d.index.slots) == 0 {
		return dst
	}
	from := len(dst)
	for entry := *d.index.slotOf(l.Hash()); entry != 0; {
		e := &d.index.entries[entry-1]
		entry = e.before
		if int(e.table) >= len(d.at) || d.at[e.table] < 0 { // not in a View of this query
			continue
		}
		view := int(d.at[e.table])
		if v := d.views[view]; int(e.trace) < len(v.TraceIDs) && v.TraceIDs[e.trace] == id {
			dst = append(dst, in{view, e.trace})
		}
	}
	slices.SortFunc(dst[from:], func(a, b in) int { return cmp.Compare(a.view, b.view) })
	return dst
}

// shared returns the traces of a View that other Views may have, too.
func (d *directory) shared(view int) Mask {
	v := d.views[view]
	d.p.mu.RLock()
	defer d.p.mu.RUnlock()
	m := append(NewMask(0), d.index.tables[d.index.numbers[v.ID()]].shared[:(len(v.TraceIDs)+63)/64]...)
	if rest := len(v.TraceIDs) % 64; rest != 0 { // later bits belong to rows newer than the View
		m[len(m)-1] &= 1<<rest - 1
	}
	return m
}
