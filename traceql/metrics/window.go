package metrics

import "etude/trace"

// Window is the time that a metrics query covers: slots of Step nanoseconds.
// Slot i holds the spans that start in (Start+i*Step, Start+(i+1)*Step], open on
// the left and closed on the right.
type Window struct {
	Start, Step uint64 // unix nanoseconds, nanoseconds
	Slots       int
	Instant     bool // the query wants one value for the whole window
}

// End returns the last instant of the window.
func (w Window) End() uint64 { return w.Start + uint64(w.Slots)*w.Step }

// led returns the window with lead more slots before it.
func (w Window) led(lead int) Window {
	w.Start -= uint64(lead) * w.Step
	w.Slots += lead
	return w
}

func (w Window) holds(t uint64) bool { return t > w.Start && t <= w.End() }

// slotsOf returns the first and the last slot in which a part may have a span. If it has none in the window, it
// returns w.Slots and w.Slots-1.
func (w Window) slotsOf(p *trace.Part) (first, last int) {
	from, to := p.MinStart, p.MaxEnd
	if p.Spans == 0 || from > w.End() || to <= w.Start {
		return w.Slots, w.Slots - 1
	}
	if from > w.Start {
		first = int((from - w.Start - 1) / w.Step)
	}
	return first, int((min(to, w.End()) - w.Start - 1) / w.Step)
}
