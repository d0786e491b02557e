package eval

import (
	"cmp"
	"slices"
	"sync"

	"etude/trace"
)

// Places knows in which Tables each trace is. Without it, whole traces cost a look
// into every Table for every trace, the square of what was sent: a million traces in
// a hundred Tables are a hundred million looks. It is an index over the traces of
// all Tables, some 25 bytes for each, that grows with them, so each trace is put in
// once. The zero Places is ready, and any goroutine may use it.
//
// The rejected alternative, to remember for each pair of Tables what both have,
// still looked once for every pair, and forgot everything when the pairs were many.
type Places struct {
	mu    sync.RWMutex
	index *placeIndex // nil when empty
	uses  uint64

	// The answer of findRepeated last. It is the same for as many Views as are the
	// same, the oldest first.
	asked []viewKey
	again []Mask
}

type viewKey struct {
	table uint64
	spans int
}

// placeIndex maps hashes of trace ids to places. Entries never change. Traces that
// share a hash are told apart by whoever reads the places.
type placeIndex struct {
	slots   []uint32 // the newest entry of a hash + 1; 0 is free; length a power of two
	groups  uint32   // how many there are; a group is what shares a hash
	entries []place
	tables  []placedTable
	numbers map[uint64]uint32 // in tables, by the id of the Table
}

type place struct {
	hash, table, trace uint32 // trace is its number in the Table
	group              uint32
	before             uint32 // entry + 1 of the same group that was put in before, 0 for none
}

type placedTable struct {
	groups []uint32 // by trace that was put in; grows only
	shared Mask     // traces that are not alone in their group
	used   uint64   // by which use last
}

// keptUses is for how many uses a Table is remembered that no query reads.
const keptUses = 256

// directory is what Places knows of the Views of one query.
type directory struct {
	p     *Places
	index *placeIndex
	views []*trace.View
	at    []int32 // the View of each Table in the index, -1 for none
}

// in is one place of a trace: its number in a View.
type in struct {
	view   int
	number uint32
}

// of returns the directory of Views, after it has put in their traces. A nil Places
// makes one for this query alone.
func (p *Places) of(views []*trace.View) *directory {
	if p == nil {
		p = new(Places)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses++
	if p.index == nil || p.index.isStale(p.uses) {
		p.index = &placeIndex{numbers: map[uint64]uint32{}} // queries that run keep the old one
	}
	d := &directory{p: p, index: p.index, views: views}
	for i, v := range views {
		n := p.index.put(v, p.uses)
		for len(d.at) <= int(n) {
			d.at = append(d.at, -1)
		}
		d.at[n] = int32(i)
	}
	return d
}

// isStale tells whether most traces are of Tables that have left.
func (x *placeIndex) isStale(now uint64) bool {
	used, unused := 0, 0
	for i := range x.tables {
		if t := &x.tables[i]; t.used+keptUses < now {
			unused += len(t.groups)
		} else {
			used += len(t.groups)
		}
	}
	return unused > used
}

// put puts in the traces of a View that are new, and returns its Table's number.
func (x *placeIndex) put(v *trace.View, use uint64) uint32 {
	n, ok := x.numbers[v.ID()]
	if !ok {
		n = uint32(len(x.tables))
		x.numbers[v.ID()] = n
		x.tables = append(x.tables, placedTable{})
	}
	t := &x.tables[n]
	t.used = use
	for trace := len(t.groups); trace < len(v.TraceIDs); trace++ {
		if trace%64 == 0 {
			t.shared = append(t.shared, 0)
		}
		l := v.TraceIDs[trace].Lookup()
		t.groups = append(t.groups, x.add(l.Hash(), n, uint32(trace)))
	}
	return n
}

// add puts in a trace of a Table and returns its group.
func (x *placeIndex) add(hash, table, trace uint32) (group uint32) {
	if 4*(int(x.groups)+1) > 3*len(x.slots) {
		x.grow()
	}
	slot := x.slotOf(hash)
	if *slot == 0 {
		group = x.groups
		x.groups++
	} else {
		other := &x.entries[*slot-1]
		group = other.group
		x.tables[other.table].shared.Set(other.trace)
		x.tables[table].shared.Set(trace)
	}
	x.entries = append(x.entries, place{hash: hash, table: table, trace: trace, group: group, before: *slot})
	*slot = uint32(len(x.entries))
	return group
}

// slotOf returns the slot of a hash, or the free one where it would be.
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

// places appends where a trace is to dst, older Views first.
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
		if int(e.table) >= len(d.at) || d.at[e.table] < 0 { // of no View of this query
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

// shared returns the traces of a View that may be in others too.
func (d *directory) shared(view int) Mask {
	v := d.views[view]
	d.p.mu.RLock()
	defer d.p.mu.RUnlock()
	m := append(NewMask(0), d.index.tables[d.index.numbers[v.ID()]].shared[:(len(v.TraceIDs)+63)/64]...)
	if rest := len(v.TraceIDs) % 64; rest != 0 { // those behind are newer than the View
		m[len(m)-1] &= 1<<rest - 1
	}
	return m
}

// groups returns the groups of a View's traces; the lock is held. Traces of one id
// are in one group, and by chance others.
func (d *directory) groups(view int) []uint32 {
	v := d.views[view]
	return d.index.tables[d.index.numbers[v.ID()]].groups[:len(v.TraceIDs)]
}

// groupSet returns the groups of the given traces of all Views, of which only those
// that several Views may have count.
func (d *directory) groupSet(of func(view int) Mask) Mask {
	d.p.mu.RLock()
	set := NewMask(int(d.index.groups))
	d.p.mu.RUnlock()
	for view := range d.views {
		traces := of(view).clone()
		traces.and(d.shared(view))
		d.eachGroup(view, traces, func(_, group uint32) { set.Set(group) })
	}
	return set
}

func (d *directory) eachGroup(view int, traces Mask, yield func(number, group uint32)) {
	d.p.mu.RLock()
	groups := d.groups(view)
	d.p.mu.RUnlock()
	for number := range traces.Rows {
		yield(number, groups[number])
	}
}

// fewLoads is how many traces a Run loads by a look into every View: a search for
// the newest twenty does not wait for an index.
const fewLoads = 64

// Load is [Trace.Load] from the Views of the Run, for many traces.
func (r *Run) Load(t *Trace, id trace.TraceID) bool {
	if r.loads++; r.loads <= fewLoads || len(r.views) < 3 {
		return t.Load(r.views, id)
	}
	t.found = r.directory().places(t.found[:0], id)
	return t.load(r.views, id, t.found)
}

// directory returns the directory of the Run's Views.
func (r *Run) directory() *directory {
	r.dirOnce.Do(func() { r.dir = r.Places.of(r.views) })
	return r.dir
}

// Repeated returns the rows of a View that an older View has as well, nil for none:
// a client that has lost an answer sends its spans again, and they may come into a
// newer Table. The first to ask looks at all Views: at each trace once that several
// have.
func (r *Run) Repeated(view int) Mask {
	r.againOnce.Do(func() { r.again = r.findRepeated() })
	return r.again[view]
}

func (r *Run) findRepeated() []Mask {
	again := make([]Mask, len(r.views))
	if len(r.views) < 2 {
		return again
	}
	d := r.directory()
	known := d.p.known(r.views, again)
	done := make([]Mask, len(r.views)) // traces
	for view, v := range r.views {
		done[view] = NewMask(len(v.TraceIDs))
	}
	seen := map[spanKey]bool{}
	var places []in
	held := 0 // bytes of seen
	for view, v := range r.views[known:] {
		view += known
		for number := range d.shared(view).Rows {
			if r.ctx.Err() != nil {
				return again
			}
			if done[view].Has(number) {
				continue
			}
			places = d.places(places[:0], v.TraceIDs[number])
			if len(places) < 2 { // alone with its id, not with its hash
				continue
			}
			clear(seen)
			for _, at := range places {
				done[at.view].Set(at.number)
				before := len(seen)
				markRepeated(r.views[at.view], at, seen, again, at.view >= known)
				if n := (len(seen) - before) * spanBytes; r.Memory.Take(n, "a trace of %d spans", len(seen)) == nil {
					held += n
				}
			}
			r.Memory.Free(held)
			held = 0
		}
	}
	d.p.remember(r.views, again)
	return again
}

// known fills again for the oldest Views, as far as they were asked for last, and
// returns how many that are.
func (p *Places) known(views []*trace.View, again []Mask) (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for n < min(len(views), len(p.asked)) && p.asked[n] == (viewKey{views[n].ID(), views[n].Spans()}) {
		again[n] = p.again[n]
		n++
	}
	return n
}

func (p *Places) remember(views []*trace.View, again []Mask) {
	asked := make([]viewKey, len(views))
	for i, v := range views {
		asked[i] = viewKey{v.ID(), v.Spans()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.again = asked, again
}

// markRepeated goes over the rows of a trace in one View. Seen are those of older
// ones.
func markRepeated(v *trace.View, at in, seen map[spanKey]bool, again []Mask, mark bool) {
	for row := range v.Rows(at.number) {
		key := spanKey{v.SpanID[row], v.Kind[row], v.Start[row]}
		if !seen[key] {
			seen[key] = true
			continue
		}
		if !mark { // known
			continue
		}
		if again[at.view] == nil {
			again[at.view] = NewMask(v.Spans())
		}
		again[at.view].Set(row)
	}
}
