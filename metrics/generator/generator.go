package generator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/storage"
)

// Generator computes metrics from spans. Its methods are safe for concurrent use.
type Generator struct {
	o     Options
	count counters

	// mu protects the fields below. Only its holder reads or collects.
	mu       sync.Mutex
	registry *registry
	spans    *spanMetrics  // nil when off
	graph    *serviceGraph // nil when off
	info     *info
	keys     [classes][]string // span attributes that the rows of a class depend on

	cursors  map[uint64]*cursor // by Table
	round    uint64             // number of the current reading
	lastRead int64              // unix ns
	appended int64              // by the source, when the generator was made
	taken    int64              // rows read
	stored   int64              // rows counted in stored collections

	collected int64  // time of the last stored collection, unix ms
	began     int64  // time when the generator was made, unix ms
	observed  *group // ObservedMetric, which no span updates
}

// readEvery is the interval for reading new spans between collections. It limits how many spans are missed when
// the store is so small that it drops them at once.
const readEvery = time.Second

// New returns a generator for the spans that reach the source from now on. The error names the invalid option.
func New(o Options) (*Generator, error) {
	g, err := build(o)
	if err == nil && (o.Source == nil || o.Out == nil) {
		err = errors.New("metrics generator: it needs a source of spans and a storage for its metrics")
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	g.lastRead, g.collected, g.began = now.UnixNano(), now.UnixMilli(), now.UnixMilli()
	for _, v := range o.Source.Head() {
		g.cursorOf(v).rows = v.Spans()
	}
	g.appended = g.spansAppended()
	return g, nil
}

// Check returns the error that New would return for the options. A source and a storage may still be missing.
func (o Options) Check() error {
	_, err := build(o)
	return err
}

// build makes the processors that the options name.
func build(o Options) (*Generator, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("metrics generator: %w", err)
	}
	g := &Generator{o: o, registry: newRegistry(&o), info: newInfo(&o), cursors: map[uint64]*cursor{}}
	var err error
	if o.has(SpanMetrics, SpanMetricsCount, SpanMetricsLatency, SpanMetricsSize) {
		if g.spans, err = newSpanMetrics(&g.o); err != nil {
			return nil, fmt.Errorf("metrics generator: %w", err)
		}
	}
	if o.has(ServiceGraphs) {
		if g.graph, err = newServiceGraph(&g.o, g.registry, &g.count); err != nil {
			return nil, fmt.Errorf("metrics generator: %w", err)
		}
	}
	g.findKeys()
	help := "Seconds in which metrics were computed from spans. A count of spans by it is their rate while they were observed."
	g.observed = &group{schema: &schema{counters: [2]*family{newFamily(ObservedMetric, model.MetricTypeCounter, "seconds", help)}}}
	return g, nil
}

// ObservedMetric counts the seconds in which a generator has computed metrics. To get the rate of spans in a
// window that began before the generator, divide their count by the metric's increase; rate() would divide by
// the whole window.
const ObservedMetric = "etude_generator_observed_seconds_total"

// findKeys lists the span attributes to pick for each class.
func (g *Generator) findKeys() {
	var own, calling, called []string
	if g.spans != nil {
		own = g.spans.spanKeys()
	}
	if g.graph != nil {
		calling, called = g.graph.callerKeys(), g.graph.calleeKeys()
		own = slices.Concat(own, spanKeys(g.graph.filters))
	}
	g.keys = [classes][]string{inner: own, caller: slices.Concat(own, calling), callee: slices.Concat(own, called)}
}

func (g *Generator) spansAppended() int64 {
	if g.o.Appended == nil {
		return 0
	}
	return g.o.Appended()
}

// Run reads spans once a second and collects once an interval until the context ends. Then it collects a last
// time, within the time that a storage needs. Before Options.Ready it only reads; the first collection includes
// those spans. Run does not count spans that reach the source while it returns: stop everything that fills the
// source first, and close the storage afterwards.
func (g *Generator) Run(ctx context.Context) {
	reads, collections := time.NewTicker(min(readEvery, g.o.Interval)), time.NewTicker(g.o.Interval)
	defer reads.Stop()
	defer collections.Stop()
	for opens := g.o.Ready; ; {
		select {
		case <-ctx.Done():
			g.end(context.WithoutCancel(ctx), time.Now())
			return
		case <-opens:
			opens = nil
			g.beginAt(time.Now())
		case now := <-collections.C:
			if g.isReady() {
				g.collect(ctx, now)
			} else {
				g.Read(now)
			}
		case now := <-reads.C:
			g.Read(now)
		}
	}
}

// beginAt moves the zeros of series to the time when the storage opened. A queue to a remote end sends only
// samples that are newer than its start.
func (g *Generator) beginAt(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.collected = max(g.collected, now.UnixMilli())
}

func (g *Generator) isReady() bool {
	if g.o.Ready == nil {
		return true
	}
	select {
	case <-g.o.Ready:
		return true
	default:
		return false
	}
}

func (g *Generator) collect(ctx context.Context, now time.Time) {
	if err := g.Collect(ctx, now); err != nil && !errors.Is(err, context.Canceled) {
		g.o.Logger.Error("store generated metrics; trying again", "error", err, "next", g.o.Interval)
	}
}

// errNotReady means that the process ends before its storage has opened.
var errNotReady = errors.New("the metrics storage was not open yet")

// end collects a last time. If that fails, it logs how many spans are missing in the metrics.
func (g *Generator) end(ctx context.Context, now time.Time) {
	g.Read(now)
	g.countRoots(now.UnixNano())
	err := errNotReady
	if g.isReady() {
		err = g.Collect(ctx, now)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if lost := g.taken - g.stored; err != nil && lost > 0 {
		g.o.Logger.Warn("stopping: the newest spans are missing in the metrics computed from spans", "spans", lost, "error", err)
	}
	g.registry.release()
}

// countRoots counts the callees without a parent that still wait.
func (g *Generator) countRoots(now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.graph != nil {
		g.graph.expireRoots(now, now)
	}
}

// Read counts the spans that have arrived since the last call.
func (g *Generator) Read(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read(now.UnixNano())
}

func (g *Generator) read(now int64) {
	appended := g.spansAppended() // before Head: all these spans are in its Tables, unless dropped
	views := g.o.Source.Head()
	g.round++
	g.registry.now = time.Unix(0, now)
	for i, v := range views {
		c := g.cursorOf(v)
		c.round = g.round
		if v.Spans() > c.rows {
			g.advance(c, v, before(views, i, now), now)
		}
		if i < len(views)-1 {
			c.forgetEntries()
		}
	}
	for id, c := range g.cursors {
		if c.round != g.round {
			delete(g.cursors, id)
		}
	}
	if missed := appended - g.appended - g.taken; missed > g.count.missed.Load() {
		g.count.missed.Store(missed)
	}
	if g.graph != nil {
		g.graph.expire(now)
		g.count.openEdges.Store(int64(g.graph.edges.open()))
	}
	g.lastRead = max(g.lastRead, now)
	g.registry.series.warn(g.o.Logger, g.o.MaxSeries, time.Unix(0, now))
	g.registry.values.warn(g.o.Logger, g.o.MaxLabelValues, time.Unix(0, now))
	g.publish()
}

func (g *Generator) publish() {
	r := g.registry
	g.count.active.Store(int64(r.pool.Used()))
	g.count.pending.Store(g.taken - g.stored)
	g.count.overflowUpdates.Store(r.series.updates)
	g.count.labelUpdates.Store(r.values.updates)
}

// Collect reads the new spans and sends every active series to the storage, all with one timestamp: now in
// milliseconds, or a little later if that is not after the previous collection. Samples that the storage
// refuses as out of order or out of bounds are counted and left out. After any other error nothing of the
// collection is stored, and the next collection includes its counts.
func (g *Generator) Collect(ctx context.Context, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read(now.UnixNano())
	removed := g.registry.sweep(now, g.o.StaleAfter)
	t := &collection{g: g, app: g.o.Out.AppenderV2(ctx), at: max(now.UnixMilli(), g.collected+2), zeroAt: g.collected + 1}
	if err := t.send(removed); err != nil {
		g.count.failed.Add(1)
		return fmt.Errorf("collect metrics: %w", err)
	}
	g.collected, g.stored = t.at, g.taken
	g.count.collections.Add(1)
	g.count.samples.Add(t.samples)
	g.count.removed.Add(t.ended)
	g.publish()
	return nil
}

// refusable reports whether a storage's error concerns only one sample.
func refusable(err error) bool {
	for _, kind := range []error{storage.ErrOutOfOrderSample, storage.ErrOutOfBounds, storage.ErrTooOldSample, storage.ErrDuplicateSampleForTimestamp} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
