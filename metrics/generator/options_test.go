package generator

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"etude/trace"
)

// oneCollectionLater is when the next collection may be.
func (g *Generator) oneCollectionLater() time.Time { return time.UnixMilli(g.collected + 5000) }

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"metrics generator: it needs a source of spans":       func(o *Options) { o.Source = nil },
		`unknown processor "spans": want one of span-metrics`: func(o *Options) { o.Processors = []Processor{"spans"} },
		`unknown kind of histogram "x"`:                       func(o *Options) { o.NativeHistograms = "x" },
		"a duration of the generator is -1s":                  func(o *Options) { o.Slack = -time.Second },
		`external label "a-b"`:                                func(o *Options) { o.ExternalLabels = map[string]string{"a-b": "c"} },
		"buckets of the span metrics: bound 2 is 1":           func(o *Options) { o.SpanMetrics.Buckets = []float64{2, 1} },
		"buckets of the service graph: bound 1 is NaN":        func(o *Options) { o.ServiceGraph.Buckets = []float64{math.NaN()} },
		"a dimension has no name":                             func(o *Options) { o.SpanMetrics.Dimensions = []string{""} },
		`dimension "le": the label le has its own meaning`:    func(o *Options) { o.ServiceGraph.Dimensions = []string{"le"} },
		`dimension "job": the label job is in use`: func(o *Options) {
			o.SpanMetrics.Dimensions, o.SpanMetrics.TargetInfo = []string{"job"}, true
		},
		`dimension mapping "service": the label service is in use`: func(o *Options) {
			o.SpanMetrics.Mappings = []Mapping{{Name: "service", Source: []string{"a"}}}
		},
		`dimension mapping "a.b": the label a_b is in use`: func(o *Options) {
			o.SpanMetrics.Dimensions, o.SpanMetrics.Mappings = []string{"a-b"}, []Mapping{{Name: "a.b", Source: []string{"a"}}}
		},
		`dimension mapping "x": name the attributes`: func(o *Options) { o.SpanMetrics.Mappings = []Mapping{{Name: "x"}} },
		`dimension "a.b" of the service graph: the label a_b is in use`: func(o *Options) {
			o.ServiceGraph.Dimensions = []string{"a-b", "a.b"}
		},
		"filters of span metrics: a filter needs include":          func(o *Options) { o.SpanMetrics.Filters = []Policy{{}} },
		"filters of the service graph: a match needs at least one": func(o *Options) { o.ServiceGraph.Filters = []Policy{{Include: &Match{}}} },
	} {
		o := both()
		o.Source, o.Out = &memoryStore{}, &discarder{}
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestNativeAgreesWithPrometheus puts the same values into Prometheus' client
// library and compares all buckets.
func TestNativeAgreesWithPrometheus(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []float64{0.1, 2, 12, 60} {
		theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", NativeHistogramBucketFactor: 1.002, NativeHistogramMaxBucketNumber: 1 << 20})
		ours, sum := newSparse(), 0.0
		for range 3000 {
			v := math.Exp(rng.NormFloat64() * spread)
			switch rng.IntN(20) {
			case 0:
				v = 0
			case 1:
				v = math.Exp2(float64(rng.IntN(40) - 20))
			}
			ours.observe(v, 1)
			theirs.Observe(v)
			sum += v
		}
		h := ours.sample(sum)
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		var m dto.Metric
		if err := theirs.Write(&m); err != nil {
			t.Fatal(err)
		}
		want := map[int32]float64{} // in our schema
		index, count, at := int32(0), int64(0), 0
		for _, s := range m.Histogram.PositiveSpan {
			index += s.GetOffset()
			for range s.GetLength() {
				count += m.Histogram.PositiveDelta[at]
				if count > 0 {
					want[halfUp(index, m.Histogram.GetSchema()-ours.schema)] += float64(count)
				}
				index, at = index+1, at+1
			}
		}
		if ours.buckets > maxSparse || h.ZeroCount != float64(m.Histogram.GetZeroCount()) || h.Count != 3000 {
			t.Errorf("spread %v: %d buckets, %v zeros, %v values", spread, ours.buckets, h.ZeroCount, h.Count)
		}
		buckets := 0
		for i := h.PositiveBucketIterator(); i.Next(); buckets++ {
			if b := i.At(); want[b.Index] != b.Count {
				t.Errorf("spread %v: bucket %d has %v, want %v", spread, b.Index, b.Count, want[b.Index])
			}
		}
		if buckets != len(want) {
			t.Errorf("spread %v: %d buckets, want %d", spread, buckets, len(want))
		}
	}
}

// TestLabelValuesComeFree: a value that no series has any more makes room for another.
func TestLabelValuesComeFree(t *testing.T) {
	t.Parallel()
	o := Options{MaxLabelValues: 1}
	o.setDefaults()
	r := newRegistry(&o)
	k := &schema{id: spanSchema, counters: [2]*family{newFamily("x", "counter", "", "")}}
	name := func(v string) *group { return r.get(k, "shop", pairsOf("span_name", v)) }
	a := name("a")
	b := name("b")
	if b.labels[0].Value != overflowValue || name("c") != b || name("a") != a || r.pool.Used() != 2 {
		t.Errorf("groups %v, %v; %d series", a.labels, b.labels, r.pool.Used())
	}
	a.touch(1)
	b.touch(2)
	if gone := r.remove(func(g *group) bool { return g.updated < 2 }); len(gone) != 1 || gone[0] != a || r.pool.Used() != 1 || r.removals != 1 {
		t.Errorf("%d groups gone, %d series left", len(gone), r.pool.Used())
	}
	if c := name("c"); c.labels[0].Value != "c" {
		t.Errorf("value %s, want c: a is free", c.labels[0].Value)
	}
	if name("\xff") != nil {
		t.Error("a value that is not UTF-8 has a series")
	}
}

// TestInvalidText: a span whose labels are not UTF-8 is left out of that
// processor, with a reason; values are cut before they are judged.
func TestInvalidText(t *testing.T) {
	t.Parallel()
	table := trace.NewTable()
	_, w := table.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("s"))
	table.EndResource()
	scope, _ := table.AddScope([]byte("s"), 0, 0, 0, 0, 0)
	table.EndScope()
	now := time.Now()
	table.Arrived(now.UnixNano())
	for i, name := range []string{"\xff", strings.Repeat("é", maxValue/2) + "\xff", "good"} {
		table.AddSpan(&trace.Span{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: byte(i + 1)}, Scope: scope, Name: []byte(name),
			Start: uint64(now.UnixNano()), End: uint64(now.UnixNano())})
		table.EndSpan()
	}
	o := both()
	o.Source, o.Out = &memoryStore{}, &recorder{}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	g.o.Source = fixedSource{table.View()}
	g.Read(now)
	if st := g.Stats(); st.Dropped["invalid_utf8"] != 1 || len(g.registry.list) != 2 || len(g.registry.list[0].labels[1].Value) != maxValue {
		t.Errorf("stats %+v, %d label sets", st, len(g.registry.list))
	}
}
