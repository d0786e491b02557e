package eval

import (
	"slices"

	"etude/trace"
)

// The scarce filter.
//
// Each trace in the answer to { rare } >> { common } has a span of both filters, in whatever parts. So the traces
// with a span of one of them are all candidates, and the Run takes the filter that the fewest parts may meet. It
// finds each trace in a part with a span that this filter keeps, and reads no other part to find candidates.
//
// If a part outside of the times of the query may have such a span, the trace has to be found in another part,
// within the times. Then the Run first reads the traces of the few parts outside, and looks for them within. If
// these parts are many, every trace within the times is doubtful.

// scarce has a Run's facts about its scarce filter.
type scarce struct {
	known   bool
	some    bool // there is one
	filter  pick
	outside []int // the parts outside of the times that may have its spans

	strays map[trace.TraceID]bool // the traces with a span that the filter keeps in these parts
	all    bool                   // strays has all of them
	asked  bool                   // strays is known
}

// maxOutside bounds the parts outside of the times that a Run reads for their traces, and maxStrays the traces.
// A part on disk counts as many if queries read it whole.
const (
	maxOutside = 32
	unpaged    = 8
	maxStrays  = 1 << 10
)

// required appends the filters of which every trace with a result has a span.
func required(n node, picks []pick) []pick {
	switch n := n.(type) {
	case pick:
		return append(picks, n)
	case *logical:
		if n.and {
			return required(n.r, required(n.l, picks))
		}
	case *structural:
		if !n.negated {
			picks = required(n.l, picks)
		}
		return required(n.r, picks)
	case *group:
		if first := firstNode(n.stages); first != nil {
			return required(first, picks)
		}
	}
	return picks
}

// scarce returns the scarce filter of the pipeline's first spans.
func (r *Run) scarce() *scarce {
	s := &r.scarcest
	if s.known {
		return s
	}
	s.known = true
	n, least := r.p.first(), 0
	if n == nil {
		return s
	}
	for _, f := range required(n, nil) {
		if len(r.p.filters[f].has) == 0 { // It rules nothing out.
			continue
		}
		spans, outside := 0, []int(nil)
		for part := range r.parts.list {
			p := &r.parts.list[part]
			if p.Spans == 0 || f.rules(r, part) == useless {
				continue
			}
			if spans += p.Spans; !r.Covers(part) {
				outside = append(outside, part)
			}
		}
		if !s.some || spans < least {
			s.some, s.filter, s.outside, least = true, f, outside, spans
		}
	}
	return s
}

// lacks reports whether no trace has to be found in a part, which is within the times.
func (s *scarce) lacks(r *Run, part int) bool {
	if !s.some || s.filter.rules(r, part) != useless {
		return false
	}
	if len(s.outside) == 0 {
		return true
	}
	strays, all := s.find(r)
	if !all {
		return false
	}
	for id := range strays {
		if trace.Holds(r.parts.snap, part, id) {
			return false
		}
	}
	return true
}

// find returns the traces with a span that the filter keeps outside of the times. All is false if it gives up: the
// traces or their parts are many, or a part cannot be read. An answer need not depend on that part.
func (s *scarce) find(r *Run) (strays map[trace.TraceID]bool, all bool) {
	if s.asked {
		return s.strays, s.all
	}
	s.asked = true
	cost := 0
	for _, part := range s.outside {
		if cost++; r.parts.pager == nil && !r.parts.list[part].Resident {
			cost += unpaged - 1
		}
	}
	if cost > maxOutside {
		return nil, false
	}
	s.strays = map[trace.TraceID]bool{}
	for _, part := range s.outside {
		if few, err := s.add(r, part); err != nil || !few || len(s.strays) > maxStrays {
			return nil, false
		}
	}
	_ = r.memory.Take(strayBytes*len(s.strays), Progress{Format: "%d traces outside of the times", A: len(s.strays)}) // the context tells
	s.all = true
	return s.strays, true
}

// strayBytes estimates the memory of a trace id in a map.
const strayBytes = 48

// add adds the traces of a part. It returns false if they are too many or lie in many of its pages.
func (s *scarce) add(r *Run, part int) (few bool, err error) {
	r.Trim()
	if err := r.OpenTraces(part); err != nil {
		return false, err
	}
	if r.bound[part].lean {
		o, err := r.parts.paged(part)
		if err != nil {
			return false, err
		}
		if o != nil {
			pages, err := r.soughtBy(part, len(o.first)-1, s.filter)
			if pages == nil || err != nil || 2*count(pages) > len(pages) {
				return false, err
			}
		}
		if err := r.prepare(part, s.filter); err != nil {
			return false, err
		}
	}
	found, ids := r.local(part, s.filter), r.View(part).TraceIDs
	if found.count() > maxStrays {
		return false, nil
	}
	for number := range found.Rows {
		s.strays[ids[number]] = true
	}
	return true, nil
}

// candidates returns the traces of an open part that have a result by this part alone, and those that the scarce
// filter makes candidates.
func (s *scarce) candidates(r *Run, part int, n node) (sure, found Mask, err error) {
	if sure, found, err = s.within(r, part, n); err != nil || len(s.outside) == 0 {
		return sure, found, err
	}
	v := r.View(part)
	strays, all := s.find(r)
	if !all {
		return sure, fullMask(len(v.TraceIDs)), nil
	}
	for id := range strays {
		if number, ok := v.FindTrace(id); ok {
			if found == nil {
				found = NewMask(len(v.TraceIDs))
			}
			found.Set(number)
		}
	}
	return sure, found, nil
}

// within is candidates by the spans of the part. It reads only the pages in which the scarce filter may keep a
// span. What it learns of the other filters there does not hold for the part.
func (s *scarce) within(r *Run, part int, n node) (sure, found Mask, err error) {
	if r.excluded(part, int(s.filter)) {
		return nil, nil, nil
	}
	picks := picksOf(n, nil)
	if _, alone := n.(pick); !alone && r.bound[part].lean {
		o, err := r.parts.paged(part)
		if err != nil {
			return nil, nil, err
		}
		var pages []bool
		if o != nil {
			if pages, err = r.soughtBy(part, len(o.first)-1, s.filter); err != nil {
				return nil, nil, err
			}
		}
		if pages != nil && 2*count(pages) <= len(pages) {
			masks, err := r.byPage(part, o, pages, picks)
			if err != nil {
				return nil, nil, err
			}
			if masks != nil {
				sure, found = r.apart(part, n, picks, masks, s.filter)
				return sure, found, nil
			}
		}
	}
	if err := r.prepare(part, n); err != nil {
		return nil, nil, err
	}
	return r.local(part, n), slices.Clone(r.local(part, s.filter)), nil
}

// apart returns the candidates of a node by masks of its filters that are not those of the whole part, except
// that of one filter.
func (r *Run) apart(part int, n node, picks []pick, masks []Mask, whole pick) (sure, found Mask) {
	kept := r.cands
	r.cands = map[candKey]Mask{}
	for i, f := range picks {
		r.cands[candKey{f, part}] = masks[i]
	}
	sure, found = r.local(part, n), r.local(part, whole)
	r.cands = kept
	if r.cands[candKey{whole, part}] = found; found == nil {
		r.lacking(part, whole)
	}
	return sure, slices.Clone(found)
}
