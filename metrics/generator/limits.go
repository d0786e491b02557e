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
//   - Every series belongs to the service that sent its spans, its owner. Owners
//     share the series by the rules of package quota: each finds room for its first
//     ones, one that floods gets a third of all, and what may be made in an hour is
//     bounded as well.
//   - A label has at most maxValues values within one owner, and there are at most
//     maxValues owners. Further values, and further owners, share the value
//     __cardinality_overflow__. Without this limit, many owners with one series each
//     would fill all the room.
//   - While a limit is reached, a series without a span for pressedIdle ends, and one
//     that had its spans all at once, as those of a flood have, after onceIdle; else a
//     series ends after Options.StaleAfter. So a new service has series a few seconds
//     after a flood of services.
//   - The generators of a process may share one more pool, by the same rules.
//
// Spans beyond a limit still count, in series that share their labels: sums stay
// right.

// How long a series may be without a span while a limit is reached: any series, and
// one whose spans all came between two readings.
const (
	pressedIdle = time.Minute
	onceIdle    = 5 * time.Second
)

// warnEvery is how often a limit that stays reached is logged.
const warnEvery = time.Minute

// manyOwners is how many services share the series when their number has no bound.
const manyOwners = 500

// owner is a service with the label values that its spans have made.
type owner struct {
	groups int                       // the owner is forgotten with its last one
	values map[string]map[string]int // label -> value -> groups
}

// room takes so many series for an owner and reports whether there are.
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
	updates    int64     // of series that count several label sets
	hits       int64     // label sets that found no place of their own
	owner      string    // of the latest hit
	label      string    // likewise, when the limit is about one
	warned     int64     // hits that the log has told of
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

// limitValues replaces the values that are one too many for their label, and the
// owner that is one too many. It returns the owner that the labels belong to.
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

// disown takes a removed group from its owner.
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
