package query

import (
	"slices"
	"strings"

	"etude/trace"
	"etude/traceql/eval"
)

// serviceStats counts spans by service, in the order of the names.
func serviceStats(t *eval.Trace) []ServiceStats {
	out := make([]ServiceStats, 0, 8)
	var at resourcePlaces
	place, last := -1, resourceOf{}
	for _, r := range t.Spans {
		v := t.View(r)
		if of := (resourceOf{r.View, v.Resource(r.Row)}); place < 0 || of != last { // Spans of a resource are most often together.
			var fresh bool
			if place, fresh = at.of(of); fresh {
				out = append(out, ServiceStats{Service: eval.Service(v, r.Row)})
			}
			last = of
		}
		out[place].Spans++
		if trace.Status(v.Status[r.Row]) == trace.StatusError {
			out[place].Errors++
		}
	}
	slices.SortFunc(out, func(a, b ServiceStats) int { return strings.Compare(a.Service, b.Service) })
	services := out[:0]
	for _, s := range out { // Several resources may belong to one service.
		if last := len(services) - 1; last >= 0 && services[last].Service == s.Service {
			services[last].Spans += s.Spans
			services[last].Errors += s.Errors
		} else {
			services = append(services, s)
		}
	}
	return services
}

// resourceOf is a resource of a View.
type resourceOf struct {
	view     int
	resource uint32
}

// resourcePlaces numbers the resources of a trace. Most traces have few resources, for which a linear search is
// faster than a map.
type resourcePlaces struct {
	few  [16]resourceOf
	n    int
	many map[resourceOf]int // nil for few resources
}

func (p *resourcePlaces) of(r resourceOf) (place int, fresh bool) {
	if p.n < len(p.few) { // Fast path
		if place = slices.Index(p.few[:p.n], r); place >= 0 {
			return place, false
		}
		p.few[p.n] = r
		p.n++
		return p.n - 1, true
	}
	if p.many == nil {
		p.many = map[resourceOf]int{}
		for place, r := range p.few {
			p.many[r] = place
		}
	}
	place, known := p.many[r]
	if !known {
		place = len(p.many)
		p.many[r] = place
	}
	return place, !known
}
