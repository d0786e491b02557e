package trace

import "slices"

// Project returns a View of the same part with only the declared columns. The others are nil; reading an
// undeclared attribute panics. The View has TraceStart and TraceEnd, and has Start and End only if Times or
// Starts are declared. Tests read through it, so that a query that forgets to declare a column fails there.
func (v *View) Project(need *Need) *View {
	p := &View{columns: v.columns, assembled: v.assembled, resources: v.Resources()}
	p.TraceStart, p.TraceEnd = nil, nil
	if need.Columns&TraceTimes != 0 {
		p.TraceStart, p.TraceEnd = v.traceTimes()
	}
	start, end := v.Start, v.End
	for i, drop := range p.droppers() {
		if need.Columns&(1<<i) == 0 {
			drop()
		}
	}
	if need.Columns&(Starts|Times) == Starts {
		if p.Start = start; slices.Contains(start, 0) {
			p.End = end
		}
	}
	for l := range Level(Levels) {
		a := *v.Attrs(l)
		a.dict = &p.Strings
		if !need.AllKeys[l] {
			if a.only = need.Keys[l]; a.only == nil {
				a.only = map[string]bool{}
			}
		}
		*p.Attrs(l) = a
	}
	return p
}

// droppers returns, for each bit of Columns, the function that removes its columns.
func (v *View) droppers() []func() {
	absent := Sparse{absent: true}
	return []func(){
		func() { v.SpanID = nil },
		func() { v.Parent = nil },
		func() { v.Start, v.End = nil, nil },
		func() { v.Name = nil },
		func() { v.Kind = nil },
		func() { v.Status = nil },
		func() { v.StatusMessage = absent },
		func() { v.TraceState = absent },
		func() { v.Flags = absent },
		func() {
			v.DroppedAttrs, v.DroppedEvents, v.DroppedLinks = absent, absent, absent
			v.ResourceDropped, v.ScopeDropped = nil, nil
			v.EventDropped, v.LinkDropped = absent, absent
		},
		func() { v.Size = nil },
		func() { v.ResourceSchemaURL, v.ResourceExtra = nil, nil },
		func() { v.ScopeName = nil },
		func() { v.ScopeVersion = nil },
		func() { v.ScopeSchemaURL = nil },
		func() { v.EventSpan, v.without = nil, v.without|EventSpans },
		func() { v.EventTime = nil },
		func() { v.EventName = nil },
		func() { v.LinkSpan, v.without = nil, v.without|LinkSpans },
		func() { v.LinkTraceID, v.LinkSpanID = nil, nil },
		func() { v.LinkState, v.LinkFlags = absent, absent },
	}
}

// traceTimes returns TraceStart and TraceEnd.
func (v *View) traceTimes() (start, end []uint64) {
	start, end = make([]uint64, len(v.TraceIDs)), make([]uint64, len(v.TraceIDs))
	for row, number := range v.Trace {
		began := v.Began(uint32(row))
		if began > 0 && (start[number] == 0 || began < start[number]) {
			start[number] = began
		}
		end[number] = max(end[number], v.End[row], began)
	}
	return start, end
}

// refuseAll panics when only some keys were read.
func (a *Attrs) refuseAll() {
	if a.only != nil {
		panic("trace: all attributes of a level were read, but only some keys were declared")
	}
}
