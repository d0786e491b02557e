package block

import (
	"context"
	"fmt"
	"runtime/debug"

	"etude/trace"
)

// part is a row group of a block.
//
// What was read of it stays in memory as units: a column, or the attributes of a
// key. A unit puts its columns into a View. All texts of a part are codes of one
// dictionary, which grows as units are read; so Views of different needs share
// units.
type part struct {
	b      *Block
	number int
	id     uint64 // see trace.View.ID
	bounds partInfo

	// held has a token that a goroutine holds while it reads the fields below.
	held     chan struct{}
	dict     *trace.Dict
	skeleton *skeleton
	units    map[unitName]*unit
}

// unitName names a unit: one of the columns, or the attributes of a key or of all
// keys of a level.
type unitName struct {
	columns trace.Columns
	level   trace.Level
	key     string
	all     bool
}

// unit is what was read.
type unit struct {
	put     func(*trace.View) // of columns, and of all attributes of a level
	columns []trace.Column    // of a key
	bytes   int
}

func newPart(b *Block, number int) *part {
	return &part{b: b, number: number, id: trace.NewID(), held: make(chan struct{}, 1), dict: trace.NewDict(), units: map[unitName]*unit{}}
}

// hold waits until the caller has the part for itself.
func (p *part) hold(ctx context.Context) error {
	select {
	case p.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *part) release() { <-p.held }

// open returns a View with the columns that are needed.
func (p *part) open(ctx context.Context, need *trace.Need) (v *trace.View, err error) {
	if err := p.hold(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("read block %s: row group %d: %v\n%s", p.b.Meta.ID, p.number, r, debug.Stack())
		}
	}()
	if p.skeleton == nil {
		if p.skeleton, err = p.readSkeleton(ctx); err != nil {
			return nil, err
		}
	}
	units, err := p.need(ctx, need)
	if err != nil {
		return nil, err
	}
	return p.assemble(need, units), nil
}

// needed is a unit in a list of what a View needs.
type neededUnit struct {
	name unitName
	*unit
}

// need returns the units of a need, and reads those that are not there.
func (p *part) need(ctx context.Context, need *trace.Need) (units []neededUnit, err error) {
	add := func(name unitName) {
		if err != nil {
			return
		}
		var u *unit
		if u, err = p.unit(ctx, name); err == nil {
			units = append(units, neededUnit{name, u})
		}
	}
	columns := need.Columns
	if columns&trace.TraceTimes != 0 { // A View without TraceStart has Start and End.
		columns = columns&^trace.TraceTimes | trace.Times
	}
	for bit := trace.Columns(1); bit <= trace.AllColumns; bit <<= 1 {
		if columns&bit != 0 {
			add(unitName{columns: bit})
		}
	}
	for _, level := range [...]trace.Level{trace.SpanLevel, trace.EventLevel, trace.LinkLevel} {
		if need.AllKeys[level] {
			add(unitName{level: level, all: true})
			continue
		}
		missing := map[string]bool{}
		for key := range need.Keys[level] {
			if p.units[unitName{level: level, key: key}] == nil {
				missing[key] = true
			}
		}
		if err == nil && len(missing) > 0 {
			err = p.readKeys(ctx, level, missing)
		}
		for key := range need.Keys[level] {
			add(unitName{level: level, key: key})
		}
	}
	return units, err
}

// unit returns a unit, and reads it if it is not there.
func (p *part) unit(ctx context.Context, name unitName) (*unit, error) {
	if u := p.units[name]; u != nil {
		return u, nil
	}
	u, err := p.readUnit(ctx, name)
	if err != nil {
		return nil, err
	}
	p.units[name] = u
	return u, nil
}

// assemble makes a View of units.
func (p *part) assemble(need *trace.Need, units []neededUnit) *trace.View {
	s := p.skeleton
	a := trace.Assembly{
		ID: p.id, Strings: *p.dict, TraceIDs: s.ids, First: s.first, Trace: s.trace, Scope: s.scope, ScopeResource: s.scopeResource,
		Resources: len(s.resourceDropped),
		MinStart:  p.bounds.MinStart, MaxEnd: p.bounds.MaxEnd, FirstArrival: p.bounds.FirstArrival, LastArrival: p.bounds.LastArrival,
	}
	v := a.View()
	v.SetAttrs(trace.ResourceLevel, s.resource)
	v.SetAttrs(trace.ScopeLevel, s.scopeAttrs)
	var columns [trace.Levels][]trace.Column
	for _, u := range units {
		if u.put != nil {
			u.put(v)
		} else {
			columns[u.name.level] = append(columns[u.name.level], u.columns...)
		}
	}
	for _, level := range [...]trace.Level{trace.SpanLevel, trace.EventLevel, trace.LinkLevel} {
		if !need.AllKeys[level] {
			v.SetColumns(level, need.Keys[level], columns[level])
		}
	}
	return v
}
