package eval

import (
	"context"
	"hash/maphash"
	"math/bits"

	"etude/trace"
)

// Repeated spans: a client without an answer sends its spans again, and the copies may land in a newer part.
// Metrics count each span once, so they leave out rows that an older part has, too.
//
// A repeated span has the same times, so only parts that overlap in time can share a span, and only the rows
// within the overlap need a search. The parts of one block share no trace. So the search reads few parts on
// disk. The result for a part depends on the older parts that overlap it, so its cache key includes all of
// them. Resident parts often overlap; Places finds the traces that several of them have.

// repeated returns the rows of a part that an older part has, too, or nil. The first call searches all parts
// within the times of the query. It reads each shared trace once.
func (p *Parts) repeated(part int, within func(part int) bool) (Mask, error) {
	p.againMu.Lock()
	defer p.againMu.Unlock()
	if p.found {
		return p.again[part], nil
	}
	again, err := p.findRepeated(within)
	if err != nil {
		return nil, err
	}
	p.again, p.found = again, true
	return again[part], nil
}

// repeats is one search for repeated rows.
type repeats struct {
	p      *Parts
	again  []Mask
	asked  []bool   // parts whose repeated rows the query wants
	hashes []uint64 // of parts, see key
	done   []Mask   // finished traces of the wanted parts
	seen   map[spanKey]bool
	at     []in
}

func (p *Parts) findRepeated(within func(int) bool) ([]Mask, error) {
	r := &repeats{p: p, again: make([]Mask, len(p.list)), asked: make([]bool, len(p.list)), done: make([]Mask, len(p.list)), seen: map[spanKey]bool{}}
	if len(p.list) < 2 {
		return r.again, nil
	}
	if p.resident == len(p.list) {
		return r.again, r.ofResident()
	}
	return r.again, r.ofAny(within)
}

// ofResident is the search for snapshots with only resident parts. It ignores the times of the query, so that
// the next query can reuse most of the result.
func (r *repeats) ofResident() error {
	d, err := r.p.directory()
	if err != nil {
		return err
	}
	known := d.p.known(d.views, r.again)
	for i, v := range d.views {
		r.asked[i], r.done[i] = i >= known, NewMask(len(v.TraceIDs))
	}
	for i := range d.views[known:] {
		if err := r.traces(i+known, d.shared(i+known)); err != nil {
			return err
		}
	}
	d.p.remember(d.views, r.again)
	return nil
}

// ofAny is the search for snapshots with parts on disk.
func (r *repeats) ofAny(within func(int) bool) error {
	p := r.p
	keys := make([]uint64, len(p.list))
	for i := range p.list {
		if !within(i) {
			continue
		}
		key, some := r.key(i)
		if !some {
			continue
		}
		keys[i], r.asked[i] = key, true
		if p.o.Facts != nil {
			if rows, known := p.o.Facts.Repeated(p.list[i].ID, key); known {
				r.again[i], r.asked[i] = rows, false
			}
		}
	}
	for i, asked := range r.asked {
		if !asked {
			continue
		}
		if err := r.search(i); err != nil {
			return err
		}
		r.asked[i] = false // The search has its rows; other goroutines may read them from now on.
		if p.o.Facts != nil {
			p.o.Facts.KeepRepeated(p.list[i].ID, keys[i], r.again[i])
		}
	}
	return nil
}

// search finds the rows of a part that older parts have, too.
func (r *repeats) search(part int) error {
	v, err := r.times(part)
	if err != nil {
		return err
	}
	suspects, timeless := r.suspects(part, v)
	if h, ok := r.p.snap.(trace.Holder); ok && !timeless { // Fast path: a part with one of these spans overlaps this one.
		return r.inOlder(part, h, v, suspects)
	}
	if r.done[part] == nil {
		r.done[part] = NewMask(len(v.TraceIDs))
	}
	return r.traces(part, suspects)
}

// times returns a View with the times of traces or of spans.
func (r *repeats) times(part int) (*trace.View, error) {
	if r.p.list[part].Resident {
		return r.p.view(part, ofWhole)
	}
	if r.p.ctx.Err() != nil {
		return nil, context.Cause(r.p.ctx)
	}
	return r.p.open(part, &trace.Need{Columns: trace.TraceTimes})
}

// inOlder marks the rows that overlapping older parts have, too.
func (r *repeats) inOlder(part int, held trace.Holder, v *trace.View, suspects Mask) error {
	var older []int
	for i := range part {
		if r.p.list[i].Spans > 0 && r.mayRepeat(part, i) {
			older = append(older, i)
		}
	}
	looked := 0
	for number := range suspects.Rows {
		if looked++; looked%256 == 0 && r.p.ctx.Err() != nil {
			return context.Cause(r.p.ctx)
		}
		r.at = r.at[:0]
		for _, i := range older {
			if err := r.look(i, held, v.TraceIDs[number]); err != nil {
				return err
			}
		}
		if len(r.at) == 0 {
			continue
		}
		r.at = append(r.at, in{part, number})
		if err := r.trace(part); err != nil {
			return err
		}
	}
	return nil
}

// look adds the place of a trace in a part, if the part has the trace.
func (r *repeats) look(part int, held trace.Holder, id trace.TraceID) error {
	if !r.p.list[part].Resident && !held.Holds(part, id) {
		return nil
	}
	v, err := r.p.view(part, ofTraces)
	if err != nil {
		return err
	}
	if number, ok := v.FindTrace(id); ok {
		r.at = append(r.at, in{part, number})
	}
	return nil
}

// mayRepeat reports whether a part may have spans that an older part has, too.
func (r *repeats) mayRepeat(part, older int) bool {
	a, b := &r.p.list[part], &r.p.list[older]
	return (a.ID.Of != b.ID.Of || a.Resident) && r.p.overlaps(part, older)
}

var keySeed = maphash.MakeSeed()

// key returns the cache key of a part's repeated rows. Some is false if no older part has any of the part's spans.
func (r *repeats) key(part int) (key uint64, some bool) {
	if r.hashes == nil {
		r.hashes = make([]uint64, len(r.p.list))
		for i := range r.p.list {
			r.hashes[i] = maphash.Comparable(keySeed, partState{r.p.list[i].ID, r.p.list[i].Spans})
		}
	}
	for older := range part {
		if r.mayRepeat(part, older) {
			key, some = (bits.RotateLeft64(key, 5)^r.hashes[older])*0x9e3779b97f4a7c15, true
		}
	}
	return key ^ r.hashes[part] | 1, some // 0 is no key
}

// partState is the state of the search in one part.
type partState struct {
	id    trace.PartID
	spans int
}

// suspects returns the traces whose times allow an older part to have their spans. Timeless means that some
// span has no start.
func (r *repeats) suspects(part int, v *trace.View) (out Mask, timeless bool) {
	lo, hi := ^uint64(0), uint64(0)
	for older := range part {
		if r.mayRepeat(part, older) {
			lo, hi = min(lo, r.p.list[older].MinStart), max(hi, r.p.list[older].MaxEnd)
		}
	}
	out = NewMask(len(v.TraceIDs))
	if v.TraceStart != nil {
		for number, start := range v.TraceStart {
			if start <= hi && lo <= v.TraceEnd[number] {
				out.Set(uint32(number))
			}
		}
		return out, false
	}
	for row, number := range v.Trace {
		// A repeated span without a start may have a different end.
		if began := v.Began(uint32(row)); v.Start[row] == 0 || lo <= began && began <= hi {
			timeless = timeless || v.Start[row] == 0
			out.Set(number)
		}
	}
	return out, timeless
}

// traces searches traces of a part in all parts.
func (r *repeats) traces(part int, numbers Mask) (err error) {
	v, err := r.p.view(part, ofWhole)
	if err != nil {
		return err
	}
	for number := range numbers.Rows {
		if r.p.ctx.Err() != nil {
			return context.Cause(r.p.ctx)
		}
		if r.done[part].Has(number) {
			continue
		}
		if r.at, err = r.p.find(r.at[:0], v.TraceIDs[number]); err != nil {
			return err
		}
		if len(r.at) < 2 { // alone with its id, not with its hash
			continue
		}
		if err := r.trace(everyPart); err != nil {
			return err
		}
	}
	return nil
}

// everyPart makes [repeats.trace] mark rows of every part. r.at then has all places of the trace.
const everyPart = -1

// trace marks the repeated rows of a trace with several places, in one part or in every part.
func (r *repeats) trace(only int) error {
	held := 0 // bytes of seen
	defer func() { r.p.o.Memory.Free(held) }()
	clear(r.seen)
	for _, at := range r.at {
		v, err := r.p.view(at.view, ofWhole)
		if err != nil {
			return err
		}
		if only == everyPart {
			if r.done[at.view] == nil {
				r.done[at.view] = NewMask(len(v.TraceIDs))
			}
			r.done[at.view].Set(at.number)
		}
		before := len(r.seen)
		r.mark(v, at, only == everyPart || only == at.view)
		if n := (len(r.seen) - before) * spanBytes; r.p.o.Memory.Take(n, Progress{Format: "a trace of %d spans", A: len(r.seen)}) == nil {
			held += n
		}
	}
	return nil
}

// mark marks the repeated rows of a trace in one part. Seen has the trace's spans in older parts.
func (r *repeats) mark(v *trace.View, at in, mark bool) {
	for row := range v.Rows(at.number) {
		key := spanKey{v.SpanID[row], v.Kind[row], v.Start[row]}
		if !r.seen[key] {
			r.seen[key] = true
			continue
		}
		if !mark || !r.asked[at.view] { // known
			continue
		}
		if r.again[at.view] == nil {
			r.again[at.view] = NewMask(v.Spans())
		}
		r.again[at.view].Set(row)
	}
}

// known fills again from the last answer, for the leading Views that have not changed, and returns their number.
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
