package block

import (
	"fmt"

	"github.com/parquet-go/parquet-go/format"
)

// treeBuilder builds the tree of a version from its parts.
type treeBuilder struct {
	format    Format
	dedicated []Dedicated
}

// list returns a repeated group: bare in vParquet5, in the three-level form of
// Parquet's LIST before.
func (b *treeBuilder) list(name string, kids ...*node) *node {
	if b.format == VParquet5 {
		return repeated(group(name, kids...))
	}
	n := group(name, repeated(group("list", group("element", kids...))))
	n.logical = listGroup
	return n
}

// values returns a repeated column.
func (b *treeBuilder) values(n *node) *node {
	if b.format == VParquet5 {
		return repeated(n)
	}
	name := n.name
	n.name = "element"
	l := group(name, repeated(group("list", n)))
	l.logical = listGroup
	return l
}

func (b *treeBuilder) trace() *node {
	return group("Trace",
		column("TraceID", ofTrace, fieldID, bytesDelta),
		column("TraceIDText", ofTrace, fieldIDText, textDelta),
		column("StartTimeUnixNano", ofTrace, fieldStart, u64Delta),
		column("EndTimeUnixNano", ofTrace, fieldEnd, u64Delta),
		column("DurationNano", ofTrace, fieldDuration, u64Delta),
		column("RootServiceName", ofTrace, fieldRootService, textDictRaw),
		column("RootSpanName", ofTrace, fieldRootName, textDictRaw),
		b.stats(),
		b.list("rs", b.resource(), b.list("ss", b.scopeSpans()...)))
}

func (b *treeBuilder) stats() *node {
	counts := []*node{column("SpanCount", ofStats, fieldSpanCount, u32Delta), column("ErrorCount", ofStats, fieldErrorCount, u32Delta)}
	if b.format == VParquet5 {
		return repeated(group("ServiceStats", append([]*node{column("ServiceName", ofStats, fieldService, textDict)}, counts...)...))
	}
	key := column("key", ofStats, fieldService, kind{format.ByteArray, text, format.DeltaLengthByteArray, true})
	m := group("ServiceStats", repeated(group("key_value", key, group("value", counts...))))
	m.logical = mapGroup
	return m
}

// static are attributes that have a column of their own in vParquet4 and before.
type static struct{ column, key string }

var resourceStatics = []static{{"Cluster", "cluster"}, {"Namespace", "namespace"}, {"Pod", "pod"}, {"Container", "container"},
	{"K8sClusterName", "k8s.cluster.name"}, {"K8sNamespaceName", "k8s.namespace.name"}, {"K8sPodName", "k8s.pod.name"}, {"K8sContainerName", "k8s.container.name"}}

// spanStatics are HttpMethod, HttpUrl and HttpStatusCode; the last is an int.
var spanStatics = []static{{"HttpMethod", "http.method"}, {"HttpUrl", "http.url"}, {"HttpStatusCode", "http.status_code"}}

func (b *treeBuilder) resource() *node {
	service := column("ServiceName", ofResource, fieldService, textDict)
	attrs, dropped := b.attrs(ofResource), column("DroppedAttributesCount", ofResource, fieldDropped, i32Delta)
	if b.format == VParquet5 {
		return b.withDedicated(ofResource, group("Resource", service, attrs, dropped))
	}
	r := group("Resource", attrs, dropped, service)
	for _, s := range resourceStatics {
		r.kids = append(r.kids, own(s, ofResource, textDict))
	}
	return b.withDedicated(ofResource, r)
}

// own returns the optional column of a static attribute.
func own(s static, of owner, k kind) *node {
	n := optional(column(s.column, of, fieldDedicated, k))
	n.leaf.key = s.key
	return n
}

func (b *treeBuilder) scopeSpans() []*node {
	kids := []*node{
		group("Scope",
			column("Name", ofScope, fieldName, textDict),
			column("Version", ofScope, fieldVersion, textDict),
			b.attrs(ofScope),
			column("DroppedAttributesCount", ofScope, fieldDropped, i32Delta)),
		b.list("Spans", b.span()...),
	}
	if b.format == VParquet5 {
		kids = append(kids, column("SpanCount", ofScope, fieldSpanCount, i32DeltaRaw))
	}
	return kids
}

func (b *treeBuilder) span() []*node {
	kids := []*node{
		column("SpanID", ofSpan, fieldID, bytesDelta),
		column("ParentSpanID", ofSpan, fieldParent, bytesDelta),
		column("ParentID", ofSpan, fieldParentLeft, i32DeltaRaw),
		column("NestedSetLeft", ofSpan, fieldLeft, i32DeltaRaw),
		column("NestedSetRight", ofSpan, fieldRight, i32DeltaRaw),
	}
	if b.format == VParquet5 {
		kids = append(kids, column("ChildCount", ofSpan, fieldChildCount, i32DeltaRaw))
	}
	kids = append(kids,
		column("Name", ofSpan, fieldName, textDict),
		column("Kind", ofSpan, fieldKind, i64Delta),
		column("TraceState", ofSpan, fieldState, textDelta),
		column("StartTimeUnixNano", ofSpan, fieldStart, u64Delta),
		column("DurationNano", ofSpan, fieldDuration, u64Delta),
		column("StatusCode", ofSpan, fieldStatus, i64Delta),
		column("StatusMessage", ofSpan, fieldMessage, textDelta),
		b.attrs(ofSpan),
		column("DroppedAttributesCount", ofSpan, fieldDropped, i32Delta),
		b.list("Events", b.event()...),
		column("DroppedEventsCount", ofSpan, fieldDroppedEvents, i32Plain),
		b.list("Links",
			column("TraceID", ofLink, fieldLinkTrace, bytesDelta),
			column("SpanID", ofLink, fieldID, bytesDelta),
			column("TraceState", ofLink, fieldState, textDelta),
			b.attrs(ofLink),
			column("DroppedAttributesCount", ofLink, fieldDropped, i32Delta)),
		column("DroppedLinksCount", ofSpan, fieldDroppedLinks, i32Plain))
	if b.format != VParquet5 {
		kids = append(kids, own(spanStatics[0], ofSpan, textDict), own(spanStatics[1], ofSpan, textDict), own(spanStatics[2], ofSpan, i64Plain))
		return append(kids, b.spare(ofSpan))
	}
	kids = append(kids, b.columnsOf(ofSpan)...)
	return append(kids,
		column("StartTimeRounded15", ofSpan, fieldRounded15, u32Delta),
		column("StartTimeRounded60", ofSpan, fieldRounded60, u32Delta),
		column("StartTimeRounded300", ofSpan, fieldRounded300, u32Delta),
		column("StartTimeRounded3600", ofSpan, fieldRounded3600, u32Delta))
}

func (b *treeBuilder) event() []*node {
	kids := []*node{
		column("TimeSinceStartNano", ofEvent, fieldSince, u64Delta),
		column("Name", ofEvent, fieldName, textDict),
		b.attrs(ofEvent),
		column("DroppedAttributesCount", ofEvent, fieldDropped, i32Delta),
	}
	if b.format != VParquet5 {
		return kids
	}
	return append(kids, b.columnsOf(ofEvent)...)
}

func (b *treeBuilder) attrs(of owner) *node {
	a := attrsOf[of]
	return b.list("Attrs",
		column("Key", a, fieldKey, textDict),
		column("IsArray", a, fieldIsArray, boolPlain),
		b.values(column("Value", a, fieldText, textDict)),
		b.values(column("ValueInt", a, fieldInt, i64Plain)),
		b.values(column("ValueDouble", a, fieldDouble, doublePlain)),
		b.values(column("ValueBool", a, fieldBool, boolPlain)),
		optional(column("ValueUnsupported", a, fieldUnsupported, textDelta)))
}

// withDedicated adds the group of dedicated columns to a resource.
func (b *treeBuilder) withDedicated(of owner, n *node) *node {
	if b.format == VParquet5 {
		n.kids = append(n.kids, b.columnsOf(of)...)
	} else {
		n.kids = append(n.kids, b.spare(of))
	}
	return n
}

// spare returns the ten columns of vParquet4, assigned or not. A column without an
// attribute has no key.
func (b *treeBuilder) spare(of owner) *node {
	g, keys := group("DedicatedAttributes"), keysOf(b.dedicated, of, false)
	for i := range spareColumns {
		s := static{column: fmt.Sprintf("String%02d", i+1)}
		if i < len(keys) {
			s.key = keys[i].Name
		}
		g.kids = append(g.kids, own(s, of, textDict))
	}
	return g
}

// columnsOf returns the group with the dedicated columns of vParquet5: those that
// are assigned, strings first. There is no group when there are none.
func (b *treeBuilder) columnsOf(of owner) []*node {
	g := group("DedicatedAttributes")
	for i, d := range keysOf(b.dedicated, of, false) {
		k := textDict
		if d.Blob() {
			k.enc = format.DeltaLengthByteArray
		}
		g.kids = append(g.kids, dedicatedColumn("String", i, of, d.Name, k))
	}
	for i, d := range keysOf(b.dedicated, of, true) {
		g.kids = append(g.kids, dedicatedColumn("Int", i, of, d.Name, i64Plain))
	}
	if len(g.kids) == 0 {
		return nil
	}
	return []*node{g}
}

func dedicatedColumn(name string, i int, of owner, key string, k kind) *node {
	n := repeated(column(fmt.Sprintf("%s%02d", name, i+1), of, fieldDedicated, k))
	n.leaf.key = key
	return n
}

// keysOf are the dedicated attributes of one scope and type, in the order of the list.
func keysOf(all []Dedicated, of owner, ints bool) (some []Dedicated) {
	for _, d := range all {
		if d.owner() == of && d.Int() == ints {
			some = append(some, d)
		}
	}
	return some
}

// oldTrace is the tree of vParquet3, which is only read: columns are found by
// their path.
func (b *treeBuilder) oldTrace() *node {
	attr := func(of owner) *node {
		a := attrsOf[of]
		return b.list("Attrs",
			column("Key", a, fieldKey, textDict),
			optional(column("Value", a, fieldText, textDict)),
			optional(column("ValueInt", a, fieldInt, i64Plain)),
			optional(column("ValueDouble", a, fieldDouble, doublePlain)),
			optional(column("ValueBool", a, fieldBool, boolPlain)),
			column("ValueKVList", a, fieldKVList, textDelta),
			column("ValueArray", a, fieldArray, textDelta))
	}
	t := b.trace()
	t.replace("ServiceStats", nil)
	resource := t.find("Resource")
	resource.replace("Attrs", attr(ofResource))
	resource.replace("DroppedAttributesCount", nil)
	scope := t.find("Scope")
	scope.replace("Attrs", nil)
	scope.replace("DroppedAttributesCount", nil)
	spans := t.find("Spans").find("element")
	spans.replace("Attrs", attr(ofSpan))
	events := spans.find("Events").find("element")
	events.replace("TimeSinceStartNano", column("TimeUnixNano", ofEvent, fieldTime, u64Delta))
	events.replace("Attrs", b.list("Attrs",
		column("Key", ofEventAttr, fieldKey, textDict), column("Value", ofEventAttr, fieldAny, bytesDelta)))
	spans.replace("Links", column("Links", ofSpan, fieldLinks, bytesDelta))
	return t
}

// find returns the first group of a name below n.
func (n *node) find(name string) *node {
	for _, kid := range n.kids {
		if kid.name == name {
			return kid
		}
		if found := kid.find(name); found != nil {
			return found
		}
	}
	return nil
}

// replace puts another child in the place of one, or none.
func (n *node) replace(name string, by *node) {
	for i, kid := range n.kids {
		if kid.name != name {
			continue
		}
		if by != nil {
			n.kids[i] = by
		} else {
			n.kids = append(n.kids[:i:i], n.kids[i+1:]...)
		}
		return
	}
}
