package sidecar

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/FastFilter/xorfilter"
	"github.com/cespare/xxhash/v2"

	"etude/internal/wire"
	"etude/otlp"
	"etude/store/block/layout"
	"etude/trace"
)

// summary collects what occurs in a row group: the facts of a sidecar.
//
// One filter has everything: which attributes there are, which value each has,
// names, kinds, statuses, traces. A member is a hash of what it is and of its text.
// A binary fuse filter takes 18 bits a member and says yes to 1 of 65,536 that are
// not members: a search over hundreds of row groups opens none in vain. Rejected: blocked bloom filters, which take
// twice the space for the same error rate.
type summary struct {
	facts   Facts
	members hashSet
	seen    []uint32 // by code: the last column that had it
	column  uint32
}

// The kinds of members of the filter.
const (
	memberTrace uint64 = iota + 1
	memberKey          // an attribute, whatever its value
	memberValue
	memberName
	memberScopeName
	memberKind
	memberStatus
)

func newSummary() *summary {
	s := &summary{}
	s.facts.minDuration = math.MaxInt64
	return s
}

// prefix is the hash of a member's kind.
func prefix(what uint64, level trace.Level, key string) uint64 {
	return mix(xxhash.Sum64String(key), what<<8|uint64(level))
}

// mix joins two hashes.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo | 1 // hashSet has a use for 0
}

// member is the hash of a text of some meaning.
func member(prefix uint64, text string) uint64 { return mix(prefix, xxhash.Sum64String(text)) }

// add adds rows of a View: those for which rows is true. The View has every column.
func (s *summary) add(v *trace.View, rows []bool) {
	if len(s.seen) < v.Strings.Len() {
		s.seen = make([]uint32, v.Strings.Len())
		s.column = 0
	}
	scopes, resources := make([]bool, v.Scopes()), make([]bool, v.Resources())
	traces := make([]bool, len(v.TraceIDs))
	for row, in := range rows {
		if in {
			s.span(v, uint32(row))
			scopes[v.Scope[row]] = true
			traces[v.Trace[row]] = true
		}
	}
	for number, in := range traces {
		if in {
			s.trace(v.TraceIDs[number])
		}
	}
	s.texts(v, prefix(memberName, 0, ""), v.Name, rows)
	s.texts(v, prefix(memberScopeName, 0, ""), v.ScopeName, scopes)
	for scope, in := range scopes {
		if in {
			resources[v.ScopeResource[scope]] = true
		}
	}
	of := [trace.Levels][]bool{trace.SpanLevel: rows, trace.ScopeLevel: scopes, trace.ResourceLevel: resources,
		trace.EventLevel: below(v.EventSpan, rows), trace.LinkLevel: below(v.LinkSpan, rows)}
	for level := range trace.Level(trace.Levels) {
		for c := range v.Attrs(level).All() {
			s.attribute(v, level, c, of[level])
		}
	}
}

// below are the rows of events or links whose span is taken.
func below(spans []uint32, rows []bool) []bool {
	in := make([]bool, len(spans))
	for i, span := range spans {
		in[i] = rows[span]
	}
	return in
}

func (s *summary) span(v *trace.View, row uint32) {
	d := v.Duration(row)
	s.facts.minDuration, s.facts.maxDuration = min(s.facts.minDuration, d), max(s.facts.maxDuration, d)
	if v.Start[row] == 0 || v.End[row] < v.Start[row] {
		s.facts.flags |= flagOddTimes
	}
	s.members.add(mix(memberKind, uint64(v.Kind[row])))
	s.members.add(mix(memberStatus, uint64(v.Status[row])))
}

func (s *summary) trace(id trace.TraceID) {
	if !s.members.add(traceMember(id)) {
		return // Another View has it, too.
	}
	if s.facts.traces == 0 || less(id, s.facts.first) {
		s.facts.first = id
	}
	if s.facts.traces == 0 || less(s.facts.last, id) {
		s.facts.last = id
	}
	s.facts.traces++
}

func traceMember(id trace.TraceID) uint64 { return mix(memberTrace, xxhash.Sum64(id[:])) }

func less(a, b trace.TraceID) bool { return string(a[:]) < string(b[:]) }

// texts adds the distinct texts of a column.
func (s *summary) texts(v *trace.View, prefix uint64, codes []uint32, rows []bool) {
	s.column++
	for row, code := range codes {
		if rows[row] && s.seen[code] != s.column {
			s.seen[code] = s.column
			s.members.add(member(prefix, v.Text(code)))
		}
	}
}

// attribute adds that a column occurs, and its distinct values.
func (s *summary) attribute(v *trace.View, level trace.Level, c *trace.Column, rows []bool) {
	value := prefix(memberValue, level, c.Key)
	s.column++
	occurs := false
	for i, row := range c.Rows {
		if !rows[row] {
			continue
		}
		occurs = true
		switch c.Type {
		case trace.String, trace.Array:
			code := c.Codes[i]
			if s.seen[code] == s.column {
				continue
			}
			s.seen[code] = s.column
			if c.Type == trace.String {
				s.members.add(member(value, v.Text(code)))
			} else {
				s.elements(value, []byte(v.Text(code)))
			}
		case trace.Bool:
			s.members.add(member(value, strconv.FormatBool(c.Codes[i] != 0)))
		case trace.Int, trace.Double:
			s.number(value, c.Type, c.Nums[i])
		}
	}
	if occurs {
		s.members.add(prefix(memberKey, level, c.Key))
	}
}

// elements adds the elements of an array.
func (s *summary) elements(value uint64, b []byte) {
	array := wire.Reader{Rest: b}
	for array.Next() {
		if !array.IsBytes(5) {
			continue
		}
		element := wire.Reader{Rest: array.Data}
		for element.Next() {
			if !element.IsBytes(1) {
				continue
			}
			switch t, content, number, err := otlp.ReadValue(element.Data); {
			case err != nil:
			case t == trace.String:
				s.members.add(member(value, string(content)))
			case t == trace.Bool:
				s.members.add(member(value, strconv.FormatBool(number != 0)))
			case t == trace.Int || t == trace.Double:
				s.number(value, t, number)
			}
		}
	}
}

// number adds a number in the spellings that a condition may have; see [trace.Condition].
func (s *summary) number(value uint64, t trace.Type, n uint64) {
	var text [400]byte
	if t == trace.Int {
		s.members.add(mix(value, xxhash.Sum64(strconv.AppendInt(text[:0], int64(n), 10))))
		return
	}
	d := math.Float64frombits(n)
	for _, format := range [...]byte{'f', 'g', 'e'} {
		s.members.add(mix(value, xxhash.Sum64(strconv.AppendFloat(text[:0], d, format, -1, 64))))
		if math.Abs(d) < 1<<53 {
			break
		}
	}
	if d == 0 {
		s.members.add(member(value, "0"))
	}
}

// part returns the facts.
func (s *summary) part(info layout.PartInfo) (Facts, error) {
	f := s.facts
	f.PartInfo = info
	if f.minDuration > f.maxDuration {
		f.minDuration = 0
	}
	keys := s.members.all()
	if len(keys) == 0 {
		keys = []uint64{0} // a filter has a member
	}
	filter, err := xorfilter.NewBinaryFuse[uint16](keys)
	if err != nil {
		return f, err
	}
	f.filter = *filter
	return f, nil
}

// Excludes tells that no span of the row group meets a condition.
func (f *Facts) Excludes(c *trace.Condition) bool {
	var what uint64
	switch c.Of {
	case 0:
		if c.Texts == nil {
			return !f.filter.Contains(prefix(memberKey, c.Level, c.Key))
		}
		return f.lacks(prefix(memberValue, c.Level, c.Key), c.Texts)
	case trace.Names:
		what = memberName
	case trace.ScopeNames:
		what = memberScopeName
	case trace.Kinds:
		return c.Bounded && f.lacksNumbers(memberKind, c.Min, c.Max)
	case trace.Statuses:
		return c.Bounded && f.lacksNumbers(memberStatus, c.Min, c.Max)
	case trace.Times:
		return c.Bounded && (f.maxDuration < c.Min || f.minDuration > c.Max)
	default:
		return false
	}
	return c.Texts != nil && f.lacks(prefix(what, 0, ""), c.Texts)
}

// lacks tells that none of the texts occurs.
func (f *Facts) lacks(prefix uint64, texts []string) bool {
	for _, text := range texts {
		if f.filter.Contains(member(prefix, text)) {
			return false
		}
	}
	return true
}

func (f *Facts) lacksNumbers(what uint64, least, most int64) bool {
	for n := max(least, 0); n <= min(most, 255); n++ {
		if f.filter.Contains(mix(what, uint64(n))) {
			return false
		}
	}
	return true
}

// Has reports whether the row group may have a trace.
func (f *Facts) Has(id trace.TraceID) bool {
	return !less(id, f.first) && !less(f.last, id) && f.filter.Contains(traceMember(id))
}

// hashSet is a set of hashes, in a table that is at most half full.
type hashSet struct {
	slots []uint64 // 0: free
	used  int
}

// add reports whether the hash is new.
func (s *hashSet) add(h uint64) bool {
	if 2*s.used >= len(s.slots) {
		s.grow()
	}
	if !s.put(h) {
		return false
	}
	s.used++
	return true
}

func (s *hashSet) put(h uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := (h >> 1) & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return false
		case 0:
			s.slots[i] = h
			return true
		}
	}
}

func (s *hashSet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(1024, 2*len(old)))
	for _, h := range old {
		if h != 0 {
			s.put(h)
		}
	}
}

func (s *hashSet) all() []uint64 {
	all := make([]uint64, 0, s.used)
	for _, h := range s.slots {
		if h != 0 {
			all = append(all, h)
		}
	}
	return all
}
