package layout

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
func (b *treeBuilder) list(name string, kids ...*Node) *Node {
	if b.format == VParquet5 {
		return repeated(group(name, kids...))
	}
	n := group(name, repeated(group("list", group("element", kids...))))
	n.logical = listGroup
	return n
}

// values returns a repeated column.
func (b *treeBuilder) values(n *Node) *Node {
	if b.format == VParquet5 {
		return repeated(n)
	}
	name := n.name
	n.name = "element"
	l := group(name, repeated(group("list", n)))
	l.logical = listGroup
	return l
}

func (b *treeBuilder) trace() *Node {
	return group("Trace",
		column("TraceID", OfTrace, FieldID, bytesDelta),
		column("TraceIDText", OfTrace, FieldIDText, textDelta),
		column("StartTimeUnixNano", OfTrace, FieldStart, u64Delta),
		column("EndTimeUnixNano", OfTrace, FieldEnd, u64Delta),
		column("DurationNano", OfTrace, FieldDuration, u64Delta),
		column("RootServiceName", OfTrace, FieldRootService, textDictRaw),
		column("RootSpanName", OfTrace, FieldRootName, textDictRaw),
		b.stats(),
		b.list("rs", b.resource(), b.list("ss", b.scopeSpans()...)))
}

func (b *treeBuilder) stats() *Node {
	counts := []*Node{column("SpanCount", OfStats, FieldSpanCount, u32Delta), column("ErrorCount", OfStats, FieldErrorCount, u32Delta)}
	if b.format == VParquet5 {
		return repeated(group("ServiceStats", append([]*Node{column("ServiceName", OfStats, FieldService, textDict)}, counts...)...))
	}
	key := column("key", OfStats, FieldService, kind{format.ByteArray, text, format.DeltaLengthByteArray, true})
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

func (b *treeBuilder) resource() *Node {
	service := column("ServiceName", OfResource, FieldService, textDict)
	attrs, dropped := b.attrs(OfResource), column("DroppedAttributesCount", OfResource, FieldDropped, i32Delta)
	if b.format == VParquet5 {
		return b.withDedicated(OfResource, group("Resource", service, attrs, dropped))
	}
	r := group("Resource", attrs, dropped, service)
	for _, s := range resourceStatics {
		r.kids = append(r.kids, own(s, OfResource, textDict))
	}
	return b.withDedicated(OfResource, r)
}

// own returns the optional column of a static attribute.
func own(s static, of Owner, k kind) *Node {
	n := optional(column(s.column, of, FieldDedicated, k))
	n.leaf.Key = s.key
	return n
}

func (b *treeBuilder) scopeSpans() []*Node {
	kids := []*Node{
		group("Scope",
			column("Name", OfScope, FieldName, textDict),
			column("Version", OfScope, FieldVersion, textDict),
			b.attrs(OfScope),
			column("DroppedAttributesCount", OfScope, FieldDropped, i32Delta)),
		b.list("Spans", b.span()...),
	}
	if b.format == VParquet5 {
		kids = append(kids, column("SpanCount", OfScope, FieldSpanCount, i32DeltaRaw))
	}
	return kids
}

func (b *treeBuilder) span() []*Node {
	kids := []*Node{
		column("SpanID", OfSpan, FieldID, bytesDelta),
		column("ParentSpanID", OfSpan, FieldParent, bytesDelta),
		column("ParentID", OfSpan, FieldParentLeft, i32DeltaRaw),
		column("NestedSetLeft", OfSpan, FieldLeft, i32DeltaRaw),
		column("NestedSetRight", OfSpan, FieldRight, i32DeltaRaw),
	}
	if b.format == VParquet5 {
		kids = append(kids, column("ChildCount", OfSpan, FieldChildCount, i32DeltaRaw))
	}
	kids = append(kids,
		column("Name", OfSpan, FieldName, textDict),
		column("Kind", OfSpan, FieldKind, i64Delta),
		column("TraceState", OfSpan, FieldState, textDelta),
		column("StartTimeUnixNano", OfSpan, FieldStart, u64Delta),
		column("DurationNano", OfSpan, FieldDuration, u64Delta),
		column("StatusCode", OfSpan, FieldStatus, i64Delta),
		column("StatusMessage", OfSpan, FieldMessage, textDelta),
		b.attrs(OfSpan),
		column("DroppedAttributesCount", OfSpan, FieldDropped, i32Delta),
		b.list("Events", b.event()...),
		column("DroppedEventsCount", OfSpan, FieldDroppedEvents, i32Plain),
		b.list("Links",
			column("TraceID", OfLink, FieldLinkTrace, bytesDelta),
			column("SpanID", OfLink, FieldID, bytesDelta),
			column("TraceState", OfLink, FieldState, textDelta),
			b.attrs(OfLink),
			column("DroppedAttributesCount", OfLink, FieldDropped, i32Delta)),
		column("DroppedLinksCount", OfSpan, FieldDroppedLinks, i32Plain))
	if b.format != VParquet5 {
		kids = append(kids, own(spanStatics[0], OfSpan, textDict), own(spanStatics[1], OfSpan, textDict), own(spanStatics[2], OfSpan, i64Plain))
		return append(kids, b.spare(OfSpan))
	}
	kids = append(kids, b.columnsOf(OfSpan)...)
	return append(kids,
		column("StartTimeRounded15", OfSpan, FieldRounded15, u32Delta),
		column("StartTimeRounded60", OfSpan, FieldRounded60, u32Delta),
		column("StartTimeRounded300", OfSpan, FieldRounded300, u32Delta),
		column("StartTimeRounded3600", OfSpan, FieldRounded3600, u32Delta))
}

func (b *treeBuilder) event() []*Node {
	kids := []*Node{
		column("TimeSinceStartNano", OfEvent, FieldSince, u64Delta),
		column("Name", OfEvent, FieldName, textDict),
		b.attrs(OfEvent),
		column("DroppedAttributesCount", OfEvent, FieldDropped, i32Delta),
	}
	if b.format != VParquet5 {
		return kids
	}
	return append(kids, b.columnsOf(OfEvent)...)
}

func (b *treeBuilder) attrs(of Owner) *Node {
	a := AttrsOf[of]
	return b.list("Attrs",
		column("Key", a, FieldKey, textDict),
		column("IsArray", a, FieldIsArray, boolPlain),
		b.values(column("Value", a, FieldText, textDict)),
		b.values(column("ValueInt", a, FieldInt, i64Plain)),
		b.values(column("ValueDouble", a, FieldDouble, doublePlain)),
		b.values(column("ValueBool", a, FieldBool, boolPlain)),
		optional(column("ValueUnsupported", a, FieldUnsupported, textDelta)))
}

// withDedicated adds the group of dedicated columns to a resource.
func (b *treeBuilder) withDedicated(of Owner, n *Node) *Node {
	if b.format == VParquet5 {
		n.kids = append(n.kids, b.columnsOf(of)...)
	} else {
		n.kids = append(n.kids, b.spare(of))
	}
	return n
}

// spare returns the ten columns of vParquet4, assigned or not. A column without an
// attribute has no key.
func (b *treeBuilder) spare(of Owner) *Node {
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

// columnsOf returns the group of the assigned dedicated columns of vParquet5, strings first. It returns no
// group if no column is assigned.
func (b *treeBuilder) columnsOf(of Owner) []*Node {
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
	return []*Node{g}
}

func dedicatedColumn(name string, i int, of Owner, key string, k kind) *Node {
	n := repeated(column(fmt.Sprintf("%s%02d", name, i+1), of, FieldDedicated, k))
	n.leaf.Key = key
	return n
}

// keysOf are the dedicated attributes of one scope and type, in the order of the list.
func keysOf(all []Dedicated, of Owner, ints bool) (some []Dedicated) {
	for _, d := range all {
		if d.owner() == of && d.Int() == ints {
			some = append(some, d)
		}
	}
	return some
}

// oldTrace is the tree of vParquet3, which etude only reads. A reader finds the columns by their path.
func (b *treeBuilder) oldTrace() *Node {
	attr := func(of Owner) *Node {
		a := AttrsOf[of]
		return b.list("Attrs",
			column("Key", a, FieldKey, textDict),
			optional(column("Value", a, FieldText, textDict)),
			optional(column("ValueInt", a, FieldInt, i64Plain)),
			optional(column("ValueDouble", a, FieldDouble, doublePlain)),
			optional(column("ValueBool", a, FieldBool, boolPlain)),
			column("ValueKVList", a, FieldKVList, textDelta),
			column("ValueArray", a, FieldArray, textDelta))
	}
	t := b.trace()
	t.replace("ServiceStats", nil)
	resource := t.find("Resource")
	resource.replace("Attrs", attr(OfResource))
	resource.replace("DroppedAttributesCount", nil)
	scope := t.find("Scope")
	scope.replace("Attrs", nil)
	scope.replace("DroppedAttributesCount", nil)
	spans := t.find("Spans").find("element")
	spans.replace("Attrs", attr(OfSpan))
	events := spans.find("Events").find("element")
	events.replace("TimeSinceStartNano", column("TimeUnixNano", OfEvent, FieldTime, u64Delta))
	events.replace("Attrs", b.list("Attrs",
		column("Key", OfEventAttr, FieldKey, textDict), column("Value", OfEventAttr, FieldAny, bytesDelta)))
	spans.replace("Links", column("Links", OfSpan, FieldLinks, bytesDelta))
	return t
}

// find returns the first group of a name below n.
func (n *Node) find(name string) *Node {
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

// replace puts another child, or none, in the place of one.
func (n *Node) replace(name string, by *Node) {
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
