package generator

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"etude/metrics/quota"
)

// The label and the value that replace others beyond a limit.
const (
	overflowLabel = "metric_overflow"
	overflowValue = "__cardinality_overflow__"
)

// registry has all groups, and limits their number (see limits.go).
type registry struct {
	maxValues int
	pool      *quota.Pool    // of series by service, without the overflow
	shared    *quota.Pool    // of series, by generator
	name      string         // of the generator in shared
	external  []labels.Label // added to every series, sorted

	now    time.Time // time of the reading
	groups map[string]*group
	list   []*group // in the order of their creation
	owners map[string]*owner
	// removals counts the sweeps that removed a group. A cache of groups is valid for one value of it.
	removals uint64

	series, values limit
	sharedUpdates  int64          // series.updates at the last sweep
	swept          int64          // time of the last sweep, unix ns
	key            []byte         // reused memory
	limited        []labels.Label // reused memory
}

func newRegistry(o *Options) *registry {
	r := &registry{maxValues: o.MaxLabelValues, shared: o.Shared, name: o.Name, groups: map[string]*group{}, owners: map[string]*owner{}}
	r.pool = quota.New(o.MaxSeries, cmp.Or(o.MaxLabelValues, manyOwners))
	r.series = limit{name: "active_series", flag: "--metrics.max-active-series"}
	r.values = limit{name: "label_values", flag: "--metrics.max-label-values"}
	for name, value := range o.ExternalLabels {
		r.external = append(r.external, labels.Label{Name: name, Value: value})
	}
	if _, given := o.ExternalLabels[instanceLabel]; !given && o.Instance != "" {
		r.external = append(r.external, labels.Label{Name: instanceLabel, Value: o.Instance})
	}
	slices.SortFunc(r.external, func(a, b labels.Label) int { return strings.Compare(a.Name, b.Name) })
	return r
}

// instanceLabel distinguishes the series of one generator from those of others.
const instanceLabel = "__metrics_gen_instance"

// get returns the group of a label set, and makes it if needed, for its owner, a service. It returns nil for
// labels that are not UTF-8. Labels without a value count as absent. For one schema, the labels always come in
// the same order. They belong to the caller.
func (r *registry) get(k *schema, owner string, ls []labels.Label) *group {
	if found := r.groups[string(r.keyOf(k, ls))]; found != nil { // Fast path
		return found
	}
	for _, l := range ls {
		if !utf8.ValidString(l.Value) || !utf8.ValidString(l.Name) {
			return nil
		}
	}
	owner, ls, replaced := r.limitValues(owner, ls)
	if replaced {
		if found := r.groups[string(r.keyOf(k, ls))]; found != nil {
			return found
		}
	}
	if !r.room(owner, k.size()) {
		r.series.hit(owner, "")
		return r.overflow(k)
	}
	g := r.make(k, owner, ls)
	if replaced {
		g.limited = &r.values.updates
	}
	return g
}

// keyOf returns the key of a label set, valid until the next call. A value has at most maxValue bytes, which
// can be any bytes, so its length precedes it.
func (r *registry) keyOf(k *schema, ls []labels.Label) []byte {
	b := append(r.key[:0], k.id)
	for i, l := range ls {
		if l.Value != "" {
			b = append(b, byte(i), byte(i>>8), byte(len(l.Value)), byte(len(l.Value)>>8))
			b = append(b, l.Value...)
			if k.id == targetSchema { // its labels are the attributes of the resource
				b = append(append(b, l.Name...), 0xff)
			}
		}
	}
	r.key = b
	return b
}

func (r *registry) make(k *schema, owner string, ls []labels.Label) *group {
	g := &group{schema: k, owner: strings.Clone(owner), born: r.now.UnixNano(), key: string(r.keyOf(k, ls))}
	for _, l := range ls {
		if l.Value != "" {
			g.labels = append(g.labels, labels.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)})
		}
	}
	g.addHistograms()
	r.groups[g.key] = g
	r.list = append(r.list, g)
	r.own(g)
	return g
}

func (s *group) addHistograms() {
	for i, f := range s.schema.histograms {
		if f != nil {
			s.histograms[i] = newHistogram(f)
		}
	}
}

// overflow returns the group shared by label sets beyond the limit.
func (r *registry) overflow(k *schema) *group {
	if k.overflow == nil {
		k.overflow = &group{schema: k, labels: []labels.Label{{Name: overflowLabel, Value: "true"}}, limited: &r.series.updates}
		k.overflow.addHistograms()
		r.list = append(r.list, k.overflow)
	}
	return k.overflow
}

// sweep removes the groups without an update for staleAfter and returns them. It uses a shorter time while a
// limit leaves label sets without series of their own: for the groups of one owner when its label has too many
// values, otherwise for all groups.
func (r *registry) sweep(now time.Time, staleAfter time.Duration) (removed []*group) {
	all := r.series.updates != r.sharedUpdates
	r.sharedUpdates = r.series.updates
	pressed := map[string]bool{}
	for _, g := range r.list {
		if g.limited == &r.values.updates && g.updated > r.swept {
			pressed[g.owner] = true
			all = all || g.owner == overflowValue
		}
	}
	r.swept = now.UnixNano()
	stale := now.Add(-staleAfter).UnixNano()
	soon, once := now.Add(-min(staleAfter, pressedIdle)).UnixNano(), now.Add(-min(staleAfter, onceIdle)).UnixNano()
	return r.remove(func(g *group) bool {
		return g.updated < stale || (all || pressed[g.owner]) && (g.updated < soon || g.updated < once && g.updated == g.born)
	})
}

// release returns the registry's series to the shared pool.
func (r *registry) release() {
	r.shared.Give(r.name, r.pool.Used())
	r.shared = nil
}

// remove removes the stale groups and returns them.
func (r *registry) remove(stale func(*group) bool) (removed []*group) {
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
		r.disown(g)
	}
	r.list = kept
	return removed
}

// labelsOf makes the labels of a series: the group's, the external ones, which take precedence, and le of a
// bucket.
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
