//go:build unix

package generator

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/otlp"
	"etude/trace"
)

// shop is a Table as a store has it: traces of seven spans through three of forty
// services, each span with eight attributes, one of them different in each.
func shop(b *testing.B, spans int) *trace.View { return shopOf(b, spans, 1) }

// shopOf is shop with other traces for each number.
func shopOf(b *testing.B, spans int, number uint64) *trace.View {
	b.Helper()
	table := trace.NewTable()
	now := time.Now()
	kinds := [...]tracepb.Span_SpanKind{tracepb.Span_SPAN_KIND_SERVER, tracepb.Span_SPAN_KIND_CLIENT, tracepb.Span_SPAN_KIND_SERVER, tracepb.Span_SPAN_KIND_INTERNAL,
		tracepb.Span_SPAN_KIND_CLIENT, tracepb.Span_SPAN_KIND_SERVER, tracepb.Span_SPAN_KIND_INTERNAL}
	services := [...]int{0, 0, 1, 1, 1, 2, 2}
	for first := 0; first < spans; first += 70 {
		byService := map[int][]*tracepb.Span{}
		for n := first; n < min(spans, first+70); n++ {
			i, traceNo := n%7, n/7
			s := &tracepb.Span{Name: fmt.Sprintf("GET /resource/%d", traceNo%20), Kind: kinds[i], Flags: 1,
				TraceId:           binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(traceNo)*0xbf58476d1ce4e5b9+1), number),
				SpanId:            binary.BigEndian.AppendUint64(nil, uint64(n)*0x9e3779b97f4a7c15+1),
				StartTimeUnixNano: uint64(now.Add(-time.Duration(1+n%1000) * time.Millisecond).UnixNano()), EndTimeUnixNano: uint64(now.UnixNano())}
			if i > 0 {
				s.ParentSpanId = binary.BigEndian.AppendUint64(nil, uint64(n-1)*0x9e3779b97f4a7c15+1)
			}
			if n%50 == 0 {
				s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
			}
			for _, a := range [][2]string{{"http.request.method", "GET"}, {"http.route", fmt.Sprintf("/resource/%d", traceNo%20)}, {"http.response.status_code", "200"},
				{"url.path", fmt.Sprintf("/resource/%d/item/%d", traceNo%20, n%1000)}, {"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"},
				{"server.address", fmt.Sprintf("service-%d.example", (traceNo+services[i]+1)%40)}, {"network.protocol.version", "1.1"}, {"request.id", fmt.Sprintf("%032x", n)}} {
				s.Attributes = append(s.Attributes, attributeOf(a[0], a[1]))
			}
			service := (traceNo + services[i]) % 40
			byService[service] = append(byService[service], s)
		}
		data := &tracepb.TracesData{}
		for service, ss := range byService {
			resource := &respb.Resource{Attributes: []*common.KeyValue{attributeOf("service.name", fmt.Sprintf("service-%d", service)), attributeOf("host.name", "node-1")}}
			data.ResourceSpans = append(data.ResourceSpans, &tracepb.ResourceSpans{Resource: resource, ScopeSpans: []*tracepb.ScopeSpans{{Spans: ss}}})
		}
		payload, err := proto.Marshal(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := otlp.Append(table, payload, now.UnixNano()); err != nil {
			b.Fatal(err)
		}
	}
	return table.View()
}

// cpuTime is the CPU time of this process; other processes do not count.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchRead reads a Table again and again; cold says to forget what has been found
// out about it, as at the begin of the next Table.
func benchRead(b *testing.B, o Options, cold bool) {
	source := fixedSource{shop(b, 65520)}
	o.Source, o.Out = source, &recorder{}
	g, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	again := func() {
		c := g.cursorOf(source[0])
		c.rewind()
		if cold {
			c.forgetEntries()
		}
		now = now.Add(time.Millisecond)
		g.Read(now)
	}
	again()
	b.ReportAllocs()
	begin := cpuTime()
	for b.Loop() {
		again()
	}
	b.ReportMetric(float64(cpuTime()-begin)/float64(b.N)/65520, "cpu-ns/span")
	if st := g.Stats(); st.CompletedEdges == 0 || st.ActiveSeries < 1000 || st.Dropped[dropNames[edgesFull]] > 0 || st.Dropped[dropNames[outsideSlack]] > 0 {
		b.Fatalf("%+v", st)
	}
}

// rewind makes the cursor read its Table again.
func (c *cursor) rewind() {
	c.rows = 0
	for i := range c.pickers {
		for j := range c.pickers[i].columns {
			c.pickers[i].columns[j].at = 0
		}
	}
}

// BenchmarkRead is the cost of a span in the steady state: span metrics and
// service graph together.
func BenchmarkRead(b *testing.B) { benchRead(b, both(), false) }

// BenchmarkReadAfterTables is the same if every span is so old that each trace is looked up in the Tables before.
func BenchmarkReadAfterTables(b *testing.B) {
	o := both()
	last := shop(b, 65520)
	source := fixedSource{}
	for i := range retryTables {
		source = append(source, shopOf(b, 65520, uint64(i)+2))
	}
	o.Source, o.Out = append(source, last), &recorder{}
	g, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	again := func() {
		c := g.cursorOf(last)
		c.rewind()
		c.continued = c.continued[:0]
		now = now.Add(time.Millisecond)
		g.Read(now)
	}
	again()
	b.ReportAllocs()
	begin := cpuTime()
	for b.Loop() {
		again()
	}
	b.ReportMetric(float64(cpuTime()-begin)/float64(b.N)/65520, "cpu-ns/span")
	if st := g.Stats(); st.Dropped[dropNames[sentAgain]] > 0 || st.CompletedEdges == 0 {
		b.Fatalf("%+v", st)
	}
}

// BenchmarkReadNewTable includes finding out, once a Table, what rows count for.
func BenchmarkReadNewTable(b *testing.B) { benchRead(b, both(), true) }

// BenchmarkReadDimensions has four dimensions and a filter.
func BenchmarkReadDimensions(b *testing.B) {
	o := both()
	o.SpanMetrics.Dimensions = []string{"http.request.method", "http.route", "http.response.status_code", "host.name"}
	o.SpanMetrics.Filters = []Policy{{Exclude: &Match{Regex: true, Attributes: []Condition{{"name", "^/health"}}}}}
	benchRead(b, o, false)
}

// BenchmarkCollect is the cost of sending all series once.
func BenchmarkCollect(b *testing.B) {
	o := both()
	o.Source, o.Out, o.StaleAfter = &memoryStore{}, &discarder{}, 1<<62
	g, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	g.o.Source = fixedSource{shop(b, 65520)}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(5 * time.Second)
		g.lastRead = 0
		if err := g.Collect(context.Background(), now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(g.Stats().ActiveSeries), "ns/series")
}
