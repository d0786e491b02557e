package write

import (
	"cmp"
	"slices"

	"etude/store/block/layout"
	"etude/trace"
)

// candidate is an attribute that may get a dedicated column.
type candidate struct {
	d        layout.Dedicated
	count    int // values
	bytes    int // of their texts
	distinct int
}

// gain estimates the bytes of Attrs that the attribute would take.
func (c *candidate) gain() int { return c.bytes + 4*c.count }

// scopes are the levels that may have dedicated columns.
var scopes = []struct {
	level trace.Level
	name  string // its name in meta.json
}{{trace.ResourceLevel, "resource"}, {trace.SpanLevel, ""}, {trace.EventLevel, "event"}}

// keepShare is the share of the best choice's gain that makes an earlier choice good
// enough: Tempo merges only blocks with the same dedicated columns.
const keepShare = 0.9

// choose returns the attributes that gain most from a column of their own, as an operator of Tempo would
// configure them: the most frequent and largest attributes of the given spans, up to the number of columns of
// the format. It returns the previous choice while that gains nearly as much.
func choose(f layout.Format, sources []*source, before []layout.Dedicated) (all []layout.Dedicated) {
	gains := map[[2]string]int{}
	gain := func(list []layout.Dedicated) (sum int) {
		for _, d := range list {
			sum += gains[[2]string{d.Scope, d.Name + ":" + d.Type}]
		}
		return sum
	}
	defer func() {
		if len(before) > 0 && float64(gain(before)) >= keepShare*float64(gain(all)) {
			all = before
		}
	}()
	for _, scope := range scopes {
		texts, ints := candidates(scope.level, scope.name, sources)
		for _, list := range [][]candidate{texts, ints} {
			for _, c := range list {
				gains[[2]string{c.d.Scope, c.d.Name + ":" + c.d.Type}] = c.gain()
			}
		}
		if f == layout.VParquet4 {
			if scope.level != trace.EventLevel {
				all = append(all, f.Allowed(best(texts, len(texts)))...)
			}
			continue
		}
		all = append(all, best(texts, layout.SpareStrings)...)
		all = append(all, best(ints, layout.SpareInts)...)
	}
	return f.Allowed(all)
}

// rareShare is the least share of a level's rows that must have an attribute to deserve a column: 1 in so many.
const rareShare = 100

func candidates(l trace.Level, scope string, sources []*source) (texts, ints []candidate) {
	type name struct {
		key string
		typ trace.Type
	}
	found, rows := map[name]*candidate{}, 0
	for _, s := range sources {
		rows += s.v.Count(l)
		met := make([]uint64, (s.v.Strings.Len()+63)/64)
		for c := range s.v.Attrs(l).All() {
			n := countColumn(c, &s.v.Strings, met)
			if n.count == 0 || c.Key == "" || c.Type != trace.String && c.Type != trace.Int || l == trace.ResourceLevel && c.Key == layout.ServiceKey {
				continue
			}
			sum := found[name{c.Key, c.Type}]
			if sum == nil {
				sum = &candidate{d: layout.Dedicated{Scope: scope, Name: c.Key}}
				if c.Type == trace.Int {
					sum.d.Type = "int"
				}
				found[name{c.Key, c.Type}] = sum
			}
			sum.count, sum.bytes, sum.distinct = sum.count+n.count, sum.bytes+n.bytes, sum.distinct+n.distinct
		}
	}
	for id, c := range found {
		if c.count*rareShare < rows {
			continue
		}
		if id.typ == trace.Int {
			ints = append(ints, *c)
			continue
		}
		if c.distinct*2 > c.count && c.count > 16 {
			c.d.Options = []string{"blob"} // A dictionary of texts that do not repeat saves nothing.
		}
		texts = append(texts, *c)
	}
	return onceEach(texts, ints)
}

// onceEach leaves a key that has both types to the more frequent one: an attribute
// has one column.
func onceEach(texts, ints []candidate) (_, _ []candidate) {
	counts := map[string]int{}
	for _, c := range texts {
		counts[c.d.Name] = c.count
	}
	kept := ints[:0]
	for _, c := range ints {
		if c.count > counts[c.d.Name] {
			kept = append(kept, c)
			counts[c.d.Name] = -1
		}
	}
	return slices.DeleteFunc(texts, func(c candidate) bool { return counts[c.d.Name] < 0 }), kept
}

// sampled is how many values countColumn takes to estimate the bytes of all: one in so many.
const sampled = 16

// countColumn counts the values of a column. For texts it also counts distinct ones and estimates the bytes of all.
// Met is a set of codes; it is empty before and after.
func countColumn(c *trace.Column, d *trace.Dict, met []uint64) (n candidate) {
	n.count = len(c.Rows)
	if c.Type != trace.String {
		return n
	}
	for i, code := range c.Codes {
		if bit := uint64(1) << (code % 64); met[code/64]&bit == 0 {
			met[code/64] |= bit
			n.distinct++
		}
		if i%sampled == 0 {
			n.bytes += len(d.Get(code)) * min(sampled, n.count-i)
		}
	}
	for _, code := range c.Codes {
		met[code/64] = 0
	}
	return n
}

// best returns the n candidates with the most bytes, by name.
func best(all []candidate, n int) (some []layout.Dedicated) {
	slices.SortFunc(all, func(a, b candidate) int {
		if c := cmp.Compare(b.gain(), a.gain()); c != 0 {
			return c
		}
		return cmp.Compare(a.d.Name, b.d.Name)
	})
	for _, c := range all[:min(n, len(all))] {
		some = append(some, c.d)
	}
	slices.SortFunc(some, func(a, b layout.Dedicated) int { return cmp.Compare(a.Name, b.Name) })
	return some
}
