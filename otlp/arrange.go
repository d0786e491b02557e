package otlp

import "etude/trace"

// Ref names one span: a row of a View.
type Ref struct {
	View *trace.View
	Row  uint32
}

// group is what spans are grouped by: a resource or scope number of a View.
type group struct {
	view   *trace.View
	number uint32
}

func byResource(r Ref) group { return group{r.View, r.View.Resource(r.Row)} }
func byScope(r Ref) group    { return group{r.View, r.View.Scope[r.Row]} }

// groupBy splits spans into runs of one key, by first appearance. The runs share
// one array; spans of one key alone are that run, and nothing is copied.
func groupBy(spans []Ref, key func(Ref) group) [][]Ref {
	at := map[group]uint32{}
	var sizes []int
	var of []uint32 // group of each span; nil while there is one
	last, lastAt := group{}, uint32(0)
	for i, r := range spans {
		k := key(r)
		n := lastAt
		if k != last { // neighbours most often share one
			var known bool
			if n, known = at[k]; !known {
				n = uint32(len(sizes))
				at[k] = n
				sizes = append(sizes, 0)
			}
			last, lastAt = k, n
		}
		if of == nil && n > 0 {
			of = make([]uint32, len(spans))
		}
		if of != nil {
			of[i] = n
		}
		sizes[n]++
	}
	if len(sizes) == 1 {
		return [][]Ref{spans}
	}
	groups := make([][]Ref, len(sizes))
	room := make([]Ref, len(spans))
	for n, size := range sizes {
		groups[n], room = room[:0:size], room[size:]
	}
	for i, r := range spans {
		groups[of[i]] = append(groups[of[i]], r)
	}
	return groups
}
