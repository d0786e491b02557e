package block

import (
	"context"
	"fmt"
	"runtime/debug"

	"etude/store/block/sidecar"
	"etude/trace"
)

// part is a row group of a block.
type part struct {
	b       *Block
	number  int
	id      uint64 // see trace.View.ID
	facts   sidecar.Facts
	held    chan struct{} // has a token while a goroutine reads
	state   *reading      // the units in memory, or nil; guarded by the cache
	tallied *unit         // a tally in memory, or nil; guarded by the cache
	loose   bool          // a column cuts its pages at other traces; written by the goroutine that holds the part
}

// reading holds the units of a part in memory, each a column or the attributes of a key. The method put of a
// unit copies its columns into a View. All texts are codes of one dictionary, which grows as units are read; so
// Views of different needs share units.
//
// The goroutine that holds the part reads and writes all but units, which the cache
// guards. The cache may evict all of it meanwhile: then the goroutine continues with it, and the next one starts
// over.
type reading struct {
	*part
	dict     *trace.Dict
	skeleton *skeleton
	units    map[unitName]*unit
	only     *onlyTraces // set if the units have only some traces
	whole    *reading    // the reading with all traces, if this one has only some
	paged    bool        // the units have a whole page, and the cache keeps them
	scratch  *scratch    // of a reading that has a few traces
}

// unitName names a unit.
type unitName struct {
	kind    unitKind
	columns trace.Columns // one of them
	level   trace.Level
	key     string
	page    int // one more than its number; 0 for units of all pages, and see oneTrace
}

type unitKind uint8

const (
	wholePart unitKind = iota // the skeleton and the dictionary
	someColumns
	oneKey
	allKeys
	oneDictionary // the dictionary of the column that key names
	onePlace      // the pages in which a condition may hold
	oneTally      // see tally; it does not go with the skeleton
	oneTrace      // a View of a whole trace; page is its number
)

// unit is a piece of a part that was read.
type unit struct {
	put     func(*trace.View) // of columns, and of all attributes of a level
	columns []trace.Column    // of a key
	texts   *texts            // of a dictionary
	pages   []bool            // of a place
	tally   *tally
	view    *trace.View // of a trace
	bytes   int

	cached
}

func newPart(b *Block, number int) *part {
	return &part{b: b, number: number, id: trace.NewID(), held: make(chan struct{}, 1)}
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
	defer p.recovered(&v, &err)
	r, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	units, err := r.need(ctx, need)
	if err != nil {
		return nil, err
	}
	return r.assemble(need, units), nil
}

// recovered turns a panic, which a damaged file may cause, into an error.
func (p *part) recovered(v **trace.View, err *error) {
	if r := recover(); r != nil {
		*v, *err = nil, p.panicked(r)
	}
}

// recoveredFrom is recovered where there is no View.
func (p *part) recoveredFrom(err *error) {
	if r := recover(); r != nil {
		*err = p.panicked(r)
	}
}

func (p *part) panicked(r any) error {
	return fmt.Errorf("read block %s: row group %d: %v\n%s", p.b.Meta.ID, p.number, r, debug.Stack())
}

// begin returns the part's state in memory, the skeleton at least.
func (p *part) begin(ctx context.Context) (r *reading, err error) {
	r = p.b.cache.state(p)
	if r.skeleton == nil {
		s, err := r.readSkeleton(ctx)
		if err != nil {
			return nil, err // The next caller reads it again.
		}
		r.skeleton = s
		p.b.cache.put(r, unitName{}, &unit{bytes: r.skeleton.bytes() + r.dict.Bytes()})
	}
	return r, nil
}

// namedUnit is a unit in a list of what a View needs.
type namedUnit struct {
	name unitName
	*unit
}

// levelsBelow are the levels whose attributes the skeleton does not have.
var levelsBelow = [...]trace.Level{trace.SpanLevel, trace.EventLevel, trace.LinkLevel}

// need returns the units of a need, and reads the missing ones.
func (p *reading) need(ctx context.Context, need *trace.Need) (units []namedUnit, err error) {
	before := p.dict.Bytes()
	var names []unitName
	columns := need.Columns
	if columns&trace.TraceTimes != 0 && p.facts.OddTimes() {
		columns = columns&^trace.TraceTimes | trace.Times // as if the View had none
	}
	if columns&trace.Times != 0 {
		columns &^= trace.Starts
	}
	for bit := trace.Columns(1); bit <= trace.AllColumns; bit <<= 1 {
		if columns&bit != 0 {
			names = append(names, unitName{kind: someColumns, columns: bit})
		}
	}
	for _, level := range levelsBelow {
		if need.AllKeys[level] {
			names = append(names, unitName{kind: allKeys, level: level})
		}
	}
	for _, name := range names {
		u := p.b.cache.get(p, name)
		if u == nil {
			if u, err = p.readUnit(ctx, name); err != nil {
				return nil, err
			}
			p.b.cache.put(p, name, u)
		}
		units = append(units, namedUnit{name, u})
	}
	for _, level := range levelsBelow {
		if !need.AllKeys[level] {
			if units, err = p.needKeys(ctx, level, need.Keys[level], units); err != nil {
				return nil, err
			}
		}
	}
	if grown := p.dict.Bytes() - before; grown > 0 {
		p.b.cache.grow(p, grown)
	}
	return units, nil
}

// needKeys adds the units of keys. It reads all missing ones in one pass.
func (p *reading) needKeys(ctx context.Context, level trace.Level, keys map[string]bool, units []namedUnit) ([]namedUnit, error) {
	missing := map[string]bool{}
	for key := range keys {
		name := unitName{kind: oneKey, level: level, key: key}
		if u := p.b.cache.get(p, name); u != nil {
			units = append(units, namedUnit{name, u})
		} else {
			missing[key] = true
		}
	}
	if len(missing) == 0 {
		return units, nil
	}
	read, err := p.readKeys(ctx, level, missing)
	if err != nil {
		return nil, err
	}
	for key, u := range read {
		name := unitName{kind: oneKey, level: level, key: key}
		p.b.cache.put(p, name, u)
		units = append(units, namedUnit{name, u})
	}
	return units, nil
}

// assemble builds a View from units.
func (p *reading) assemble(need *trace.Need, units []namedUnit) *trace.View {
	s, f := p.skeleton, &p.facts
	id := p.id
	if p.only != nil {
		id = trace.NewID() // Its rows differ from the rows of other Views.
	}
	a := trace.Assembly{
		ID: id, Strings: *p.dict, TraceIDs: s.ids, First: s.First, Trace: s.Trace, Scope: s.Scope, ScopeResource: s.ScopeResource,
		Resources: len(s.ResourceDropped),
		MinStart:  f.MinStart, MaxEnd: f.MaxEnd, FirstArrival: f.FirstArrival, LastArrival: f.LastArrival,
	}
	v := a.View()
	v.SetAttrs(trace.ResourceLevel, s.Resource)
	v.SetAttrs(trace.ScopeLevel, s.ScopeAttrs)
	var columns [trace.Levels][]trace.Column
	for _, u := range units {
		if u.put != nil {
			u.put(v)
		} else {
			columns[u.name.level] = append(columns[u.name.level], u.columns...)
		}
	}
	for _, level := range levelsBelow {
		if !need.AllKeys[level] {
			v.SetColumns(level, need.Keys[level], columns[level])
		}
	}
	return v
}
