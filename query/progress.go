package query

import "etude/traceql/metrics"

// tellEvery is the number of steps after which a search tells its progress without new results.
const tellEvery = 256

// tell reports the traces that are sure to be in the answer. All remaining traces start at next or before, so
// they cannot change the places of traces that start later. The found traces are in order, so the sure ones are
// a growing prefix. Step counts the calls.
func (s *search) tell(step int, next uint64) {
	if s.req.Progress == nil {
		return
	}
	sure := s.told
	for sure < min(len(s.out.Traces), s.req.Limit) && s.out.Traces[sure].Start > next {
		sure++
	}
	done := len(s.list) - len(s.cursors)
	if sure == s.told && done == s.toldParts && step%tellEvery != 0 {
		return
	}
	s.told, s.toldParts = sure, done
	s.req.Progress(SearchProgress{Sure: s.out.Traces[:sure:sure], InspectedTraces: s.out.InspectedTraces, InspectedSpans: s.out.InspectedSpans,
		Parts: len(s.list), PartsDone: done, Reached: next})
}

// maxPartialCells bounds the copy for a progress report: 2 MiB of numbers, some 20 MiB as samples and text.
const maxPartialCells = 1 << 18

// teller tells the progress of a metrics query.
type teller struct {
	w        metrics.Window
	listener func(w metrics.Window, from, to int, series func() []metrics.Series) (taken bool) // nil for none
	told     int

	parts func(done, total int) // nil for none
	total int
}

// The Run calls left with the number of parts that it still has to read.
func (t *teller) left(parts int) {
	if t.parts != nil {
		t.parts(t.total-parts, t.total)
	}
}

// The caller calls added when the Run has the spans of a View. added does not report the slots that the last
// View completes, because the answer has them.
func (t *teller) added(run *metrics.Run, view int) {
	from, to := t.told, run.Sure(view)
	if t.listener == nil || to <= from || to >= t.w.Slots || run.Cells() > maxPartialCells {
		return
	}
	if t.listener(t.w, from, to, func() []metrics.Series { return run.Between(from, to) }) {
		t.told = to
	}
}
