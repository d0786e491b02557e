package generator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"etude/trace"
)

// The indexes of the metrics in a group of edgeSchema.
const (
	requests      = 0 // counters
	failures      = 1
	serverLatency = 0 // histograms
	clientLatency = 1
	transit       = 2
)

// The values of connection_type. A call with both sides has none.
const (
	throughMessages = "messaging_system"
	toDatabase      = "database"
	virtualNode     = "virtual_node"
)

// A callee without a parent waits for rootWait. At most maxRoots of them wait.
const (
	rootWait = 2 * time.Second
	maxRoots = 4096
)

// unknownCaller is the client of a request without a calling span.
const unknownCaller = "user"

// serviceGraph pairs the spans of both sides of a call.
type serviceGraph struct {
	o       *ServiceGraphOptions
	schema  schema
	edges   *edgeStore
	roots   *edgeStore // callees without a parent, for a short time
	filters []policy
	// names of the dimensions' labels on the two sides
	clientNames, serverNames []string
	registry                 *registry
	count                    *counters
	waiting                  map[string]*int // waiting edges, by the service that sent them
	rootsWaiting             int             // the counter of the edges in roots
	labels                   []labels.Label  // reused memory
}

// endpoint is one side of calls, described by its service, kind and attributes. Its texts are copies, because
// an edge may outlive the Table of its span.
type endpoint struct {
	service   string
	peer      string // name of the other side, according to this one
	database  string // the called database, or ""
	calls     bool   // client or producer; otherwise server or consumer
	messaging bool
	values    []string // of the dimensions
	waiting   *int     // number of the service's waiting edges
}

func newServiceGraph(o *Options, r *registry, c *counters) (*serviceGraph, error) {
	g := &serviceGraph{o: &o.ServiceGraph, registry: r, count: c, edges: newEdgeStore(o.ServiceGraph.MaxEdges), roots: newEdgeStore(maxRoots), waiting: map[string]*int{}}
	k := &g.schema
	k.id = edgeSchema
	k.counters[requests] = newFamily("traces_service_graph_request_total", model.MetricTypeCounter, "", "Requests from one service to another.")
	k.counters[failures] = newFamily("traces_service_graph_request_failed_total", model.MetricTypeCounter, "", "Requests from one service to another that failed on either side.")
	k.counters[failures].lazy = true
	histogram := func(name, help string) *family {
		return newHistogramFamily("traces_service_graph_request_"+name, help, g.o.Buckets, o.NativeHistograms)
	}
	k.histograms[serverLatency] = histogram("server_seconds", "Duration of a request as measured by the server.")
	k.histograms[clientLatency] = histogram("client_seconds", "Duration of a request as measured by the client.")
	if g.o.MessagingLatency {
		k.histograms[transit] = histogram("messaging_system_seconds", "Time of a message from the producer to the consumer.")
	}
	var err error
	if g.filters, err = compilePolicies(g.o.Filters); err != nil {
		return nil, fmt.Errorf("filters of the service graph: %w", err)
	}
	return g, g.nameDimensions()
}

func (g *serviceGraph) nameDimensions() error {
	own := []string{"client", "server", "connection_type", "virtual_node"}
	for _, key := range g.o.Dimensions {
		name, err := dimensionName(key)
		if err != nil {
			return err
		}
		client, server := labelName(name, own...), labelName(name, own...)
		if g.o.Prefix {
			client, server = cut("client_"+name, maxName), cut("server_"+name, maxName)
		}
		if slices.Contains(g.clientNames, client) {
			return fmt.Errorf("dimension %q of the service graph: the label %s is in use", key, client)
		}
		g.clientNames, g.serverNames = append(g.clientNames, client), append(g.serverNames, server)
	}
	return nil
}

// callerKeys and calleeKeys return the span attributes that endpoints depend on.
func (g *serviceGraph) callerKeys() []string {
	return slices.Concat(g.calleeKeys(), g.o.DatabaseAttributes, databaseServers, []string{peerPort})
}

func (g *serviceGraph) calleeKeys() []string {
	return slices.Concat(spanKeys(g.filters), g.o.Dimensions, g.o.PeerAttributes)
}

// databaseServers are the attributes that name a database's server; the value of the last one includes its
// port.
var databaseServers = []string{"peer.service", "server.address", peerAddress}

const (
	peerAddress = "network.peer.address"
	peerPort    = "network.peer.port"
)

// endpoint returns the side of a call that a span is, or nil if it is not a side of a call.
func (g *serviceGraph) endpoint(s *span) *endpoint {
	kind := trace.Kind(s.v.Kind[s.row])
	e := &endpoint{service: s.resource.service,
		calls:     kind == trace.KindClient || kind == trace.KindProducer,
		messaging: kind == trace.KindProducer || kind == trace.KindConsumer}
	called := kind == trace.KindServer || kind == trace.KindConsumer
	if e.service == "" || !e.calls && !called {
		return nil
	}
	e.waiting = g.waitingOf(e.service)
	e.peer = strings.Clone(s.first(g.o.PeerAttributes))
	if name, ok := s.has(g.o.DatabaseAttributes); ok && e.calls {
		e.database = strings.Clone(databaseServer(s, name))
	}
	for _, key := range g.o.Dimensions {
		e.values = append(e.values, strings.Clone(s.attr(key)))
	}
	return e
}

// waitingOf returns the counter of a service's waiting edges.
func (g *serviceGraph) waitingOf(service string) *int {
	n := g.waiting[service]
	if n == nil {
		n = new(int)
		g.waiting[service] = n
	}
	return n
}

// maxWaiting is the number of counters of waiting edges beyond which counters at 0 are removed.
const maxWaiting = 1000

// forgetWaiting removes counters at 0 when there are many. An endpoint may still use a removed counter; its
// service then has two, each with its own limit.
func (g *serviceGraph) forgetWaiting() {
	if len(g.waiting) > maxWaiting {
		maps.DeleteFunc(g.waiting, func(_ string, n *int) bool { return *n == 0 })
	}
}

// databaseServer is the name of a database's node in the graph.
func databaseServer(s *span, database string) string {
	server := s.first(databaseServers)
	if server == "" {
		return database
	}
	if s.first(databaseServers[:2]) == "" {
		if port := s.first([]string{peerPort}); port != "" {
			return server + ":" + port
		}
	}
	return server
}

// add counts a span that is one side of a call. It reports whether the edge store had room.
func (g *serviceGraph) add(side *endpoint, v *trace.View, row uint32, now int64) bool {
	own := edgeKey{v.TraceIDs[v.Trace[row]], v.SpanID[row]}
	if side.calls {
		return g.addCaller(side, own, v, row, now)
	}
	return g.addCallee(side, own, v, row, now)
}

// addCaller pairs a caller with the callee whose parent it is, or with the callee that shares its id. A call to
// a database is complete with the caller; an earlier span of the database itself becomes part of it.
func (g *serviceGraph) addCaller(side *endpoint, own edgeKey, v *trace.View, row uint32, now int64) bool {
	e := g.takeCallee(own)
	if e == nil && side.database == "" {
		if place, ok := g.edges.find(own); ok { // the same caller, sent again
			g.edges.places[place].setSide(side, v, row)
			return true
		}
		return g.wait(own, edgeKey{}, side, v, row, now)
	}
	if e == nil {
		e = &edge{key: own}
	}
	e.setSide(side, v, row)
	if side.database == "" {
		g.complete(e, now)
		return true
	}
	g.count.completed.Add(1)
	g.emit(e, call{client: side.service, server: side.database, connection: toDatabase, clientTime: e.callerTime, serverTime: e.callerTime}, now)
	return true
}

// takeCallee removes and returns the edge that waits with the callee of a caller, or nil.
func (g *serviceGraph) takeCallee(own edgeKey) *edge {
	if place, ok := g.edges.find(own); ok && g.edges.places[place].callee != nil {
		return g.edges.remove(place)
	}
	if place, ok := g.edges.findOwn(own); ok {
		return g.edges.remove(place)
	}
	if place, ok := g.roots.findOwn(own); ok {
		return g.roots.remove(place)
	}
	return nil
}

// addCallee pairs a callee with the caller that shares its id, or with the caller that is its parent. A callee
// without a parent waits for rootWait, because its caller may be the other half of a Zipkin span. After that it
// counts as called by unknownCaller.
func (g *serviceGraph) addCallee(side *endpoint, own edgeKey, v *trace.View, row uint32, now int64) bool {
	if e := g.takeCaller(own); e != nil {
		e.setSide(side, v, row)
		g.complete(e, now)
		return true
	}
	parent := edgeKey{own.trace, v.Parent[row]}
	if parent.span.IsZero() {
		g.addRoot(parent, own, side, v, row, now)
		return true
	}
	if e := g.takeCaller(parent); e != nil {
		e.setSide(side, v, row)
		g.complete(e, now)
		return true
	}
	return g.wait(parent, own, side, v, row, now)
}

// takeCaller removes and returns the edge that waits with a caller, or nil.
func (g *serviceGraph) takeCaller(own edgeKey) *edge {
	if place, ok := g.edges.find(own); ok && g.edges.places[place].caller != nil {
		return g.edges.remove(place)
	}
	return nil
}

// wait makes a side wait for the other side. It reports whether there was room.
func (g *serviceGraph) wait(key, own edgeKey, side *endpoint, v *trace.View, row uint32, now int64) bool {
	e := g.edges.add(key, own, side.waiting, now)
	if e != nil {
		e.setSide(side, v, row)
	}
	return e != nil
}

// addRoot makes a callee without a parent wait. When too many wait, the oldest is counted at once.
func (g *serviceGraph) addRoot(key, own edgeKey, side *endpoint, v *trace.View, row uint32, now int64) {
	if g.roots.open() >= maxRoots {
		g.expireOne(g.roots.remove(g.roots.oldest-1), now)
	}
	g.rootsWaiting = 0 // the limit per sender does not apply to roots
	g.roots.add(key, own, &g.rootsWaiting, now).setSide(side, v, row)
}

// setSide sets one side of the edge from a span.
func (e *edge) setSide(side *endpoint, v *trace.View, row uint32) {
	e.failed = e.failed || trace.Status(v.Status[row]) == trace.StatusError
	if side.calls {
		e.caller, e.callerTime, e.sent = side, v.Duration(row), v.End[row]
		return
	}
	e.callee, e.calleeTime, e.received = side, v.Duration(row), v.Start[row]
}

// complete counts a call with both sides.
func (g *serviceGraph) complete(e *edge, now int64) {
	c := call{client: e.caller.service, server: e.callee.service, clientTime: e.callerTime, serverTime: e.calleeTime}
	if e.caller.messaging || e.callee.messaging {
		c.connection, c.transits = throughMessages, true
	}
	g.count.completed.Add(1)
	g.emit(e, c, now)
}

// expire ends the edges that have waited long enough.
func (g *serviceGraph) expire(now int64) {
	before := now - int64(g.o.Wait)
	for e := g.edges.expired(before); e != nil; e = g.edges.expired(before) {
		g.expireOne(e, now)
	}
	g.expireRoots(now, now-int64(rootWait))
	g.forgetWaiting()
}

// expireRoots counts the callees without a parent that arrived before a time.
func (g *serviceGraph) expireRoots(now, before int64) {
	for e := g.roots.expired(before); e != nil; e = g.roots.expired(before) {
		g.expireOne(e, now)
	}
}

// expireOne counts an edge with one side, if the other side has a name.
func (g *serviceGraph) expireOne(e *edge, now int64) {
	c, ok := e.virtual()
	if !ok {
		g.count.expired.Add(1)
		return
	}
	g.count.virtual.Add(1)
	g.emit(e, c, now)
}

// virtual returns the call of an edge with only one side, if the other side has a name.
func (e *edge) virtual() (c call, ok bool) {
	c.connection = virtualNode
	switch {
	case e.caller != nil:
		c.client, c.server, c.virtual, c.clientTime = e.caller.service, e.caller.peer, "server", e.callerTime
		return c, c.server != ""
	case e.key.span.IsZero():
		c.client, c.server, c.virtual, c.serverTime = e.callee.peer, e.callee.service, "client", e.calleeTime
		if c.client == "" {
			c.client = unknownCaller
		}
		return c, true
	}
	return c, false
}

// sender is the service that owns the edge's series: the caller if it has arrived.
func (e *edge) sender() string {
	if e.caller != nil {
		return e.caller.service
	}
	return e.callee.service
}

// call is a finished edge.
type call struct {
	client, server         string
	connection             string
	virtual                string // the side that sends no spans
	clientTime, serverTime int64  // ns
	transits               bool
}

// emit adds a call to its series.
func (g *serviceGraph) emit(e *edge, c call, now int64) {
	s := g.registry.get(&g.schema, e.sender(), g.labelsOf(e, &c))
	if s == nil {
		g.count.dropped[invalidUTF8].Add(1)
		return
	}
	s.touch(now)
	s.counters[requests].value++
	if e.failed {
		s.counters[failures].value++
	}
	s.histograms[serverLatency].observe(seconds(c.serverTime), 1, e.key.trace)
	s.histograms[clientLatency].observe(seconds(c.clientTime), 1, e.key.trace)
	if h := s.histograms[transit]; h != nil && c.transits {
		h.observe(seconds(int64(e.received-e.sent)), 1, e.key.trace)
	}
}

// labelsOf returns the labels of a call, valid until the next call of labelsOf.
func (g *serviceGraph) labelsOf(e *edge, c *call) []labels.Label {
	ls := append(g.labels[:0], labels.Label{Name: "client", Value: c.client}, labels.Label{Name: "server", Value: c.server},
		labels.Label{Name: "connection_type", Value: c.connection})
	if g.o.VirtualNode {
		ls = append(ls, labels.Label{Name: "virtual_node", Value: c.virtual})
	}
	value := func(side *endpoint, i int) string {
		if side == nil {
			return ""
		}
		return side.values[i]
	}
	for i, name := range g.clientNames {
		client, server := value(e.caller, i), value(e.callee, i)
		switch {
		case g.o.Prefix:
			ls = append(ls, labels.Label{Name: name, Value: client}, labels.Label{Name: g.serverNames[i], Value: server})
		case client != "":
			ls = append(ls, labels.Label{Name: name, Value: client})
		default:
			ls = append(ls, labels.Label{Name: name, Value: server})
		}
	}
	g.labels = ls
	return ls
}
