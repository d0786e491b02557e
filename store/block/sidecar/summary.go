package sidecar

import (
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/FastFilter/xorfilter"
	"github.com/cespare/xxhash/v2"

	"etude/internal/wire"
	"etude/otlp"
	"etude/store/block/layout"
	"etude/trace"
)

// summary collects the facts of a sidecar about a row group.
//
// One filter has all members: attribute keys, attribute values, names, kinds, statuses, trace ids, and pairs of
// these (see pairs.go). A member is a hash of its kind and its text. A binary fuse filter takes 18 bits per member. Its false positive rate is 1
// in 65,536, so a search over hundreds of row groups rarely opens one without a match. Rejected: blocked bloom
// filters, which take twice the space for the same error rate.
type summary struct {
	facts           Facts
	members         hashList
	kinds, statuses [256]bool
	pairs           pairs

	scopes, resources []uint32 // of the source being read

	columns []column   // of a level
	seen    [][]uint64 // sets of codes; the first inUse of them are in use
	inUse   int
}

// The kinds of members of the filter.
const (
	memberTrace uint64 = iota + 1
	memberKey          // an attribute key with any value
	memberValue
	memberName
	memberScopeName
	memberKind
	memberStatus
)

func (s *summary) begin() {
	s.facts = Facts{minDuration: math.MaxInt64}
	s.members.clear()
	clear(s.kinds[:])
	clear(s.statuses[:])
	s.pairs.begin()
}

// prefix is the hash of a member's kind.
func prefix(what uint64, level trace.Level, key string) uint64 {
	return mix(xxhash.Sum64String(key), what<<8|uint64(level))
}

// mix joins two hashes.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo | 1 // in a hashSet, 0 means free
}

// member returns the hash of a text of a kind.
func member(prefix uint64, text string) uint64 { return mix(prefix, xxhash.Sum64String(text)) }

// set returns an empty set of numbers below n, until the next source.
func (s *summary) set(n int) []uint64 {
	if s.inUse == len(s.seen) {
		s.seen = append(s.seen, nil)
	}
	set := &s.seen[s.inUse]
	s.inUse++
	*set = emptySet(*set, n)
	return *set
}

// span adds a span and returns its duration.
func (s *summary) span(v *trace.View, row uint32) (d int64) {
	d = v.Duration(row)
	s.facts.minDuration, s.facts.maxDuration = min(s.facts.minDuration, d), max(s.facts.maxDuration, d)
	if v.Start[row] == 0 || v.End[row] < v.Start[row] {
		s.facts.flags |= flagOddTimes
	}
	if !s.kinds[v.Kind[row]] {
		s.kinds[v.Kind[row]] = true
		s.members.add(mix(memberKind, uint64(v.Kind[row])))
	}
	if !s.statuses[v.Status[row]] {
		s.statuses[v.Status[row]] = true
		s.members.add(mix(memberStatus, uint64(v.Status[row])))
	}
	return d
}

// trace adds the next trace by id.
func (s *summary) trace(id trace.TraceID) {
	s.members.add(traceMember(id))
	if s.facts.traces == 0 {
		s.facts.first = id
	}
	s.facts.last = id
	s.facts.traces++
}

func traceMember(id trace.TraceID) uint64 { return mix(memberTrace, xxhash.Sum64(id[:])) }

func less(a, b trace.TraceID) bool { return string(a[:]) < string(b[:]) }

// column records the values of one attribute column of a level.
type column struct {
	count   int
	value   uint64   // prefix
	seen    []uint64 // codes; nil while there are few
	numbers []uint64 // some of them + 1
}

// A column keeps a set of its codes once it has this many values. Below, repeated values cost little. So many
// small columns need no memory of their own.
const fewValues = 1024

// fewNumbers is the same for a column's last numbers. They take 512 bytes, and a client may send hundreds of
// thousands of columns.
const fewNumbers = 128

// attributes adds the columns that occur in some rows, and their distinct values. It is for scopes and resources, which
// are few; a scanner adds the other levels.
func (s *summary) attributes(src *Source, level trace.Level, rows []uint32) {
	if len(rows) == 0 {
		return
	}
	f, v := src.Flat(level), src.View
	if cap(s.columns) < len(f.Columns) {
		s.columns = make([]column, len(f.Columns))
	}
	s.columns = s.columns[:len(f.Columns)]
	for i := range s.columns {
		s.columns[i].count, s.columns[i].seen = 0, nil
		clear(s.columns[i].numbers)
	}
	for _, row := range rows {
		for pos, to := f.Row(row); pos < to; pos++ {
			number, val := f.Cols[pos], f.Vals[pos]
			c := &s.columns[number]
			t := f.Columns[number].Type
			switch c.count++; c.count {
			case 1:
				key := f.Columns[number].Key
				c.value = prefix(memberValue, level, key)
				s.members.add(prefix(memberKey, level, key))
			case fewValues:
				if t == trace.String || t == trace.Array {
					c.seen = s.set(v.Strings.Len())
				}
			}
			if c.seen != nil && !isNew(c.seen, uint32(val)) { // Fast path
				continue
			}
			switch t {
			case trace.String:
				s.members.add(member(c.value, v.Text(uint32(val))))
			case trace.Array:
				s.elements(c.value, []byte(v.Text(uint32(val))))
			case trace.Bool:
				s.members.add(member(c.value, strconv.FormatBool(val != 0)))
			case trace.Int, trace.Double:
				if c.isNewNumber(val) {
					s.number(c.value, t, val)
				}
			}
		}
	}
}

// isNewNumber reports whether a number may be new.
func (c *column) isNewNumber(n uint64) bool {
	if c.numbers == nil {
		if c.count < fewNumbers {
			return true
		}
		c.numbers = make([]uint64, 64)
	}
	at := &c.numbers[n*0x9e3779b97f4a7c15>>58]
	if n+1 != 0 && *at == n+1 {
		return false
	}
	*at = n + 1
	return true
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
func (s *summary) part(info layout.PartInfo, b *xorfilter.BinaryFuseBuilder) (Facts, error) {
	f := s.facts
	f.PartInfo = info
	if f.minDuration > f.maxDuration {
		f.minDuration = 0
	}
	if s.pairs.noKeys {
		f.flags |= flagNoKeys
	}
	f.ranges = s.pairs.finish(&s.members, info.Spans)
	keys := s.members.unique()
	if len(keys) == 0 {
		keys = []uint64{0} // a filter needs at least one member
	}
	filter, err := xorfilter.BuildBinaryFuse[uint16](b, keys)
	if err != nil {
		return f, err
	}
	f.filter = filter
	f.filter.Fingerprints = slices.Clone(filter.Fingerprints) // They belong to the builder.
	return f, nil
}

// Excludes reports whether the facts prove that no span of the row group meets a condition.
func (f *Facts) Excludes(c *trace.Condition) bool {
	if f.unknown {
		return false
	}
	var what uint64
	switch c.Of {
	case 0:
		if c.Level == trace.SpanLevel && f.outside(everything, keyMember(c.Key), c) {
			return true
		}
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

// lacks reports whether none of the texts occurs.
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
	return f.unknown || !less(id, f.first) && !less(f.last, id) && f.filter.Contains(traceMember(id))
}
