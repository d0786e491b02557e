package program

import (
	"context"
	"log/slog"

	"github.com/prometheus/prometheus/storage"

	"etude/metrics/generator"
	"etude/metrics/quota"
	"etude/store"
	"etude/telemetry"
)

// generatorRun is a running generator.
type generatorRun struct {
	*generator.Generator
	stop  context.CancelFunc
	ended chan struct{}
}

// startGenerator computes metrics from the spans that come to the store from now
// on, and stores them in out once ready is closed. They are labelled with the
// tenant, if there is one.
func startGenerator(f *generatorFlags, tenant string, shared *quota.Pool, st *store.Store, out storage.AppendableV2, ready <-chan struct{}, log *slog.Logger) (*generatorRun, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	o.Shared, o.Name = shared, tenant
	if tenant != "" {
		o.ExternalLabels = withLabel(o.ExternalLabels, f.TenantLabel, tenant)
		log = log.With("tenant", tenant)
	}
	o.Source, o.Out, o.Ready, o.Logger = st, out, ready, log
	o.Appended = func() int64 { return st.Stats().Appended }
	g, err := generator.New(o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &generatorRun{g, stop, make(chan struct{})}
	go func() {
		defer close(r.ended)
		g.Run(ctx)
	}()
	return r, nil
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

// close stores what has been counted a last time. What fills the store has been
// stopped before; the storage is closed afterwards.
func (r *generatorRun) close() {
	if r != nil {
		r.stop()
		<-r.ended
	}
}

// openGenerators computes metrics from the spans of each store: of the only one,
// or of every tenant's, whenever it opens.
func (b *backendRun) openGenerators() error {
	if b.prometheus == nil {
		return nil
	}
	shared := quota.New(b.cmd.Generator.MaxTotal, b.cmd.MaxTenants)
	start := func(tenant string, st *store.Store) (*generatorRun, error) {
		return startGenerator(&b.cmd.Generator, tenant, shared, st, b.prometheus.Appendable(), b.prometheus.Started(), b.log)
	}
	if b.tenants != nil {
		return b.tenants.generate(start)
	}
	var err error
	b.generator, err = start("", b.store)
	return err
}

// closeGenerators stores what has been counted a last time.
func (b *backendRun) closeGenerators() {
	b.eachStore(func(_ string, s *tenantStore) { s.generator.close() })
}

// generatorSamples are those of one generator, with its tenant for a label if it
// has one.
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
	gauge("pending_spans", "Spans read that no stored collection has counted yet.", s.Pending)
	for _, reason := range sortedKeys(s.Dropped) {
		counter("dropped_spans_total", "Spans left out of the computed metrics, by reason.", s.Dropped[reason], telemetry.Label{Name: "reason", Value: reason})
	}
	gauge("active_series", "Series computed from spans.", s.ActiveSeries)
	counter("removed_series_total", "Series that ended, since they had no span for long.", s.RemovedSeries)
	overflow := func(limit string, n int64) {
		counter("overflow_updates_total", "Updates of series that stand for many label sets, by the limit reached.", n, telemetry.Label{Name: "limit", Value: limit})
	}
	overflow("active_series", s.OverflowUpdates)
	overflow("label_values", s.OverflowLabels)
	gauge("open_edges", "Calls of which one side has been seen.", s.OpenEdges)
	edges := func(end string, n int64) {
		counter("edges_total", "Calls seen, by how they ended: complete, with a virtual node, or expired.", n, telemetry.Label{Name: "end", Value: end})
	}
	edges("complete", s.CompletedEdges)
	edges("virtual_node", s.VirtualEdges)
	edges("expired", s.ExpiredEdges)
	counter("collections_total", "Collections stored.", s.Collections)
	counter("failed_collections_total", "Collections that could not be stored; the next one makes up for them.", s.FailedCollections)
	counter("samples_total", "Samples stored.", s.Samples)
	counter("refused_samples_total", "Samples that the storage found out of order or out of bounds.", s.RefusedSamples)
	counter("refused_exemplars_total", "Exemplars that the storage did not take.", s.RefusedExemplars)
}
