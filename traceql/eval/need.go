package eval

import (
	"etude/trace"
	"etude/traceql/syntax"
)

// This file declares the columns that a Program reads: see [trace.Need]. Each expression, condition and stage
// adds its own columns. The test double in package testkit refuses every other column, and all tests of queries
// run on it.

// RowNeed declares the columns of masks, for the conditions of filters that rows can decide. [Run.Candidates]
// reads no others.
func (p *Program) RowNeed() *trace.Need {
	n := &trace.Need{}
	for i := range p.filters {
		p.filters[i].cond.declare(n, false)
	}
	return n
}

// Need declares all columns of a Run: the columns of masks, of whole traces, of the pipeline, of [Run.Attrs]
// and of [Run.Values].
func (p *Program) Need() *trace.Need {
	n := &trace.Need{}
	n.Add(p.RowNeed())
	DeclareTrace(n)
	for i := range p.filters {
		p.filters[i].cond.declare(n, true)
	}
	for _, s := range p.stages {
		s.declare(n)
	}
	for i := range p.touched {
		p.touched[i].x.declare(n)
	}
	p.DeclareOperands(n)
	if p.value != nil {
		p.value.declare(n)
	}
	return n
}

// DeclareOperands adds the columns that the operands of a metrics query read.
func (p *Program) DeclareOperands(n *trace.Need) {
	for _, x := range p.operands {
		x.declare(n)
	}
}

// DeclareTrace adds the columns that [Run.Load] reads: times and identities of spans.
func DeclareTrace(n *trace.Need) { n.Columns |= trace.Times | trace.SpanIDs | trace.Kinds }

// DeclareRoot adds the columns that [Trace.Root] reads.
func DeclareRoot(n *trace.Need) {
	n.Columns |= trace.Parents | trace.Names | trace.LinkSpans | trace.LinkIDs
	n.Key(trace.LinkLevel, refType)
	n.Key(trace.ResourceLevel, serviceName)
}

// declareTree adds the columns that form the tree of a trace.
func declareTree(n *trace.Need) { n.Columns |= trace.SpanIDs | trace.Parents | trace.Kinds }

// Attributes that every query of a kind reads.
const (
	refType     = "opentracing.ref_type"
	serviceName = "service.name"
)

// ownerNeeds are the columns that lead from a span to its rows of a level.
var ownerNeeds = [trace.Levels]trace.Columns{trace.EventLevel: trace.EventSpans, trace.LinkLevel: trace.LinkSpans}

// intrinsicNeeds are the columns of the intrinsics that single rows decide.
var intrinsicNeeds = map[string]trace.Columns{
	syntax.Name:          trace.Names,
	syntax.Duration:      trace.Times,
	syntax.Status:        trace.Statuses,
	syntax.StatusMessage: trace.StatusMessages,
	syntax.Kind:          trace.Kinds,
	syntax.SpanID:        trace.SpanIDs,
	syntax.ParentID:      trace.Parents,
	syntax.TraceID:       0,
	syntax.ScopeName:     trace.ScopeNames,
	syntax.ScopeVersion:  trace.ScopeVersions,
	syntax.EventName:     trace.EventSpans | trace.EventNames,
	syntax.EventTime:     trace.EventSpans | trace.EventTimes | trace.Times,
	syntax.LinkTraceID:   trace.LinkSpans | trace.LinkIDs,
	syntax.LinkSpanID:    trace.LinkSpans | trace.LinkIDs,
}

func (e constant) declare(*trace.Need) {}

func (e *attribute) declare(n *trace.Need) {
	n.Key(e.level, e.Name)
	n.Columns |= ownerNeeds[e.level]
	if e.inherits {
		n.Key(trace.ResourceLevel, e.Name)
	}
}

func (e intrinsic) declare(n *trace.Need) {
	switch e.name {
	case syntax.TraceDuration:
		DeclareTrace(n)
	case syntax.RootName, syntax.RootService:
		DeclareRoot(n)
	case syntax.ChildCount, syntax.NestedSetLeft, syntax.NestedSetRight, syntax.NestedSetParent:
		declareTree(n)
	default:
		n.Columns |= intrinsicNeeds[e.name]
		n.IDs = n.IDs || e.name == syntax.TraceID
	}
}

func (e *arithmetic) declare(n *trace.Need) { e.l.declare(n); e.r.declare(n) }
func (e negation) declare(n *trace.Need)    { e.x.declare(n) }
func (e *comparison) declare(n *trace.Need) { e.l.declare(n); e.r.declare(n) }
func (e *constTest) declare(n *trace.Need)  { e.x.declare(n) }
func (e *presence) declare(n *trace.Need)   { e.x.declare(n) }
func (e condValue) declare(n *trace.Need)   { e.cond.declare(n, true) }

func (a always) declare(*trace.Need, bool) {}
func (a allOf) declare(n *trace.Need, whole bool) {
	for _, x := range a {
		x.declare(n, whole)
	}
}

func (a anyOf) declare(n *trace.Need, whole bool) {
	for _, x := range a {
		x.declare(n, whole)
	}
}

func (n not) declare(to *trace.Need, whole bool) { n.x.declare(to, whole) }

// Unless whole, declare leaves out the columns that narrow does not read.
func (l leaf) declare(n *trace.Need, whole bool) {
	switch {
	case whole || !l.e.needs().trace:
		l.e.declare(n)
	case wantsRoot(l.e):
		n.Columns |= trace.Parents
	}
}

func (s sameChild) declare(n *trace.Need, whole bool) {
	n.Columns |= ownerNeeds[s.level]
	for _, l := range s.conds {
		l.declare(n, whole)
	}
}

func (s spansetStage) declare(n *trace.Need) { s.node.declare(n) }
func (a *aggregate) declare(n *trace.Need) {
	if a.arg != nil {
		a.arg.declare(n)
	}
}
func (g *grouping) declare(n *trace.Need) { g.x.declare(n) }
func (coalesce) declare(*trace.Need)      {}

func (f pick) declare(*trace.Need) {} // filters declare theirs
func (o *logical) declare(n *trace.Need) {
	o.l.declare(n)
	o.r.declare(n)
}

func (o *structural) declare(n *trace.Need) {
	declareTree(n)
	o.l.declare(n)
	o.r.declare(n)
}

func (g *group) declare(n *trace.Need) {
	for _, s := range g.stages {
		s.declare(n)
	}
}
