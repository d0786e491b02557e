package eval

import "etude/trace"

// Repeats remembers which rows of a Table repeat spans of an older one: a client
// that has lost an answer sends its spans again, and they may come into a newer
// Table. To find that out takes a look at every trace, a third of a query's
// time; a row's answer never changes, so it is looked for once. The zero Repeats
// is ready, any goroutine may use it, and a nil one remembers nothing.
type Repeats struct{ pairs perPair[repeated] }

// repeated is what is known of a pair.
type repeated struct {
	older, rows int  // spans in the older Table, rows of the newer one, looked at
	again       Mask // rows of the newer one that repeat; nil for none
}

// maxPairs bounds what is remembered. Only Tables whose times overlap are pairs
// at all: neighbours, most often.
const maxPairs = 4096

// in returns the rows of v that an older View has as well; nil for none.
func (r *Repeats) in(v *trace.View, older []*trace.View) (again Mask) {
	first, last := v.Times()
	shared := false
	for _, o := range older {
		from, to := o.Times()
		if o.Spans() == 0 || from > last || to < first {
			continue
		}
		switch found := r.between(o, v).again.first(v.Spans()); {
		case found == nil:
		case again == nil:
			again, shared = found, true
		default:
			if shared {
				again, shared = again.clone(), false
			}
			again.or(found)
		}
	}
	return again
}

// between looks at the rows that have come since the pair was looked at last.
func (r *Repeats) between(o, v *trace.View) *repeated {
	if r == nil {
		return look(o, v, &repeated{})
	}
	pair := tablePair{o.ID(), v.ID()}
	known := r.pairs.get(pair)
	switch {
	case known == nil || known.older != o.Spans():
		known = &repeated{older: o.Spans()}
	case known.rows >= v.Spans():
		return known
	}
	known = look(o, v, known)
	r.pairs.put(pair, known, maxPairs)
	return known
}

// look adds to what is known the rows of v behind it. A repeated span has the
// same start, so most rows are settled by the time that the older View covers.
func look(o, v *trace.View, known *repeated) *repeated {
	from, to := o.Times()
	out := &repeated{older: o.Spans(), rows: v.Spans()}
	if known.again != nil {
		out.again = newMask(out.rows)
		copy(out.again, known.again)
	}
	traces := newMask(len(v.TraceIDs))
	for row := known.rows; row < out.rows; row++ {
		if t := v.Start[row]; from <= t && t <= to {
			traces.set(v.Trace[row])
		}
	}
	for number := range traces.Rows {
		there, ok := o.FindTrace(v.TraceIDs[number])
		if !ok {
			continue
		}
		for row := range v.Rows(number) {
			if o.HasSpan(there, v.SpanID[row], v.Kind[row], v.Start[row]) {
				if out.again == nil {
					out.again = newMask(out.rows)
				}
				out.again.set(row)
			}
		}
	}
	return out
}
