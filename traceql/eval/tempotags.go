package eval

import (
	"math"
	"strconv"
	"strings"

	"etude/trace"
	"etude/traceql/syntax"
)

// Tag is one condition of a legacy search: the text of the attribute, of the span or of its resource, contains
// the value. Some keys have a special meaning, see CompileTags.
type Tag struct{ Key, Value string }

// CompileTags builds the Program of a legacy search. Each tag must match some
// span of the trace.
//
// Rule T14: tags that Tempo keeps in columns of their own may match different spans,
// all others together must match one.
func CompileTags(tags []Tag) *Program {
	p := &Program{}
	p.filters = append(p.filters, filter{cond: always(true), exact: true})
	all := node(nil)
	add := func(c cond) {
		p.filters = append(p.filters, filter{cond: c, work: workOf(c), exact: !c.needs().trace})
		if next := node(pick(len(p.filters) - 1)); all == nil {
			all = next
		} else {
			all = &logical{and: true, l: all, r: next}
		}
	}
	var together allOf
	for _, t := range tags {
		if c := p.tag(t); ownColumn(t.Key) {
			add(c)
		} else {
			together = append(together, c)
		}
	}
	if len(together) > 0 {
		add(together)
	}
	if all == nil {
		all = pick(0)
	}
	p.stages = []stage{spansetStage{all}}
	return p
}

// ownColumn reports whether Tempo has a dedicated column for a key.
func ownColumn(key string) bool {
	_, intrinsic := legacyIntrinsics[key]
	_, known := legacyKeys[key]
	return intrinsic || known || key == "status.code"
}

var legacyIntrinsics = map[string]string{
	"root.name": syntax.RootName, "root.service.name": syntax.RootService, "name": syntax.Name,
}

// Rule T15: the keys root.name, root.service.name and name mean the intrinsics,
// status.code the status by its word, and http.status_code also an equal integer.
func (p *Program) tag(t Tag) cond {
	if name, ok := legacyIntrinsics[t.Key]; ok {
		return leaf{&constTest{x: intrinsic{name}, op: opContains, lit: textValue(t.Value)}}
	}
	if t.Key == "status.code" {
		for code := range int64(3) {
			if syntax.StatusWord(code) == t.Value {
				return leaf{&constTest{x: intrinsic{syntax.Status}, op: "=", lit: Value{Type: Status, Int: code}}}
			}
		}
		return always(false)
	}
	var either anyOf
	for _, s := range LegacyScopes(t.Key) {
		either = append(either, p.contains(s, t))
	}
	if n, err := strconv.ParseInt(t.Value, 10, 64); err == nil && t.Key == "http.status_code" {
		a := p.attribute(syntax.Attr{Scope: syntax.ScopeSpan, Name: t.Key})
		either = append(either, leaf{&constTest{x: a, attr: a, op: "=", lit: Value{Type: Int, Int: n}}})
	}
	return either
}

// Rule T16: the legacy forms of the API look up the attributes that Tempo keeps in
// columns of their own in one scope only.
var legacyKeys = map[string]syntax.Scope{
	"service.name": syntax.ScopeResource, "cluster": syntax.ScopeResource, "namespace": syntax.ScopeResource,
	"pod": syntax.ScopeResource, "container": syntax.ScopeResource,
	"k8s.cluster.name": syntax.ScopeResource, "k8s.namespace.name": syntax.ScopeResource,
	"k8s.pod.name": syntax.ScopeResource, "k8s.container.name": syntax.ScopeResource,
	"http.method": syntax.ScopeSpan, "http.url": syntax.ScopeSpan, "http.status_code": syntax.ScopeSpan,
}

// LegacyScopes returns the scopes in which a legacy request, which names no scope, looks up an attribute of
// spans or resources.
func LegacyScopes(key string) []syntax.Scope {
	if s, ok := legacyKeys[key]; ok {
		return []syntax.Scope{s}
	}
	return []syntax.Scope{syntax.ScopeResource, syntax.ScopeSpan}
}

func (p *Program) contains(s syntax.Scope, t Tag) cond {
	a := p.attribute(syntax.Attr{Scope: s, Name: t.Key})
	return leaf{&constTest{x: a, attr: a, op: opContains, lit: textValue(t.Value)}}
}

// opContains is the operator of legacy searches; no query can write it.
const opContains = "contains"

func containsText(v, part Value) bool {
	return v.Type == String && strings.Contains(v.Str, part.Str)
}

// SideBySide returns Rows, and the events and links of these spans that count.
//
// Rule T19: where conditions narrow the names of all scopes, Tempo goes over the events
// and links of a span side by side. A span with only one of both is left out; of the
// others as many events and links count, from the first on, as the span has of both.
func (r *Run) SideBySide(part int) (spans, events, links Mask, err error) {
	v := r.View(part)
	if spans, err = r.Rows(part); err != nil {
		return nil, nil, nil, err
	}
	events, links = NewMask(v.Count(trace.EventLevel)), NewMask(v.Count(trace.LinkLevel))
	alone := NewMask(v.Spans())
	both := int64(-1) // the last span found to have both an event and a link
	for e, l := 0, 0; e < len(v.EventSpan) || l < len(v.LinkSpan); {
		of, other := childSpan(v.EventSpan, e), childSpan(v.LinkSpan, l)
		switch span := uint32(min(of, other)); {
		case of == other:
			both = of
			if spans.Has(span) {
				events.Set(uint32(e))
				links.Set(uint32(l))
			}
			e, l = e+1, l+1
		case of < other:
			if e++; of != both {
				alone.Set(span)
			}
		default:
			if l++; other != both {
				alone.Set(span)
			}
		}
	}
	spans.AndNot(alone)
	return spans, events, links, nil
}

// childSpan returns the span of an event or link, beyond all spans at the end.
func childSpan(spans []uint32, i int) int64 {
	if i == len(spans) {
		return math.MaxInt64
	}
	return int64(spans[i])
}
