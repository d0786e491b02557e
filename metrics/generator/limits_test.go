package generator

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"etude/metrics/quota"
)

// flooded is a generator with the limits that the program has by default.
type flooded struct {
	*Generator
	t      *testing.T
	source *memoryStore
	out    *recorder
	log    *strings.Builder
	sent   int
	seen   []sample // of the last collection
}

func newFlooded(t *testing.T, change func(*Options)) *flooded {
	f := &flooded{t: t, source: &memoryStore{}, out: &recorder{}, log: &strings.Builder{}}
	o := both()
	o.Source, o.Out, o.MaxSeries, o.MaxLabelValues = f.source, f.out, 50_000, 500
	o.NativeHistograms, o.Logger = Both, slog.New(slog.NewTextHandler(f.log, nil))
	if change != nil {
		change(&o)
	}
	var err error
	if f.Generator, err = New(o); err != nil {
		t.Fatal(err)
	}
	return f
}

// send makes n spans of a format with the number of the span, and reads them.
func (f *flooded) send(n int, format string) {
	f.t.Helper()
	var b strings.Builder
	for i := range n {
		f.sent++
		fmt.Fprintf(&b, "trace=%x span=1 "+format+"\n", f.sent, i)
	}
	f.source.add(f.t, spansOf(f.t, b.String())...)
	f.Read(time.Now())
	f.source.seal()
	f.source.drop()
}

// found collects and sums the last values of a series with a label.
func (f *flooded) found(name, label, value string) (sum float64) {
	f.t.Helper()
	if err := f.Collect(context.Background(), time.Now()); err != nil {
		f.t.Fatal(err)
	}
	last := map[string]float64{}
	f.seen = f.out.take()
	for _, s := range f.seen {
		if s.labels.Get(model.MetricNameLabel) == name && s.labels.Get(label) == value {
			last[s.labels.String()] = s.value
		}
	}
	for _, v := range last {
		sum += v
	}
	return sum
}

const callsTotal = "traces_spanmetrics_calls_total"

// TestFloodsLeaveRoom: whatever a sender may choose, 3,000 of it leave a new
// service its series, the flood takes at most a third of all, and no span is lost
// from the sums.
func TestFloodsLeaveRoom(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, format := range map[string]string{
		"span names":            "service=edge kind=server name=host-%d.example",
		"span names of clients": "service=edge kind=client name=n%d peer.service=p%[1]d",
		"peers":                 "service=edge kind=client name=call peer.service=peer-%d",
		"callers of a server":   "service=edge kind=server name=serve peer.service=peer-%d",
		"databases":             "service=edge kind=client name=query db.name=db-%d",
		"dimensions":            "service=edge kind=server name=get http.route=/r/%d",
		"resources":             "service=edge kind=server name=get resource.zone=zone-%d",
		"long names":            "service=edge kind=server name=" + long + "%d",
		"services":              "service=svc-%d kind=server name=get",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlooded(t, func(o *Options) {
				o.SpanMetrics.Dimensions, o.ServiceGraph.Dimensions = []string{"http.route"}, []string{"zone"}
				o.SpanMetrics.TargetInfo, o.SpanMetrics.NoInstance = true, true
			})
			f.send(3000, format)
			if st := f.Stats(); st.ActiveSeries > 17_000 {
				t.Errorf("the flood has %d series", st.ActiveSeries)
			}
			if name != "services" {
				f.send(1, "service=shop kind=server name=buy-%d")
				f.Read(time.Now().Add(rootWait + time.Second))
				if got := f.found(callsTotal, "service", "shop"); got != 1 {
					t.Errorf("the new service has %v calls", got)
				}
				if got := f.found("traces_service_graph_request_total", "server", "shop"); got != 1 {
					t.Errorf("the new service has %v requests in the graph", got)
				}
			}
			sum := f.found(callsTotal, "span_kind", "SPAN_KIND_SERVER") + f.found(callsTotal, "span_kind", "SPAN_KIND_CLIENT") + f.found(callsTotal, overflowLabel, "true")
			if int(sum) != f.sent {
				t.Errorf("%v calls counted, %d sent", sum, f.sent)
			}
		})
	}
}

// TestFloodOfServices: 10,000 names of services take 500 places. A new service
// counts under the overflow's name for some seconds.
func TestFloodOfServices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t, nil)
		f.send(10_000, "service=svc-%d kind=server name=get")
		if n := len(f.registry.owners); n != 501 {
			t.Errorf("%d services have series, want 500 and the overflow", n)
		}
		if got := f.found(callsTotal, "service", overflowValue); got != 9500 {
			t.Errorf("%v calls are in the overflow, want 9500", got)
		}
		for i := range 6 { // the new service goes on, as services do
			time.Sleep(5 * time.Second)
			f.send(1, "service=shop kind=server name=buy")
			if got := f.found(callsTotal, "service", "shop"); (got > 0) != (i > 1) {
				t.Fatalf("%v calls after %d s", got, 5*(i+1))
			}
		}
		if st := f.Stats(); st.ActiveSeries > 1000 {
			t.Errorf("%d series half a minute after the flood", st.ActiveSeries)
		}
	})
}

// TestPressureEndsOnlyTheFlood: a service over its label limit loses idle series
// early; a quiet service beside it keeps its own.
func TestPressureEndsOnlyTheFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t, func(o *Options) { o.MaxLabelValues = 50 })
		f.send(1, "service=quiet kind=server name=get")
		for range 30 {
			f.send(60, "service=edge kind=server name=%d")
			time.Sleep(5 * time.Second)
			if err := f.Collect(context.Background(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if f.registry.owners["quiet"] == nil {
			t.Error("the quiet service has lost its series")
		}
	})
}

// TestNamesThatComeAndGo: for three hours a flood sends new names, once each, while
// the series of the old ones end. A series that has ended stays in the memory of
// the database for hours, so the number of all counts.
func TestNamesThatComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, made := newFlooded(t, func(o *Options) { o.MaxSeries, o.NativeHistograms = 5000, NativeOnly }), map[string]bool{}
		for minute := range 180 {
			f.send(100, fmt.Sprintf("service=edge kind=internal name=n%%d-%d", minute))
			f.send(1, fmt.Sprintf("service=new-%d kind=internal name=get", minute/10))
			if got := f.found(callsTotal, "service", fmt.Sprint("new-", minute/10)); got == 0 {
				t.Fatalf("minute %d: the new service has no series", minute)
			}
			for _, s := range f.seen {
				made[s.labels.String()] = true
			}
			time.Sleep(time.Minute)
		}
		if n := len(made); n > 4*5000 || n < 5000 {
			t.Errorf("%d series in three hours", n)
		}
	})
}

// TestTenantsShare: one tenant takes a third of what all may have, and another still
// finds room; a generator that ends gives its series back.
func TestTenantsShare(t *testing.T) {
	t.Parallel()
	shared := quota.New(10_000, 100)
	limits := func(name string) func(*Options) {
		return func(o *Options) { o.Shared, o.Name, o.MaxLabelValues = shared, name, 0 }
	}
	greedy, other := newFlooded(t, limits("greedy")), newFlooded(t, limits("other"))
	greedy.send(1000, "service=edge kind=internal name=n%d")
	if n := shared.Used(); n < 3200 || n > 3400 {
		t.Errorf("the first tenant has %d series of 10,000", n)
	}
	other.send(1, "service=shop kind=internal name=buy")
	if got := other.found(callsTotal, "service", "shop"); got != 1 {
		t.Errorf("the other tenant has %v calls", got)
	}
	for _, f := range []*flooded{greedy, other} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f.Run(ctx)
	}
	if n := shared.Used(); n != 0 {
		t.Errorf("%d series are taken after the end", n)
	}
}

// TestLimitsAreLogged: once when a limit is reached, with the flag and the sender,
// and again a minute later at the earliest.
func TestLimitsAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t, func(o *Options) { o.MaxSeries = 3000 })
		for i := range 4 {
			f.send(600, "service=edge kind=internal name=n%d-"+fmt.Sprint(i))
			f.send(600, "service=shop kind=internal name=n%d-"+fmt.Sprint(i))
			time.Sleep(25 * time.Second)
		}
		if want := "limit=active_series flag=--metrics.max-active-series max=3000 service=edge"; !strings.Contains(f.log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
		if n := strings.Count(f.log.String(), "limit=active_series"); n != 2 {
			t.Errorf("%d warnings in 75 s, want 2", n)
		}
		if t.Failed() {
			t.Log(f.log)
		}
	})
}

// TestTargetInfoIsBounded: a resource with 2,000 attributes.
func TestTargetInfoIsBounded(t *testing.T) {
	t.Parallel()
	f := newFlooded(t, func(o *Options) { o.SpanMetrics.TargetInfo = true })
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, " resource.key-%05d=v", i)
	}
	f.send(1, "service=shop kind=server name=get"+b.String())
	if err := f.Collect(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.out.take() {
		if s.labels.Get(model.MetricNameLabel) != "traces_target_info" {
			continue
		}
		if n := s.labels.Len(); n != maxTargetLabels+3 { // job, name and instance of the generator
			t.Errorf("%d labels", n)
		}
		return
	}
	t.Error("there is no traces_target_info")
}
