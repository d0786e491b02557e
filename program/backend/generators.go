package backend

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"etude/metrics/generator"
	"etude/metrics/quota"
	"etude/store"
	"etude/store/tenants"
	"etude/telemetry"
)

// generators holds the running generator of each tenant.
type generators struct {
	mu   sync.Mutex
	runs map[string]*generatorRun
}

// generatorRun is a running generator.
type generatorRun struct {
	*generator.Generator
	of     *generators
	tenant string
	stop   context.CancelFunc
	ended  chan struct{}
}

// openGenerators starts a generator for each store when the store opens. The generators write their metrics
// once Prometheus is ready.
func (b *backendRun) openGenerators() error {
	if b.prometheus == nil {
		return nil
	}
	b.generators.runs = map[string]*generatorRun{}
	shared := quota.New(b.cmd.Generator.MaxTotal, b.cmd.MaxTenants)
	return b.stores.Follow(func(t *tenants.Tenant) (tenants.Follower, error) { return b.startGenerator(t, shared) })
}

// startGenerator computes metrics from the spans that a tenant receives from now on.
func (b *backendRun) startGenerator(t *tenants.Tenant, shared *quota.Pool) (*generatorRun, error) {
	o, err := b.cmd.Generator.optionsFor(b.labelOf(t), t.Store, b.log)
	if err != nil {
		return nil, err
	}
	o.Shared, o.Out, o.Ready = shared, b.prometheus.Appendable(), b.prometheus.Started()
	r, err := runGenerator(o)
	if err != nil {
		return nil, err
	}
	r.of, r.tenant = &b.generators, t.ID
	b.generators.mu.Lock()
	defer b.generators.mu.Unlock()
	b.generators.runs[t.ID] = r
	return r, nil
}

// optionsFor returns the generator's options for a store. A tenant with a name becomes a label of its metrics.
func (f *GeneratorFlags) optionsFor(tenant string, st *store.Store, log *slog.Logger) (o generator.Options, err error) {
	if o, err = f.options(); err != nil {
		return o, err
	}
	o.Name, o.Logger = tenant, log
	if tenant != "" {
		o.ExternalLabels = withLabel(o.ExternalLabels, f.TenantLabel, tenant)
		o.Logger = log.With("tenant", tenant)
	}
	o.Source, o.Appended = st, func() int64 { return st.Stats().Appended }
	return o, nil
}

func runGenerator(o generator.Options) (*generatorRun, error) {
	g, err := generator.New(o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &generatorRun{Generator: g, of: &generators{}, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		g.Run(ctx)
	}()
	return r, nil
}

// get returns the generator of a tenant, or nil.
func (g *generators) get(id string) *generatorRun {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs[id]
}

// lastCollection limits the time a generator may take at shutdown: it reads the store, whose applier may hang,
// and writes to Prometheus.
const lastCollection = 5 * time.Second

// Close writes the last counts. Before, the caller stops everything that fills the store; afterwards, it closes
// the storage of metrics.
func (r *generatorRun) Close() {
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(lastCollection):
	}
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	if r.of.runs[r.tenant] == r {
		delete(r.of.runs, r.tenant)
	}
}

// withLabel returns a copy of labels with one more.
func withLabel(labels map[string]string, name, value string) map[string]string {
	more := map[string]string{name: value}
	for n, v := range labels {
		if n != name {
			more[n] = v
		}
	}
	return more
}

// generatorSamples yields the metrics of one generator. A tenant with a name becomes a label.
func generatorSamples(tenant string, s generator.Stats, yield func(telemetry.Sample)) {
	of := tenantLabels(tenant)
	counter := func(name, help string, v int64, labels ...telemetry.Label) {
		yield(telemetry.Sample{Name: "etude_generator_" + name, Help: help, Labels: append(labels, of...), Value: float64(v)})
	}
	gauge := func(name, help string, v int64) {
		yield(telemetry.Sample{Name: "etude_generator_" + name, Help: help, Gauge: true, Labels: of, Value: float64(v)})
	}
	counter("spans_total", "Spans read to compute metrics.", s.Spans)
	counter("missed_spans_total", "Spans dropped by the storage before metrics were computed from them.", s.Missed)
	gauge("pending_spans", "Spans read but not yet counted in a stored collection.", s.Pending)
	for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
		counter("dropped_spans_total", "Spans left out of the computed metrics, by reason.", s.Dropped[reason], telemetry.Label{Name: "reason", Value: reason})
	}
	gauge("active_series", "Series computed from spans.", s.ActiveSeries)
	counter("removed_series_total", "Series that ended because they had no span for --metrics.stale-after.", s.RemovedSeries)
	overflow := func(limit string, n int64) {
		counter("overflow_updates_total", "Updates of overflow series, which combine many label sets, by the limit reached.", n, telemetry.Label{Name: "limit", Value: limit})
	}
	overflow("active_series", s.OverflowUpdates)
	overflow("label_values", s.OverflowLabels)
	gauge("open_edges", "Calls that wait for their other side.", s.OpenEdges)
	edges := func(end string, n int64) {
		counter("edges_total", "Calls seen, by their end: complete, with a virtual node, or expired.", n, telemetry.Label{Name: "end", Value: end})
	}
	edges("complete", s.CompletedEdges)
	edges("virtual_node", s.VirtualEdges)
	edges("expired", s.ExpiredEdges)
	counter("collections_total", "Collections stored.", s.Collections)
	counter("failed_collections_total", "Collections that could not be stored; the next collection includes their counts.", s.FailedCollections)
	counter("samples_total", "Samples stored.", s.Samples)
	counter("refused_samples_total", "Samples that Prometheus refused as out of order or out of bounds.", s.RefusedSamples)
	counter("refused_exemplars_total", "Exemplars that Prometheus refused.", s.RefusedExemplars)
}
