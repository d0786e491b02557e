package eval

import (
	"slices"

	"etude/trace"
)

// Candidates: the traces that may have a result, found part by part.
//
// Most traces lie in one part, and the masks of that part decide. A trace in several parts may match one side
// of an operator in one part and the other side in another. Also, a trace with a span within the query's times
// may have the selected span in a part outside of these times. Such a trace is doubtful: the Run finds all its
// parts, and their masks decide together. So the search finds a trace from every part within the times that has
// one of its spans, or, with a scarce filter (scarce.go), from one that has a span of this filter.
//
// Rejected: an index of all traces of all parts, which would read every part before the first answer. Rejected as
// well: searching all parts outside of the times for traces that they share with the parts within.

// verdict is the knowledge about a part that is not open.
type verdict uint8

const (
	// No span of the part matters.
	useless verdict = iota
	// Some span may matter, together with spans of other parts.
	partly
	// A trace of the part may have a result by this part alone.
	enough
)

// splits has a Run's facts about parts outside of the times of its query.
type splits struct {
	from, to  uint64 // the times of the query
	gaps      bool   // traces with spans only before and after these times count, too
	known     bool   // outside is
	outside   bool   // some part outside of the times may matter
	somewhere map[pick]bool
}

// Within sets the times of the query in unix nanoseconds, edges included. A trace counts if it has a span
// within these times. With gaps, a trace with spans before and after them counts, too, as far as resident parts
// show it. The caller calls Within before any other method.
func (r *Run) Within(from, to uint64, gaps bool) {
	r.splits.from, r.splits.to, r.splits.gaps = from, to, gaps
}

// bridges reports whether a part is before the times of the query and may have traces that continue after them.
func (r *Run) bridges(part int) bool {
	p := &r.parts.list[part]
	return r.splits.gaps && p.Resident && p.Spans > 0 && p.MaxEnd < r.splits.from && r.parts.resident > 1
}

// Covers reports whether a part may have a span within the times of the query.
func (r *Run) Covers(part int) bool {
	p := &r.parts.list[part]
	return p.Spans > 0 && p.MinStart <= r.splits.to && p.MaxEnd >= r.splits.from
}

// first returns the node that selects the first spans of the pipeline, or nil if the pipeline begins with all spans.
func (p *Program) first() node { return firstNode(p.stages) }

func firstNode(stages []stage) node {
	for _, s := range stages {
		if s, ok := s.(spansetStage); ok {
			return s.node
		}
	}
	return nil
}

// Skips reports whether a search for candidates may skip a part: the part is outside of the times of the query,
// or no trace in it can have a result.
func (r *Run) Skips(part int) bool {
	if !r.Covers(part) {
		return !r.bridges(part)
	}
	return r.scarce().lacks(r, part) || r.useless(part)
}

// useless reports whether no span of a part within the times matters, nor any outside of them.
func (r *Run) useless(part int) bool {
	n := r.p.first()
	return n != nil && n.rules(r, part) == useless && !r.outside()
}

// outside reports whether a part outside of the times may have spans that matter.
func (r *Run) outside() bool {
	s := &r.splits
	if s.known {
		return s.outside
	}
	s.known = true
	n := r.p.first()
	for part := range r.parts.list {
		if r.parts.list[part].Spans > 0 && !r.Covers(part) && n != nil && n.rules(r, part) != useless {
			s.outside = true
			break
		}
	}
	return s.outside
}

// excluded reports whether a part surely has no span that a filter keeps.
func (r *Run) excluded(part, filter int) bool {
	has := r.p.filters[filter].has
	for _, either := range has {
		if !r.mayMeet(part, either) {
			return true
		}
	}
	if r.parts.pairs == nil {
		return r.lacks(part, filter)
	}
	for _, pair := range r.p.filters[filter].pairs {
		if !r.mayMeetBoth(part, has[pair[0]], has[pair[1]]) {
			return true
		}
	}
	return r.lacks(part, filter)
}

func (r *Run) mayMeet(part int, either clause) bool {
	for _, c := range either {
		if !r.parts.snap.Excludes(part, c) {
			return true
		}
	}
	return false
}

// mayMeetBoth reports whether a span of a part may meet two clauses.
func (r *Run) mayMeetBoth(part int, a, b clause) bool {
	for i := range a {
		for j := range b {
			if !r.parts.pairs.ExcludesBoth(part, a[i], b[j]) && !r.parts.snap.Excludes(part, a[i]) && !r.parts.snap.Excludes(part, b[j]) {
				return true
			}
		}
	}
	return false
}

// Candidates returns the traces of an open part that may have a result by the spans of this part, and the
// doubtful traces, on which [Run.May] decides. nil means no traces. With [Parts.ByPage] it is enough to open
// the part by [Run.OpenTraces].
func (r *Run) Candidates(part int) (sure, doubtful Mask, err error) {
	v := r.View(part)
	if !r.Covers(part) {
		return r.bridging(part)
	}
	n := r.p.first()
	if n == nil {
		return fullMask(len(v.TraceIDs)), nil, nil
	}
	if s := r.scarce(); s.some {
		sure, doubtful, err = s.candidates(r, part, n)
	} else {
		sure, doubtful, err = r.eitherSide(part, n)
	}
	if err != nil || len(r.parts.list) < 2 {
		return sure, nil, err
	}
	if doubtful != nil && sure != nil {
		doubtful.AndNot(sure)
	}
	if doubtful.Empty() {
		return sure, nil, nil
	}
	// Usually no trace is split. If one side matches in no part, no trace needs a lookup.
	if possible, err := r.possible(n); err != nil || !possible {
		return sure, nil, err
	}
	shared, err := r.parts.shared(part)
	if err != nil {
		return nil, nil, err
	}
	if shared != nil {
		if doubtful.and(shared); doubtful.Empty() {
			return sure, nil, nil
		}
	}
	return sure, doubtful, nil
}

// eitherSide returns the traces of an open part that may have a result by this part alone, and those that may have
// one with spans of other parts.
func (r *Run) eitherSide(part int, n node) (sure, doubtful Mask, err error) {
	if err := r.prepare(part, n); err != nil {
		return nil, nil, err
	}
	if r.outside() {
		return r.local(part, n), fullMask(len(r.View(part).TraceIDs)), nil
	}
	return r.local(part, n), slices.Clone(n.some(r, part)), nil
}

// bridging is Candidates for a part before the times of the query. It returns traces that other resident parts
// may have, too.
func (r *Run) bridging(part int) (sure, doubtful Mask, err error) {
	d, err := r.parts.directory()
	if err != nil {
		return nil, nil, err
	}
	doubtful, n := d.shared(part), r.p.first()
	if n == nil || doubtful.Empty() {
		return doubtful, nil, nil
	}
	if sure = slices.Clone(r.local(part, n)); sure == nil {
		return nil, doubtful, nil
	}
	sure.and(doubtful)
	doubtful.AndNot(sure)
	return sure, doubtful, nil
}

// May reports whether a doubtful trace may have a result.
func (r *Run) May(id trace.TraceID) (bool, error) {
	var err error
	r.mayID = id
	if r.places, err = r.parts.find(r.places[:0], id); err != nil || len(r.places) < 2 {
		return false, err
	}
	if err := r.openPlaces(); err != nil {
		return false, err
	}
	return r.p.first().may(r, r.places), nil
}

// possible reports whether a node may keep a span of any trace: each of its sides may match in some part. It
// opens no non-resident part.
func (r *Run) possible(n node) (bool, error) {
	switch n := n.(type) {
	case *logical:
		l, err := r.possible(n.l)
		if err != nil || l != n.and {
			return l, err
		}
		return r.possible(n.r)
	case *structural:
		right, err := r.possible(n.r)
		if err != nil || !right || n.negated {
			return right, err
		}
		return r.possible(n.l)
	case *group:
		if first := firstNode(n.stages); first != nil {
			return r.possible(first)
		}
		return true, nil
	}
	return r.somewhere(n.(pick))
}

// somewhere reports whether a filter may keep a span of any part.
func (r *Run) somewhere(f pick) (bool, error) {
	if known, ok := r.splits.somewhere[f]; ok {
		return known, nil
	}
	found := r.foundAlready(f)
	for part := range r.parts.list {
		p := &r.parts.list[part]
		if found || p.Spans == 0 || f.rules(r, part) == useless {
			continue
		}
		if p.Resident {
			if err := r.Open(part); err != nil {
				return false, err
			}
			if r.local(part, f) == nil {
				continue
			}
		}
		found = true
		break
	}
	if r.splits.somewhere == nil {
		r.splits.somewhere = map[pick]bool{}
	}
	r.splits.somewhere[f] = found
	return found, nil
}

// foundAlready reports whether a filter keeps a span of a part that the Run has already read.
func (r *Run) foundAlready(f pick) bool {
	for part, b := range r.bound {
		if b != nil && r.cands[candKey{f, part}] != nil {
			return true
		}
	}
	return false
}

// candKey names the candidates of a node in a part.
type candKey struct {
	node node
	part int
}

// local returns node.local, cached for the rest of the Run; nil for none. Callers must not change it.
func (r *Run) local(part int, n node) Mask {
	key := candKey{n, part}
	m, ok := r.cands[key]
	if !ok {
		if m = n.local(r, part); m.Empty() {
			m = nil
		}
		r.cands[key] = m
		_ = r.memory.Take(8*len(m), Progress{Format: "the candidates of %d filters", A: len(r.cands)}) // the context tells
	}
	return m
}

func (f pick) rules(r *Run, part int) verdict {
	if r.excluded(part, int(f)) {
		return useless
	}
	return enough
}

func (f pick) local(r *Run, part int) Mask {
	if r.p.filters[f].all {
		return fullMask(len(r.View(part).TraceIDs))
	}
	if r.excluded(part, int(f)) {
		return nil
	}
	v := r.View(part)
	m := NewMask(len(v.TraceIDs))
	rows := r.bound[part].mask(int(f))
	for row := range rows.Rows {
		m.Set(v.Trace[row])
	}
	if rows.Empty() {
		r.lacking(part, f)
	}
	return m
}

func (f pick) some(r *Run, part int) Mask { return r.local(part, f) }

func (f pick) may(r *Run, at []in) bool {
	for i, a := range at {
		if r.keepsAt(i, a, f) {
			return true
		}
	}
	return false
}

func (o *logical) rules(r *Run, part int) verdict {
	return joinedRules(o.l.rules(r, part), o.r.rules(r, part), o.and)
}

// joinedRules returns the verdict on two sides. Either both must match, or one is enough.
func joinedRules(l, r verdict, both bool) verdict {
	if both && l != r {
		return min(max(l, r), partly)
	}
	return max(l, r)
}

func (o *logical) local(r *Run, part int) Mask {
	if o.and {
		return r.both(part, o.l, o.r)
	}
	return Union(r.local(part, o.l), r.local(part, o.r))
}

func (o *logical) some(r *Run, part int) Mask {
	return Union(o.l.some(r, part), o.r.some(r, part))
}

func (o *logical) may(r *Run, at []in) bool {
	if o.l.may(r, at) != o.and {
		return !o.and
	}
	return o.r.may(r, at)
}

// both returns the traces of a part that are in the candidates of two nodes.
func (r *Run) both(part int, left, right node) Mask {
	l := r.local(part, left)
	if l == nil {
		return nil
	}
	o := r.local(part, right)
	if o == nil {
		return nil
	}
	out := l.clone()
	out.and(o)
	return out
}

// Union returns the rows in either set. A nil set is empty.
func Union(a, b Mask) Mask {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := a.clone()
	out.or(b)
	return out
}

func (o *structural) rules(r *Run, part int) verdict {
	if o.negated {
		return o.r.rules(r, part)
	}
	return joinedRules(o.l.rules(r, part), o.r.rules(r, part), true)
}

func (o *structural) local(r *Run, part int) Mask {
	if o.negated {
		return r.local(part, o.r)
	}
	return r.both(part, o.l, o.r)
}

func (o *structural) some(r *Run, part int) Mask {
	if o.negated {
		return o.r.some(r, part)
	}
	return Union(o.l.some(r, part), o.r.some(r, part))
}

func (o *structural) may(r *Run, at []in) bool {
	return o.r.may(r, at) && (o.negated || o.l.may(r, at))
}

func (g *group) rules(r *Run, part int) verdict {
	if n := firstNode(g.stages); n != nil {
		return n.rules(r, part)
	}
	return enough
}

func (g *group) local(r *Run, part int) Mask {
	if n := firstNode(g.stages); n != nil {
		return r.local(part, n)
	}
	return fullMask(len(r.View(part).TraceIDs))
}

func (g *group) some(r *Run, part int) Mask {
	if n := firstNode(g.stages); n != nil {
		return n.some(r, part)
	}
	return g.local(r, part)
}

func (g *group) may(r *Run, at []in) bool {
	n := firstNode(g.stages)
	return n == nil || n.may(r, at)
}
