package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// The shape of the data: a web shop of small services. A trace has seven spans in three services. A span has 9
// attributes, one of them of high cardinality.

const (
	spansPerTrace    = 7
	servicesPerTrace = 3
	valueKey         = "app.request.id" // the attribute of high cardinality
	valuePrefix      = "req-"
	valueDigits      = 10
)

var nouns = []string{"order", "cart", "product", "account", "payment", "invoice", "shipment", "review", "coupon", "basket", "catalog", "ticket"}

// attr is a key and its value: text, or an int64.
type attr struct {
	key   string
	value any
}

// spanShape is one of a trace's seven spans. In texts, {noun} is the trace's subject and {next} the called
// service.
type spanShape struct {
	service    int // index into the trace's services
	parent     int // -1: root
	kind       uint64
	name       string
	begin, end float64 // fractions of the trace's length; children are within their parents
	attrs      []attr
}

const (
	kindInternal = 1
	kindServer   = 2
	kindClient   = 3
)

var traceShape = [spansPerTrace]spanShape{
	{0, -1, kindServer, "GET /api/{noun}s/{id}", 0, 1, []attr{{"http.request.method", "GET"}, {"http.route", "/api/{noun}s/{id}"}, {"url.scheme", "https"},
		{"http.response.status_code", int64(200)}, {"server.address", "shop.example"}, {"client.address", "{ip}"}, {"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}, {"network.protocol.version", "1.1"}}},
	{0, 0, kindClient, "POST", .05, .95, []attr{{"http.request.method", "POST"}, {"url.full", "http://{next}:8080/v1/{noun}s"}, {"server.address", "{next}"},
		{"server.port", int64(8080)}, {"http.response.status_code", int64(200)}, {"network.peer.address", "{ip}"}, {"network.protocol.version", "1.1"}, {"http.request.resend_count", int64(0)}}},
	{1, 1, kindServer, "POST /v1/{noun}s", .1, .9, []attr{{"http.request.method", "POST"}, {"http.route", "/v1/{noun}s"}, {"url.scheme", "http"},
		{"http.response.status_code", int64(200)}, {"server.address", "{next}"}, {"server.port", int64(8080)}, {"client.address", "{ip}"}, {"user_agent.original", "Go-http-client/1.1"}}},
	{1, 2, kindInternal, "check {noun}", .15, .3, []attr{{"code.function.name", "shop/{noun}.Check"}, {"code.file.path", "{noun}/check.go"}, {"code.line.number", int64(117)},
		{"app.{noun}.items", int64(3)}, {"app.tenant", "{tenant}"}, {"app.cache.hit", "false"}, {"thread.id", int64(41)}, {"app.rules.version", "2026-11"}}},
	{1, 2, kindClient, "shop.{noun}s.v1.Store/Get", .35, .85, []attr{{"rpc.system", "grpc"}, {"rpc.service", "shop.{noun}s.v1.Store"}, {"rpc.method", "Get"},
		{"rpc.grpc.status_code", int64(0)}, {"server.address", "{next}"}, {"server.port", int64(9090)}, {"network.peer.address", "{ip}"}, {"network.transport", "tcp"}}},
	{2, 4, kindServer, "shop.{noun}s.v1.Store/Get", .4, .8, []attr{{"rpc.system", "grpc"}, {"rpc.service", "shop.{noun}s.v1.Store"}, {"rpc.method", "Get"},
		{"rpc.grpc.status_code", int64(0)}, {"client.address", "{ip}"}, {"client.port", int64(43210)}, {"app.tenant", "{tenant}"}, {"network.transport", "tcp"}}},
	{2, 5, kindClient, "SELECT {noun}s", .45, .75, []attr{{"db.system.name", "postgresql"}, {"db.namespace", "shop"}, {"db.operation.name", "SELECT"},
		{"db.collection.name", "{noun}s"}, {"db.query.text", "SELECT * FROM {noun}s WHERE id = $1 AND tenant = $2"}, {"server.address", "db-1.shop.example"}, {"server.port", int64(5432)}, {"db.response.returned_rows", int64(1)}}},
}

// failing marks the spans that have an error when the database fails.
var failing = [spansPerTrace]bool{0: true, 2: true, 5: true, 6: true}

// serviceName is the name of service n.
func serviceName(n int) string {
	name := nouns[n%len(nouns)] + "s"
	if round := n / len(nouns); round > 0 {
		name = fmt.Sprintf("%s-%d", name, round)
	}
	return name
}

// traceDraw has the random choices for one trace in a template.
type traceDraw struct {
	services [servicesPerTrace]int
	length   float64 // ns
	failed   bool
	fill     *strings.Replacer
	next     [servicesPerTrace]string
}

// drawTrace makes the random choices for a trace in the given triple of services.
func drawTrace(rng *rand.Rand, triple, services int) traceDraw {
	var d traceDraw
	for i := range d.services {
		d.services[i] = (triple*servicesPerTrace + i) % services
	}
	for i := range d.next {
		d.next[i] = serviceName(d.services[min(i+1, servicesPerTrace-1)])
	}
	// Most traces take about 30 ms, some a second. Even the shortest keeps every gap between a parent and its
	// child above jitterMask.
	d.length = min(max(30e6*math.Exp(rng.NormFloat64()), 4e6), 2e9)
	d.failed = rng.IntN(50) == 0
	d.fill = strings.NewReplacer("{noun}", nouns[rng.IntN(len(nouns))], "{tenant}", fmt.Sprintf("tenant-%d", rng.IntN(20)),
		"{ip}", fmt.Sprintf("10.%d.%d.%d", rng.IntN(4), rng.IntN(8), rng.IntN(250)))
	return d
}

// text fills in the placeholders in a text of the trace.
func (d *traceDraw) text(s *spanShape, text string) string {
	return strings.ReplaceAll(d.fill.Replace(text), "{next}", d.next[s.service])
}
