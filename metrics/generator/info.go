package generator

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"etude/trace"
)

// info makes the gauges that describe a resource. Their value is always 1.
type info struct {
	target, host   schema
	wantsTarget    bool
	wantsHost      bool
	excluded       []string
	identifiers    []string
	notInTarget    []string // attributes that job and instance are made from
	takenInTargets []string
}

func newInfo(o *Options) *info {
	i := &info{wantsTarget: o.SpanMetrics.TargetInfo && o.has(SpanMetrics, SpanMetricsCount, SpanMetricsLatency, SpanMetricsSize), wantsHost: o.has(HostInfo),
		excluded: o.SpanMetrics.TargetInfoExcluded, identifiers: o.HostIdentifiers,
		notInTarget:    []string{"service.name", "service.namespace", "service.instance.id"},
		takenInTargets: append([]string{"job", "instance"}, intrinsics...)}
	i.target = schema{id: targetSchema, counters: [2]*family{newFamily("traces_target_info", model.MetricTypeGauge, "", "Attributes of a resource that sends spans.")}}
	i.host = schema{id: hostSchema, counters: [2]*family{newFamily(o.HostMetric, model.MetricTypeGauge, "", "Hosts that send spans.")}}
	return i
}

// describe sets the groups of a resource.
func (i *info) describe(reg *registry, v *trace.View, r *resource) {
	if i.wantsTarget {
		if ls := i.targetLabels(v, r); ls != nil {
			r.target = reg.get(&i.target, r.service, ls)
		}
	}
	if i.wantsHost {
		if ls := i.hostLabels(v, r); ls != nil {
			r.host = reg.get(&i.host, r.service, ls)
		}
	}
	for _, g := range []*group{r.target, r.host} {
		if g != nil {
			g.counters[0].value = 1
		}
	}
}

// targetLabels returns the attributes of the resource, with job and instance. It returns nil if the resource
// has no other attributes, or neither job nor instance.
func (i *info) targetLabels(v *trace.View, r *resource) []labels.Label {
	byName := map[string]string{}
	for key, value := range v.ResourceAttrs.Of(r.number) {
		text := cut(valueText(value), maxValue)
		if key == "" || isDigit(key[0]) || text == "" || slices.Contains(i.notInTarget, key) || slices.Contains(i.excluded, key) {
			continue
		}
		byName[labelName(key, i.takenInTargets...)] = text
	}
	if len(byName) == 0 || r.job == "" && r.instance == "" {
		return nil
	}
	ls := make([]labels.Label, 0, len(byName)+2)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if len(ls) < maxTargetLabels {
			ls = append(ls, labels.Label{Name: name, Value: byName[name]})
		}
	}
	ls = append(ls, labels.Label{Name: "job", Value: r.job}, labels.Label{Name: "instance", Value: r.instance})
	slices.SortFunc(ls, func(a, b labels.Label) int { return strings.Compare(a.Name, b.Name) })
	return ls
}

func (i *info) hostLabels(v *trace.View, r *resource) []labels.Label {
	for _, key := range i.identifiers {
		value, _ := v.ResourceAttrs.Value(r.number, key)
		if text := cut(valueText(value), maxValue); text != "" {
			return []labels.Label{{Name: "grafana_host_id", Value: text}, {Name: "host_source", Value: key}}
		}
	}
	return nil
}
