package query

// tell reports the traces that are sure to be in the answer: none that starts at
// next or before, as all that come do, can change their place. Traces found so
// far stand in order, so these are the first ones, and only more of them.
func (s *search) tell(next uint64) {
	if s.req.Progress == nil {
		return
	}
	sure := s.told
	for sure < min(len(s.out.Traces), s.req.Limit) && s.out.Traces[sure].Start > next {
		sure++
	}
	if sure > s.told {
		s.told = sure
		s.req.Progress(s.out.Traces[:sure:sure], s.out.InspectedTraces)
	}
}
