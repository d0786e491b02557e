package block

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"etude/trace"
)

// manySpans returns a full Table like those of programs at work: 24 spans a trace in
// 6 services, 13 resource and 6 to 8 span attributes, 0.3 events a span.
func manySpans(t testing.TB) *trace.View {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	table := trace.NewTable()
	table.Arrived(1)
	const services = 6
	for n := range services {
		_, w := table.AddResource(fmt.Append(nil, n), 0, 0, 0)
		w.AddText([]byte("service.name"), trace.String, fmt.Appendf(nil, "service-%d", n))
		for k := range 12 {
			w.AddText(fmt.Appendf(nil, "resource.key.%d", k), trace.String, fmt.Appendf(nil, "value %d of %d", k, n))
		}
		table.EndResource()
		table.AddScope(fmt.Append(nil, n), uint32(n), table.Code([]byte("otelhttp")), table.Code([]byte("1.2.3")), 0, 0)
		table.EndScope()
	}
	start := uint64(1_700_000_000_000_000_000)
	for table.Spans() < trace.MaxRows-24 {
		s := trace.Span{}
		binary.BigEndian.PutUint64(s.TraceID[:], random.Uint64())
		binary.BigEndian.PutUint64(s.TraceID[8:], random.Uint64())
		start += uint64(random.IntN(1e7))
		for i := range 24 {
			s.Parent = s.SpanID
			binary.BigEndian.PutUint64(s.SpanID[:], random.Uint64())
			s.Start, s.Kind, s.Scope = start+uint64(i*1000), uint8(1+i%5), uint32(i/4)
			s.End = s.Start + uint64(random.ExpFloat64()*1e7)
			s.Name = fmt.Appendf(nil, "operation-%d", random.IntN(40))
			if s.Status = 0; random.IntN(50) == 0 {
				s.Status = 2
			}
			w := table.AddSpan(&s)
			if w == nil {
				t.Fatal("a span is there already")
			}
			addMany(table, w, random, &s)
		}
	}
	return table.View()
}

func addMany(table *trace.Table, w *trace.AttrWriter, random *rand.Rand, s *trace.Span) {
	w.AddText([]byte("http.method"), trace.String, []byte("GET"))
	w.AddText([]byte("http.target"), trace.String, fmt.Appendf(nil, "/api/v1/items/%d", random.IntN(2000)))
	w.AddNum([]byte("http.status_code"), trace.Int, uint64(200+random.IntN(3)))
	w.AddText([]byte("user.id"), trace.String, fmt.Appendf(nil, "user-%d", random.IntN(100_000)))
	w.AddText([]byte("net.peer.name"), trace.String, fmt.Appendf(nil, "host-%d", random.IntN(100)))
	w.AddNum([]byte("thread.id"), trace.Int, uint64(random.IntN(64)))
	if random.IntN(2) == 0 {
		w.AddNum([]byte("retry"), trace.Bool, 1)
		w.AddNum([]byte("load"), trace.Double, uint64(random.IntN(100)))
	}
	if random.IntN(3) == 0 {
		if e := table.AddEvent(s.Start+5, []byte("exception"), 0); e != nil {
			e.AddText([]byte("exception.message"), trace.String, fmt.Appendf(nil, "cannot do %d", random.IntN(100)))
			table.EndEvent()
		}
	}
	table.EndSpan()
}
