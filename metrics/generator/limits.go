package generator

import (
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Senders choose service names, span names and attributes. The limits here keep
// one sender from taking the series of the others:
//
//   - Every series belongs to the service that sent its spans, its owner. Owners share the series by the
//     rules of package quota: each finds room for its first series, an owner that floods gets a third of all,
//     and the number of new series in an hour is limited too.
//   - A label has at most maxValues values within one owner, and there are at most
//     maxValues owners. Further values and further owners share the value __cardinality_overflow__. Without
//     this limit, many owners with one series each would use up all series.
//   - While a limit is reached, a series ends after pressedIdle without a span. A series whose spans all
//     arrived at once, as in a flood, ends after onceIdle. Otherwise a series ends after Options.StaleAfter.
//     So a new service gets series a few seconds after a flood of services.
//   - The generators of a process may also share a pool, by the same rules.
//
// Spans beyond a limit still count, in shared series, so sums stay correct.

// Times after which a series without a span ends while a limit is reached: any series, and a series whose spans
// all arrived between two readings.
const (
	pressedIdle = time.Minute
	onceIdle    = 5 * time.Second
)

// warnEvery is the minimum time between log lines about a limit that stays reached.
const warnEvery = time.Minute

// manyOwners is the number of services that share the series when their number is not limited.
const manyOwners = 500

// owner is a service with the label values of its spans.
type owner struct {
	groups int                       // number of groups; an owner without groups is removed
	values map[string]map[string]int // label -> value -> number of groups
}

// room reserves n series for an owner and reports whether there was room.
func (r *registry) room(owner string, n int) bool {
	if !r.pool.Take(owner, n, r.now) {
		return false
	}
	if !r.shared.Take(r.name, n, r.now) {
		r.pool.Undo(owner, n)
		return false
	}
	return true
}

// limit is a limit that label sets have reached.
type limit struct {
	name, flag string
	updates    int64     // of series that combine several label sets
	hits       int64     // label sets that got no series of their own
	owner      string    // of the latest hit
	label      string    // of the latest hit, when the limit concerns one label
	warned     int64     // hits already logged
	at         time.Time // of the latest warning
}

func (l *limit) hit(owner, label string) {
	l.hits++
	l.owner, l.label = strings.Clone(owner), strings.Clone(label)
}

// warn logs new hits, at most once in warnEvery.
func (l *limit) warn(log *slog.Logger, most int, now time.Time) {
	if l.hits == l.warned || now.Sub(l.at) < warnEvery && !l.at.IsZero() {
		return
	}
	log.Warn("metrics from spans have reached a limit: further label sets share their series", "limit", l.name, "flag", l.flag, "max", most,
		"service", l.owner, "label", l.label, "label_sets", l.hits-l.warned)
	l.warned, l.at = l.hits, now
}

// limitValues replaces the values beyond the limit of their label, and an owner beyond the limit of owners. It
// returns the owner of the resulting labels.
func (r *registry) limitValues(by string, ls []labels.Label) (name string, limited []labels.Label, replaced bool) {
	name = by
	if r.maxValues <= 0 {
		return name, ls, false
	}
	o := r.owners[by]
	if o == nil && len(r.owners) >= r.maxValues {
		name, o = overflowValue, r.owners[overflowValue]
		r.values.hit(by, "service")
	}
	r.limited = append(r.limited[:0], ls...)
	for i := range r.limited {
		l := &r.limited[i]
		switch {
		case l.Value == "":
		case name != by && l.Value == by:
			l.Value, replaced = overflowValue, true
		case o != nil && o.values[l.Name][l.Value] == 0 && len(o.values[l.Name]) >= r.maxValues:
			r.values.hit(by, l.Name)
			l.Value, replaced = overflowValue, true
		}
	}
	return name, r.limited, replaced
}

// own counts a new group for its owner.
func (r *registry) own(g *group) {
	o := r.owners[g.owner]
	if o == nil {
		o = &owner{values: map[string]map[string]int{}}
		r.owners[g.owner] = o
	}
	o.groups++
	for _, l := range g.labels {
		if l.Value == overflowValue || r.maxValues <= 0 {
			continue
		}
		if o.values[l.Name] == nil {
			o.values[l.Name] = map[string]int{}
		}
		o.values[l.Name][l.Value]++
	}
}

// disown removes a group from its owner.
func (r *registry) disown(g *group) {
	o, size := r.owners[g.owner], g.schema.size()
	r.pool.Give(g.owner, size)
	r.shared.Give(r.name, size)
	o.groups--
	for _, l := range g.labels {
		if values := o.values[l.Name]; values[l.Value] > 1 {
			values[l.Value]--
		} else {
			delete(values, l.Value)
		}
	}
	if o.groups == 0 {
		delete(r.owners, g.owner)
	}
}
