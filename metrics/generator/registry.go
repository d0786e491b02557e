package generator

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// What a limit puts in place of labels.
const (
	overflowLabel = "metric_overflow"
	overflowValue = "__cardinality_overflow__"
)

// registry has all groups, and bounds how many there are.
type registry struct {
	maxSeries, maxValues int
	external             []labels.Label // added to every series, sorted

	groups map[string]*group
	list   []*group // in the order in which they were made
	active int      // series, overflow left out
	// values counts the groups that have a label value: label -> value -> groups.
	// It is kept only when maxValues is set.
	values map[string]map[string]int
	// removals counts the sweeps that removed something: whoever keeps groups for
	// later must forget them then.
	removals uint64

	overflowUpdates, labelUpdates int64
	key                           []byte         // memory to use again
	limited                       []labels.Label // memory to use again
}

func newRegistry(o *Options) *registry {
	r := &registry{maxSeries: o.MaxSeries, maxValues: o.MaxLabelValues, groups: map[string]*group{}, values: map[string]map[string]int{}}
	for name, value := range o.ExternalLabels {
		r.external = append(r.external, labels.Label{Name: name, Value: value})
	}
	if _, given := o.ExternalLabels[instanceLabel]; !given && o.Instance != "" {
		r.external = append(r.external, labels.Label{Name: instanceLabel, Value: o.Instance})
	}
	slices.SortFunc(r.external, func(a, b labels.Label) int { return strings.Compare(a.Name, b.Name) })
	return r
}

// instanceLabel tells the series of one generator from those of others.
const instanceLabel = "__metrics_gen_instance"

// get returns the group of a label set, which it may make; nil says that the
// labels are not UTF-8. Labels without a value count as absent. The labels come
// in the same order for one schema and belong to the caller.
func (r *registry) get(k *schema, ls []labels.Label) *group {
	if found := r.groups[string(r.keyOf(k, ls))]; found != nil { // Fast path
		return found
	}
	for _, l := range ls {
		if !utf8.ValidString(l.Value) || !utf8.ValidString(l.Name) {
			return nil
		}
	}
	replaced := false
	if r.maxValues > 0 {
		if ls, replaced = r.limitValues(ls); replaced {
			if found := r.groups[string(r.keyOf(k, ls))]; found != nil {
				return found
			}
		}
	}
	if r.maxSeries > 0 && r.active+k.size() > r.maxSeries {
		return r.overflow(k)
	}
	g := r.make(k, ls)
	if replaced {
		g.limited = &r.labelUpdates
	}
	return g
}

// keyOf returns the key of a label set, valid until the next call. A value is at
// most maxValue bytes and may hold any of them, so its length goes first.
func (r *registry) keyOf(k *schema, ls []labels.Label) []byte {
	b := append(r.key[:0], k.id)
	for i, l := range ls {
		if l.Value != "" {
			b = append(b, byte(i), byte(i>>8), byte(len(l.Value)), byte(len(l.Value)>>8))
			b = append(b, l.Value...)
			if k.id == targetSchema { // its labels are those of the resource
				b = append(append(b, l.Name...), 0xff)
			}
		}
	}
	r.key = b
	return b
}

func (r *registry) make(k *schema, ls []labels.Label) *group {
	g := &group{schema: k, key: string(r.keyOf(k, ls))}
	for _, l := range ls {
		if l.Value != "" {
			g.labels = append(g.labels, labels.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)})
		}
	}
	g.addHistograms()
	r.groups[g.key] = g
	r.list = append(r.list, g)
	r.active += k.size()
	r.countValues(g, +1)
	return g
}

func (s *group) addHistograms() {
	for i, f := range s.schema.histograms {
		if f != nil {
			s.histograms[i] = newHistogram(f)
		}
	}
}

// overflow returns the group that label sets share when there are too many.
func (r *registry) overflow(k *schema) *group {
	if k.overflow == nil {
		k.overflow = &group{schema: k, labels: []labels.Label{{Name: overflowLabel, Value: "true"}}, limited: &r.overflowUpdates}
		k.overflow.addHistograms()
		r.list = append(r.list, k.overflow)
	}
	return k.overflow
}

// limitValues replaces the values that would be one too many for their label.
func (r *registry) limitValues(ls []labels.Label) (limited []labels.Label, replaced bool) {
	r.limited = append(r.limited[:0], ls...)
	for i, l := range r.limited {
		values := r.values[l.Name]
		if l.Value != "" && values[l.Value] == 0 && len(values) >= r.maxValues {
			r.limited[i].Value, replaced = overflowValue, true
		}
	}
	return r.limited, replaced
}

func (r *registry) countValues(g *group, by int) {
	if r.maxValues <= 0 {
		return
	}
	for _, l := range g.labels {
		if l.Value == overflowValue {
			continue
		}
		values := r.values[l.Name]
		if values == nil {
			values = map[string]int{}
			r.values[l.Name] = values
		}
		if values[l.Value] += by; values[l.Value] == 0 {
			delete(values, l.Value)
		}
	}
}

// remove takes out the groups without an update since a time (unix ns) and
// returns them.
func (r *registry) remove(since int64) (removed []*group) {
	stale := func(g *group) bool { return g.updated < since }
	if !slices.ContainsFunc(r.list, stale) { // Fast path
		return nil
	}
	r.removals++
	kept := make([]*group, 0, len(r.list))
	for _, g := range r.list {
		if !stale(g) {
			kept = append(kept, g)
			continue
		}
		removed = append(removed, g)
		if g == g.schema.overflow {
			g.schema.overflow = nil
			continue
		}
		delete(r.groups, g.key)
		r.active -= g.schema.size()
		r.countValues(g, -1)
	}
	r.list = kept
	return removed
}

// labelsOf makes the labels of a series: the group's, then the external ones,
// which win, and le of a bucket.
func (r *registry) labelsOf(g *group, name, le string) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, l := range g.labels {
		b.Set(l.Name, l.Value)
	}
	for _, l := range r.external {
		b.Set(l.Name, l.Value)
	}
	b.Set(model.MetricNameLabel, name)
	if le != "" {
		b.Set(labels.BucketLabel, le)
	}
	return b.Labels()
}
