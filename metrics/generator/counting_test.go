package generator

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// sent is a span with what is known of its resource.
type sent struct {
	*tracepb.Span
	service, zone string
}

// randomSpans are traces of nested calls among five services, some spans missing,
// some resent.
func randomSpans(rng *rand.Rand, traces int) (spans []sent) {
	for traceNo := range traces {
		id := binary.BigEndian.AppendUint64(make([]byte, 8), uint64(traceNo+1)*0x9e3779b97f4a7c15)
		for n := range 1 + rng.IntN(12) {
			s := sent{service: fmt.Sprint("service-", rng.IntN(5)), zone: [...]string{"", "eu", "us"}[rng.IntN(3)]}
			s.Span = &tracepb.Span{TraceId: id, SpanId: binary.BigEndian.AppendUint64(nil, uint64(n+1)), Name: fmt.Sprint("op-", rng.IntN(4)), Kind: tracepb.Span_SpanKind(rng.IntN(6)),
				Attributes: []*common.KeyValue{attributeOf("noise", fmt.Sprint("x", rng.Uint32()))}}
			if rng.IntN(40) == 0 {
				s.service = ""
			}
			if n > 0 {
				s.ParentSpanId = binary.BigEndian.AppendUint64(nil, uint64(1+rng.IntN(n)))
			}
			if rng.IntN(3) == 0 {
				s.Status = &tracepb.Status{Code: tracepb.Status_StatusCode(rng.IntN(3))}
			}
			if rng.IntN(2) == 0 {
				s.Attributes = append(s.Attributes, attributeOf("tier", fmt.Sprint(rng.IntN(3))))
			}
			if rng.IntN(8) == 0 {
				s.Attributes = append(s.Attributes, attributeOf("peer.service", fmt.Sprint("peer-", rng.IntN(2))))
			}
			if rng.IntN(10) == 0 {
				s.Attributes = append(s.Attributes, attributeOf("db.system", "redis"))
			}
			end := uint64(time.Now().UnixNano())
			s.EndTimeUnixNano, s.StartTimeUnixNano = end, end-uint64(rng.ExpFloat64()*float64(200*time.Millisecond))
			spans = append(spans, s)
		}
	}
	rng.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
	return spans
}

func (s *sent) attr(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if _, number := a.Value.Value.(*common.AnyValue_IntValue); number {
				return fmt.Sprint(a.Value.GetIntValue())
			}
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func (s *sent) seconds() float64 {
	return time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano).Seconds()
}

// tally is metrics counted by hand: the text of a series without le, _bucket
// included, to its value.
type tally map[string]float64

func (t tally) add(v float64, name string, pairs ...string) {
	var ls []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			ls = append(ls, pairs[i], pairs[i+1])
		}
	}
	t[labels.FromStrings(append(ls, model.MetricNameLabel, name)...).String()] += v
}

func (t tally) observe(v float64, bounds []float64, name string, pairs ...string) {
	t.add(v, name+"_sum", pairs...)
	t.add(1, name+"_count", pairs...)
	for _, bound := range append(bounds, math.Inf(1)) {
		hit := 0.0
		if v <= bound {
			hit = 1
		}
		t.add(hit, name+"_bucket", append(pairs, "le", boundText(bound))...)
	}
}

func countByHand(spans []sent) tally {
	t := tally{}
	bounds, edgeBounds := doubling(0.002, 14), doubling(0.1, 8)
	for _, s := range spans {
		pairs := []string{"service", s.service, "span_name", s.Name, "span_kind", s.Kind.String(), "status_code", s.Status.GetCode().String(), "zone", s.zone, "tier", s.attr("tier")}
		t.add(1, "traces_spanmetrics_calls_total", pairs...)
		t.add(float64(proto.Size(s.Span)), "traces_spanmetrics_size_total", pairs...)
		t.observe(s.seconds(), bounds, "traces_spanmetrics_latency", pairs...)
	}
	for _, e := range edgesByHand(spans) {
		pairs := []string{"client", e.client, "server", e.server, "connection_type", e.connection}
		t.add(1, "traces_service_graph_request_total", pairs...)
		if e.failed {
			t.add(1, "traces_service_graph_request_failed_total", pairs...)
		}
		t.observe(e.serverTime, edgeBounds, "traces_service_graph_request_server_seconds", pairs...)
		t.observe(e.clientTime, edgeBounds, "traces_service_graph_request_client_seconds", pairs...)
	}
	return t
}

type handEdge struct {
	client, server, connection string
	clientTime, serverTime     float64
	failed                     bool
}

// edgesByHand pairs the spans in the order in which they came, with a loop over
// all that wait.
func edgesByHand(spans []sent) (edges []handEdge) {
	type half struct {
		key    string
		s      sent
		calls  bool
		called bool
	}
	var waiting []half
	failed := func(s sent) bool { return s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR }
	messaging := func(s sent) bool {
		return s.Kind == tracepb.Span_SPAN_KIND_PRODUCER || s.Kind == tracepb.Span_SPAN_KIND_CONSUMER
	}
	for _, s := range spans {
		h := half{s: s, calls: s.Kind == tracepb.Span_SPAN_KIND_CLIENT || s.Kind == tracepb.Span_SPAN_KIND_PRODUCER,
			called: s.Kind == tracepb.Span_SPAN_KIND_SERVER || s.Kind == tracepb.Span_SPAN_KIND_CONSUMER}
		if s.service == "" || !h.calls && !h.called {
			continue
		}
		h.key = fmt.Sprintf("%x %x", s.TraceId, s.SpanId)
		if h.called {
			h.key = fmt.Sprintf("%x %x", s.TraceId, s.ParentSpanId)
		}
		other := -1
		for i, w := range waiting {
			if other < 0 && w.key == h.key && (h.calls || w.calls) && len(s.SpanId) > 0 && !(h.called && s.ParentSpanId == nil) {
				other = i
			}
		}
		switch {
		case h.calls && s.attr("db.system") != "":
			e := handEdge{client: s.service, server: s.attr("peer.service"), connection: toDatabase, clientTime: s.seconds(), serverTime: s.seconds(), failed: failed(s)}
			if e.server == "" {
				e.server = "redis"
			}
			if other >= 0 {
				e.failed = e.failed || failed(waiting[other].s)
				waiting = slices.Delete(waiting, other, other+1)
			}
			edges = append(edges, e)
		case other < 0:
			waiting = append(waiting, h)
		case waiting[other].calls == h.calls: // a second server of one client: the newer one counts
			h.s.Span = proto.Clone(h.s.Span).(*tracepb.Span)
			if failed(waiting[other].s) {
				setStatus(h.s.Span).Code = tracepb.Status_STATUS_CODE_ERROR
			}
			waiting[other] = h
		default:
			c, d := waiting[other].s, s
			if h.calls {
				c, d = d, c
			}
			e := handEdge{client: c.service, server: d.service, clientTime: c.seconds(), serverTime: d.seconds(), failed: failed(c) || failed(d)}
			if messaging(c) || messaging(d) {
				e.connection = throughMessages
			}
			edges = append(edges, e)
			waiting = slices.Delete(waiting, other, other+1)
		}
	}
	for _, w := range waiting {
		e := handEdge{connection: virtualNode, failed: failed(w.s)}
		peer := w.s.attr("peer.service")
		if peer == "" {
			peer = w.s.attr("db.system")
		}
		switch {
		case w.calls && peer != "":
			e.client, e.server, e.clientTime = w.s.service, peer, w.s.seconds()
		case w.called && w.s.ParentSpanId == nil:
			e.client, e.server, e.serverTime = peer, w.s.service, w.s.seconds()
			if peer == "" {
				e.client = unknownCaller
			}
		default:
			continue
		}
		edges = append(edges, e)
	}
	return edges
}

// TestAgreesWithCountingByHand sends random spans in random order and pieces over
// several Tables, read at random moments, and compares every counter and bucket. Some
// spans come again, in the same Table or a later one.
func TestAgreesWithCountingByHand(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			source, out := &memoryStore{}, &recorder{}
			o := both()
			o.Source, o.Out, o.ExternalLabels = source, out, map[string]string{instanceLabel: ""}
			o.SpanMetrics.Dimensions = []string{"zone", "tier"}
			g, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			spans, resent := randomSpans(rng, 60), int64(0)
			for rest := spans; len(rest) > 0; {
				n := min(len(rest), 1+rng.IntN(50))
				sendRandomly(t, source, rest[:n], rng.IntN(3) == 0)
				again := rest[:n]
				rest = rest[n:]
				switch rng.IntN(4) {
				case 0:
					source.seal()
					sendRandomly(t, source, again, false)
					resent += int64(n)
				case 1:
					g.Read(time.Now())
				}
			}
			g.Read(time.Now())
			time.Sleep(11 * time.Second)
			if err := g.Collect(context.Background(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if dropped := g.Stats().Dropped[dropNames[sentAgain]]; dropped != resent || resent == 0 {
				t.Errorf("seed %d: %d spans were sent again, %d are counted as such", seed, resent, dropped)
			}
			got := tally{}
			for _, s := range out.take() {
				got[s.labels.String()] = s.value // the zero comes first
			}
			compareTallies(t, seed, countByHand(spans), got)
		})
	}
}

func compareTallies(t *testing.T, seed uint64, want, got tally) {
	if len(want) < 1000 {
		t.Errorf("seed %d: only %d series to compare", seed, len(want))
	}
	for series, v := range want {
		if g, ok := got[series]; !ok || math.Abs(g-v) > 1e-9 {
			t.Errorf("seed %d: %s is %v (there: %v), by hand %v", seed, series, g, ok, v)
		}
		delete(got, series)
	}
	for series, v := range got {
		t.Errorf("seed %d: %s is %v, and not there by hand", seed, series, v)
	}
}

// sendRandomly sends spans, twice when a client would have lost the answer.
func sendRandomly(t *testing.T, source *memoryStore, spans []sent, twice bool) {
	var resources []*tracepb.ResourceSpans
	for _, s := range spans {
		r := &respb.Resource{}
		for _, a := range [][2]string{{"service.name", s.service}, {"zone", s.zone}} {
			if a[1] != "" {
				r.Attributes = append(r.Attributes, attributeOf(a[0], a[1]))
			}
		}
		resources = append(resources, &tracepb.ResourceSpans{Resource: r, ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{s.Span}}}})
	}
	if added := source.add(t, resources...); added != len(spans) {
		t.Fatalf("%d of %d spans are new", added, len(spans))
	}
	if twice && source.add(t, resources...) != 0 {
		t.Fatal("spans sent twice are kept twice")
	}
}

// TestEdgeStoreIsBounded: one service may fill two thirds of one half of the store, the
// next one two thirds of what is left of that half. Then all expire, and both fill it again.
func TestEdgeStoreIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &memoryStore{}
		g, err := New(Options{Source: source, Out: &discarder{}, Processors: []Processor{ServiceGraphs}})
		if err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			var b strings.Builder
			for i := range 10001 + 3335 {
				service := "a"
				if i > 10000 {
					service = "b"
				}
				fmt.Fprintf(&b, "trace=%x span=%x service=%s kind=client\n", round+1, i+1, service)
			}
			source.add(t, spansOf(t, b.String())...)
			g.Read(time.Now())
			st := g.Stats()
			if st.OpenEdges != 13334 || st.Dropped[dropNames[edgesFull]] != int64(2*(round+1)) || st.ExpiredEdges != int64(13334*round) {
				t.Errorf("round %d: %+v", round, st)
			}
			time.Sleep(10 * time.Second)
			g.Read(time.Now())
			if open, places := g.Stats().OpenEdges, len(g.graph.edges.places); open != 0 || places != 13334 || len(g.graph.edges.byKey) != 0 {
				t.Errorf("round %d: %d edges open after 10 s, %d places", round, open, places)
			}
		}
	})
}

// TestReadWhileStoreGrows reads, collects and asks for Stats while spans come;
// it is for the race detector, and for the sum at the end.
func TestReadWhileStoreGrows(t *testing.T) {
	t.Parallel()
	source, out := &memoryStore{}, &recorder{}
	g, err := New(Options{Source: source, Out: out, Appended: source.Appended, Processors: []Processor{SpanMetricsCount, ServiceGraphs}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			source.add(t, spansOf(t, demoTrace(i+1))...)
			if i%30 == 29 {
				source.seal()
			}
		}
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		_ = g.Stats()
		if err := g.Collect(context.Background(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]float64{}
	for _, s := range out.take() {
		last[s.labels.String()] = s.value
	}
	sum := 0.0
	for series, v := range last {
		if strings.Contains(series, "traces_spanmetrics_calls_total") {
			sum += v
		}
	}
	if st := g.Stats(); sum != 700 || st.Spans != 700 || st.CompletedEdges != 200 || st.Missed != 0 {
		t.Errorf("counted %v spans, stats %+v; want 700 spans and 200 edges", sum, st)
	}
}
