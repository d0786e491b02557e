package query

import "etude/traceql/metrics"

// tell reports the traces that are sure to be in the answer. All traces still to come start at next or before, so
// they cannot change the places of later ones. Traces found so far are in order, so the sure ones are a growing
// prefix.
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

// maxPartialCells bounds the copy for a progress report: 2 MiB of numbers, some 20 MiB as samples and text.
const maxPartialCells = 1 << 18

// teller tells the progress of a metrics query.
type teller struct {
	w        metrics.Window
	listener func(w metrics.Window, from, to int, series func() []metrics.Series) (taken bool) // nil for none
	told     int
}

// added is called when the Run has the spans of a View. It does not report the slots that the last View completes:
// the answer has them.
func (t *teller) added(run *metrics.Run, view int) {
	from, to := t.told, run.Sure(view)
	if t.listener == nil || to <= from || to >= t.w.Slots || run.Cells() > maxPartialCells {
		return
	}
	if t.listener(t.w, from, to, func() []metrics.Series { return run.Between(from, to) }) {
		t.told = to
	}
}
