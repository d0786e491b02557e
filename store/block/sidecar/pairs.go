package sidecar

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"etude/trace"
)

// Pairs: what occurs together in one span.
//
// The filter says that a name occurs in a row group, and the bounds that a long duration does. A query for both
// in one span needs more. So the sidecar has facts about the spans of each anchor; each span name is one, and
// each service:
//
//   - Members of the filter, each a hash of the anchor and of another member: statuses, kinds, keys of span
//     attributes by name, and names by service. A pair that is not in the filter does not occur.
//   - Ranges of durations and, by name, of the numbers of a key.
//
// An anchor with a range of durations is known: the filter has all its pairs. Other anchors are unknown, and so is
// a missing range of numbers. The sidecar's size is bounded: it has the anchors with most spans.
//
// Texts with one hash are one anchor with the spans of both. So texts chosen to collide make no fact false.

// maxNames, maxServices and maxCells bound the memory while pairs are collected. A cell is a name with an
// attribute column.
const (
	maxNames    = 512
	maxServices = 128
	maxCells    = 1 << 16
)

// A row group of n spans has at most minPairs + n/spansPerPair pairs, and minRanges + n/spansPerRange ranges.
const (
	minPairs, spansPerPair   = 256, 8
	minRanges, spansPerRange = 64, 64
)

const serviceKey = "service.name"

// everything is the anchor of all spans. It has only ranges of numbers.
const everything uint64 = 0

// The lowest bit of a hash tells ranges of durations from those of numbers.
func durationsOf(anchor uint64) uint64    { return mix(anchor, 1) | 1 }
func numbersOf(anchor, key uint64) uint64 { return mix(anchor, key) &^ 1 }

func pairOf(anchor, member uint64) uint64 { return mix(mix(anchor, member), 2) }
func keyMember(key string) uint64         { return prefix(memberKey, trace.SpanLevel, key) }
func nameAnchor(name string) uint64       { return member(prefix(memberName, 0, ""), name) }
func serviceAnchor(name string) uint64 {
	return member(prefix(memberValue, trace.ResourceLevel, serviceKey), name)
}

// A pair with manyKinds means that kind or status, or any greater one.
const manyKinds = 63

// limits are the least and greatest of the numbers of a key.
type limits struct {
	has             bool // the key
	odd             bool // it has an array, whose elements may be other numbers
	numbers         bool // least and greatest are set
	least, greatest float64
}

func (l *limits) number(x float64) {
	switch {
	case math.IsNaN(x): // It meets no condition.
	case !l.numbers:
		l.least, l.greatest, l.numbers = x, x, true
	default:
		l.least, l.greatest = min(l.least, x), max(l.greatest, x)
	}
}

func (l *limits) join(o *limits) {
	l.has, l.odd = l.has || o.has, l.odd || o.odd
	if o.numbers {
		l.number(o.least)
		l.number(o.greatest)
	}
}

// anchor has the facts about some spans.
type anchor struct {
	hash            uint64
	spans           int
	least, greatest int64 // durations
	statuses, kinds uint64
	names           map[uint64]bool    // of a service
	keys            map[uint64]*limits // of a name, or of all spans
}

func newAnchor(hash uint64) *anchor {
	return &anchor{hash: hash, least: math.MaxInt64, greatest: math.MinInt64, names: map[uint64]bool{}, keys: map[uint64]*limits{}}
}

func (a *anchor) span(d int64, status, kind uint8) {
	a.spans++
	a.least, a.greatest = min(a.least, d), max(a.greatest, d)
	a.statuses |= 1 << min(status, manyKinds)
	a.kinds |= 1 << min(kind, manyKinds)
}

func (a *anchor) key(hash uint64, l *limits) {
	if have := a.keys[hash]; have != nil {
		have.join(l)
		return
	}
	added := *l
	a.keys[hash] = &added
}

// anchors are the anchors of a kind. When there are as many as may be kept, later ones are not; so each that is
// kept has all its spans.
type anchors struct {
	most int
	all  map[uint64]*anchor

	// The rest is of one source.
	local  []*anchor
	byCode []int32 // of a name or a resource: 0: not met; -1: not kept; else one more than the index in local
	met    []uint32
}

func (t *anchors) begin(most int) { t.most, t.all = most, map[uint64]*anchor{} }

// leave forgets the source.
func (t *anchors) leave() {
	for _, code := range t.met {
		t.byCode[code] = 0
	}
	t.local, t.met = t.local[:0], t.met[:0]
}

// known returns the index of the anchor of a code, or -1 if it is not kept. ok is false if the code is new.
func (t *anchors) known(code uint32) (i int, ok bool) {
	if int(code) >= len(t.byCode) || t.byCode[code] == 0 {
		return 0, false
	}
	return max(int(t.byCode[code])-1, -1), true
}

// meet adds a code and returns what known does from then on. The hash 0 is no anchor.
func (t *anchors) meet(code uint32, hash uint64) int {
	if n := int(code) + 1; n > len(t.byCode) {
		t.byCode = append(t.byCode, make([]int32, n-len(t.byCode))...)
	}
	t.met = append(t.met, code)
	a := t.all[hash]
	if a == nil && hash != 0 && len(t.all) < t.most {
		a = newAnchor(hash)
		t.all[hash] = a
	}
	if a == nil {
		t.byCode[code] = -1
		return -1
	}
	at := slices.Index(t.local, a) // Two codes may have one hash.
	if at < 0 {
		at, t.local = len(t.local), append(t.local, a)
	}
	t.byCode[code] = int32(at + 1)
	return at
}

// pairs collects the pairs of a row group.
type pairs struct {
	names, services anchors
	all             anchor
	noKeys          bool // there were too many
	noServices      bool // a resource has no service name that is one text

	met []bool // by service and name
}

func (p *pairs) begin() {
	p.names.begin(maxNames)
	p.services.begin(maxServices)
	p.all = *newAnchor(everything)
	p.noKeys, p.noServices = false, false
}

// start begins a source.
func (p *pairs) start() { p.met = zeroed(p.met, maxServices*maxNames) }

// end ends a source.
func (p *pairs) end() {
	p.joinNames()
	p.names.leave()
	p.services.leave()
}

// span adds a span. It returns the index of its name in names.local, or -1.
func (p *pairs) span(src *Source, row, resource uint32, d int64) (name int) {
	v := src.View
	name, ok := p.names.known(v.Name[row])
	if !ok {
		name = p.names.meet(v.Name[row], nameAnchor(v.Text(v.Name[row])))
	}
	service, ok := p.services.known(resource)
	if !ok {
		service = p.services.meet(resource, p.serviceOf(src, resource))
	}
	if name >= 0 {
		p.names.local[name].span(d, v.Status[row], v.Kind[row])
	}
	if service < 0 {
		return name
	}
	p.services.local[service].span(d, v.Status[row], v.Kind[row])
	if name >= 0 {
		p.met[service*maxNames+name] = true
	}
	return name
}

// serviceOf returns the anchor of a resource's service, or 0.
func (p *pairs) serviceOf(src *Source, resource uint32) (hash uint64) {
	f := src.Flat(trace.ResourceLevel)
	for from, to := f.Row(resource); from < to; from++ {
		column := &f.Columns[f.Cols[from]]
		if column.Key != serviceKey {
			continue
		}
		if column.Type != trace.String || hash != 0 {
			p.noServices = true
		}
		hash = serviceAnchor(src.View.Text(uint32(f.Vals[from])))
	}
	return hash
}

// joinNames adds the names of each service that the source has.
func (p *pairs) joinNames() {
	for s, service := range p.services.local {
		for n, name := range p.names.local {
			if p.met[s*maxNames+n] {
				service.names[name.hash] = true
			}
		}
	}
}

// startKeys begins the columns of a source, of which there are so many.
func (p *pairs) startKeys(columns int) {
	p.noKeys = p.noKeys || (len(p.names.local)+1)*columns > maxCells
}

// key adds the facts about a column of a source: for each name in names.local, and for all other spans.
func (p *pairs) key(key uint64, cells []limits) {
	for name := range cells {
		c := &cells[name]
		if !c.has {
			continue
		}
		p.all.key(key, c)
		if name < len(p.names.local) {
			p.names.local[name].key(key, c)
		}
	}
}

// finish adds the pairs to the members, as many as a row group may have, and returns the ranges.
func (p *pairs) finish(members *hashList, spans int) []valueRange {
	mostPairs, mostRanges := minPairs+spans/spansPerPair, minRanges+spans/spansPerRange
	var ranges []valueRange
	if !p.noKeys {
		ranges = p.all.numbers(nil)
		ranges = ranges[:min(len(ranges), mostRanges/4)]
	}
	known := slices.Collect(maps.Values(p.names.all))
	if !p.noServices {
		known = slices.AppendSeq(known, maps.Values(p.services.all))
	}
	slices.SortFunc(known, func(a, b *anchor) int {
		return cmp.Or(cmp.Compare(b.spans, a.spans), cmp.Compare(a.hash, b.hash))
	})
	for i, a := range known {
		pairs := a.pairs()
		if mostPairs -= len(pairs); mostPairs < 0 || len(ranges) >= mostRanges {
			known = known[:i]
			break
		}
		for _, h := range pairs {
			members.add(h)
		}
		ranges = append(ranges, valueRange{durationsOf(a.hash), uint64(a.least), uint64(a.greatest)})
	}
	for _, a := range known {
		if p.noKeys || len(ranges) >= mostRanges {
			break
		}
		numbers := a.numbers(nil)
		ranges = append(ranges, numbers[:min(len(numbers), mostRanges-len(ranges))]...)
	}
	slices.SortFunc(ranges, compareRanges)
	return unambiguous(ranges)
}

// unambiguous removes ranges with the same hash.
func unambiguous(ranges []valueRange) []valueRange {
	kept := ranges[:0]
	for i, r := range ranges {
		if (i == 0 || ranges[i-1].hash != r.hash) && (i+1 == len(ranges) || ranges[i+1].hash != r.hash) {
			kept = append(kept, r)
		}
	}
	return kept
}

// pairs returns the pairs of an anchor.
func (a *anchor) pairs() (hashes []uint64) {
	for n := range uint64(manyKinds + 1) {
		if a.statuses>>n&1 != 0 {
			hashes = append(hashes, pairOf(a.hash, mix(memberStatus, n)))
		}
		if a.kinds>>n&1 != 0 {
			hashes = append(hashes, pairOf(a.hash, mix(memberKind, n)))
		}
	}
	for name := range a.names {
		hashes = append(hashes, pairOf(a.hash, name))
	}
	for key := range a.keys {
		hashes = append(hashes, pairOf(a.hash, key))
	}
	return hashes
}

// numbers appends the ranges of numbers of an anchor, sorted by key.
func (a *anchor) numbers(ranges []valueRange) []valueRange {
	for _, key := range slices.Sorted(maps.Keys(a.keys)) {
		if l := a.keys[key]; l.numbers && !l.odd {
			ranges = append(ranges, valueRange{numbersOf(a.hash, key), math.Float64bits(l.least), math.Float64bits(l.greatest)})
		}
	}
	return ranges
}

// valueRange is a range of durations or numbers: the bits of int64 or float64.
type valueRange struct{ hash, least, greatest uint64 }

func compareRanges(a, b valueRange) int { return cmp.Compare(a.hash, b.hash) }

// find returns a range.
func (f *Facts) find(hash uint64) (valueRange, bool) {
	i, ok := slices.BinarySearchFunc(f.ranges, hash, func(r valueRange, h uint64) int { return cmp.Compare(r.hash, h) })
	if !ok {
		return valueRange{}, false
	}
	return f.ranges[i], true
}

// outside reports whether the numbers of a key are known and none is within a condition's.
func (f *Facts) outside(anchor, key uint64, c *trace.Condition) bool {
	if !c.Bounded {
		return false
	}
	r, ok := f.find(numbersOf(anchor, key))
	return ok && (math.Float64frombits(r.greatest) < c.Least || math.Float64frombits(r.least) > c.Most)
}

// ExcludesBoth reports whether the facts prove that no span of the row group meets two conditions.
func (f *Facts) ExcludesBoth(a, b *trace.Condition) bool {
	return f.excludesWith(a, b) || f.excludesWith(b, a)
}

// excludesWith is ExcludesBoth with the texts of the first condition as anchors.
func (f *Facts) excludesWith(c, other *trace.Condition) bool {
	if f.unknown || len(f.ranges) == 0 || !c.IsAnchor() {
		return false
	}
	anchorOf := serviceAnchor
	if c.Of == trace.Names {
		anchorOf = nameAnchor
	}
	for _, text := range c.Texts {
		if hash := anchorOf(text); f.filter.Contains(hash) && !f.excludesPair(hash, c.Of == trace.Names, other) {
			return false
		}
	}
	return true
}

// excludesPair reports whether no span of an anchor meets a condition.
func (f *Facts) excludesPair(hash uint64, isName bool, c *trace.Condition) bool {
	durations, known := f.find(durationsOf(hash))
	if !known {
		return false
	}
	switch c.Of {
	case trace.Times:
		return c.Bounded && (int64(durations.greatest) < c.Min || int64(durations.least) > c.Max)
	case trace.Statuses:
		return c.Bounded && f.lacksPairs(hash, memberStatus, c.Min, c.Max)
	case trace.Kinds:
		return c.Bounded && f.lacksPairs(hash, memberKind, c.Min, c.Max)
	case trace.Names:
		return c.Texts != nil && !isName && f.lacksNames(hash, c.Texts)
	case 0:
		if c.Level != trace.SpanLevel || !isName {
			return false
		}
		key := keyMember(c.Key)
		return f.flags&flagNoKeys == 0 && !f.filter.Contains(pairOf(hash, key)) || f.outside(hash, key, c)
	}
	return false
}

func (f *Facts) lacksPairs(hash, what uint64, least, most int64) bool {
	for n := max(least, 0); n <= min(most, 255); n++ {
		if f.filter.Contains(pairOf(hash, mix(what, uint64(min(n, manyKinds))))) {
			return false
		}
	}
	return true
}

// lacksNames reports whether a service has no span with one of the names. A name that is not known may have any
// service.
func (f *Facts) lacksNames(service uint64, names []string) bool {
	for _, name := range names {
		hash := nameAnchor(name)
		if !f.filter.Contains(hash) {
			continue
		}
		if _, known := f.find(durationsOf(hash)); !known || f.filter.Contains(pairOf(service, hash)) {
			return false
		}
	}
	return true
}
