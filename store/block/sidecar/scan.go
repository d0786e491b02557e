package sidecar

import (
	"math"
	"slices"
	"strconv"

	"etude/trace"
)

// scanner reads the columns of a Source for several row groups at once. The rows of a row group lie scattered over the
// Source, so reading a column for each row group would cost as much as there are row groups.
type scanner struct {
	groups []*summary
	local  []uint8 // by row: its row group, as an index of groups; noGroup: another
	below  []uint8 // the same by row of the events or links
	name   []int32 // by row: the index of its name in pairs.names.local, or -1
	seen   []uint64
	met    [4][]uint64
	recent [][recentNumbers]uint64 // by row group: some numbers of a column + 1
	cells  [scanned][]limits       // by row group and name: the facts of a column
}

const (
	scanned = 16  // row groups at once
	noGroup = 255 // more than scanned

	recentNumbers = 256 // a power of two
)

// source adds the rows of a Source that belong to some row groups. From is the number of the first of them; of has a
// number + 1 for each row.
func (s *scanner) source(src *Source, of []uint32, from int, groups []*summary, pause func()) {
	s.groups = groups
	s.rows(src, of, from)
	pause()
	s.level(src, trace.SpanLevel, s.local, pause)
	s.level(src, trace.EventLevel, s.children(src.View.EventSpan), pause)
	s.level(src, trace.LinkLevel, s.children(src.View.LinkSpan), pause)
	for _, g := range groups {
		g.inUse = 0
		g.attributes(src, trace.ScopeLevel, g.scopes)
		g.attributes(src, trace.ResourceLevel, g.resources)
		g.pairs.end()
	}
	pause()
	s.groups = nil
}

// set returns an empty set of pairs of a number below n and a row group.
func (s *scanner) set(set *[]uint64, n int) []uint64 {
	*set = emptySet(*set, n*len(s.groups))
	return *set
}

// isNewIn adds a pair to such a set.
func (s *scanner) isNewIn(set []uint64, n uint32, group uint8) bool {
	return isNew(set, n*uint32(len(s.groups))+uint32(group))
}

// rows adds the columns that every span has.
func (s *scanner) rows(src *Source, of []uint32, from int) {
	v := src.View
	names, scopes, resources := s.set(&s.met[0], v.Strings.Len()), s.set(&s.met[1], v.Scopes()), s.set(&s.met[2], v.Resources())
	s.local, s.name = zeroed(s.local, len(of)), zeroed(s.name, len(of))
	for _, g := range s.groups {
		g.scopes, g.resources = g.scopes[:0], g.resources[:0]
		g.pairs.start()
	}
	nameOf, scopeOf := prefix(memberName, 0, ""), prefix(memberScopeName, 0, "")
	for row, number := range of {
		n := number - 1 - uint32(from)
		if n >= uint32(len(s.groups)) {
			s.local[row] = noGroup
			continue
		}
		local, g, row := uint8(n), s.groups[n], uint32(row)
		s.local[row] = local
		d := g.span(v, row)
		code, scope := v.Name[row], v.Scope[row]
		if s.isNewIn(names, code, local) {
			g.members.add(member(nameOf, v.Text(code)))
		}
		r := v.ScopeResource[scope]
		if s.isNewIn(scopes, scope, local) {
			g.scopes = append(g.scopes, scope)
			g.members.add(member(scopeOf, v.Text(v.ScopeName[scope])))
			if s.isNewIn(resources, r, local) {
				g.resources = append(g.resources, r)
			}
		}
		s.name[row] = int32(g.pairs.span(src, row, r, d))
	}
}

// children returns the row groups of events or links.
func (s *scanner) children(spans []uint32) []uint8 {
	s.below = slices.Grow(s.below[:0], len(spans))[:len(spans)]
	for i, span := range spans {
		s.below[i] = s.local[span]
	}
	return s.below
}

// level adds all columns of a level.
func (s *scanner) level(src *Source, level trace.Level, groups []uint8, pause func()) {
	if len(groups) == 0 {
		return
	}
	attrs := src.View.Attrs(level)
	if level == trace.SpanLevel {
		for _, g := range s.groups {
			g.pairs.startKeys(attrs.ColumnCount())
		}
	}
	for c := range attrs.All() {
		s.column(src, level, c, groups)
		if level == trace.SpanLevel {
			s.keys(c)
		}
		pause()
	}
}

// column adds the key and the distinct values of a column.
func (s *scanner) column(src *Source, level trace.Level, c *trace.Column, groups []uint8) {
	value := prefix(memberValue, level, c.Key)
	var has uint32 // row groups
	switch c.Type {
	case trace.String, trace.Array:
		has = s.texts(&src.View.Strings, value, c, groups)
	case trace.Int, trace.Double:
		has = s.numbers(value, c, groups)
	default:
		var values [2]uint32 // row groups that have the value
		for i, row := range c.Rows {
			if g := groups[row]; g != noGroup {
				has |= 1 << g
				if c.Type == trace.Bool {
					values[min(c.Codes[i], 1)] |= 1 << g
				}
			}
		}
		for i, of := range values {
			text := strconv.FormatBool(i != 0)
			s.each(of, func(g *summary) { g.members.add(member(value, text)) })
		}
	}
	key := prefix(memberKey, level, c.Key)
	s.each(has, func(g *summary) { g.members.add(key) })
}

func (s *scanner) each(groups uint32, f func(*summary)) {
	for i, g := range s.groups {
		if groups>>i&1 != 0 {
			f(g)
		}
	}
}

func (s *scanner) texts(d *trace.Dict, value uint64, c *trace.Column, groups []uint8) (has uint32) {
	var seen []uint64
	if len(c.Codes) >= fewValues { // With fewer values repeated ones cost less than the set.
		seen = s.set(&s.seen, d.Len())
	}
	for i, row := range c.Rows {
		g := groups[row]
		if g == noGroup {
			continue
		}
		has |= 1 << g
		code := c.Codes[i]
		if seen != nil && !s.isNewIn(seen, code, g) {
			continue
		}
		if c.Type == trace.String {
			s.groups[g].members.add(member(value, d.Get(code)))
		} else {
			s.groups[g].elements(value, []byte(d.Get(code)))
		}
	}
	return has
}

func (s *scanner) numbers(value uint64, c *trace.Column, groups []uint8) (has uint32) {
	few := len(c.Rows) < fewNumbers
	if !few {
		s.recent = zeroed(s.recent, len(s.groups))
	}
	for i, row := range c.Rows {
		g := groups[row]
		if g == noGroup {
			continue
		}
		has |= 1 << g
		n := c.Nums[i]
		if few {
			s.groups[g].number(value, c.Type, n)
			continue
		}
		at := &s.recent[g][n*0x9e3779b97f4a7c15>>56]
		if n+1 != 0 && *at == n+1 { // Fast path
			continue
		}
		*at = n + 1
		s.groups[g].number(value, c.Type, n)
	}
	return has
}

// keys adds a column of spans to the pairs.
func (s *scanner) keys(c *trace.Column) {
	for i, g := range s.groups {
		s.cells[i] = s.cells[i][:0]
		if !g.pairs.noKeys {
			s.cells[i] = append(s.cells[i], make([]limits, len(g.pairs.names.local)+1)...)
		}
	}
	for i, row := range c.Rows {
		g := s.local[row]
		if g == noGroup || len(s.cells[g]) == 0 {
			continue
		}
		cells, name := s.cells[g], int(s.name[row])
		if name < 0 {
			name = len(cells) - 1
		}
		cell := &cells[name]
		cell.has = true
		switch c.Type {
		case trace.Int:
			cell.number(float64(int64(c.Nums[i])))
		case trace.Double:
			cell.number(math.Float64frombits(c.Nums[i]))
		case trace.Array:
			cell.odd = true
		}
	}
	key := keyMember(c.Key)
	for i, g := range s.groups {
		g.pairs.key(key, s.cells[i])
	}
}
