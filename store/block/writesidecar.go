package block

import "etude/trace"

// summarize keeps what the sidecar says of a row group. It reads the columns of the
// sources, where the values of a row group are known by their codes.
func (w *blockWriter) summarize(p *plan, g *planGroup) error {
	views := make([]*trace.View, len(p.sources))
	in := make([][]bool, len(p.sources))
	for i, s := range p.sources {
		views[i] = s.v
	}
	frame := newFrameBuilder(views)
	var rows []place
	for i := range g.traces {
		rows = p.rows(&g.traces[i], rows[:0])
		for _, at := range rows {
			if in[at.src] == nil {
				in[at.src] = make([]bool, views[at.src].Spans())
			}
			in[at.src][at.row] = true
			frame.span(int(at.src), at.row)
		}
		frame.endTrace()
	}
	s := newSummary()
	for i, rows := range in {
		if rows != nil {
			s.add(views[i], rows)
		}
	}
	facts, err := s.part(w.parts[len(w.parts)-1])
	if err != nil {
		return err
	}
	facts.frame = frame.frame()
	w.facts = append(w.facts, facts)
	return nil
}
