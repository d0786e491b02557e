package query

import (
	"context"
	"fmt"

	"etude/tenant"
	"etude/trace"
	"etude/traceql/eval"
)

// Tenants returns the Source of each tenant, or nil for a tenant without spans.
type Tenants interface {
	Source(id string) trace.Source
}

// NewForTenants returns an Engine that reads the spans of all tenants of the context, and none for a context without
// tenants. A trace of several tenants is one trace.
func NewForTenants(t Tenants, o Options) *Engine {
	e := New(nil, o)
	e.sources = func(ctx context.Context) (out []trace.Source) {
		for _, id := range tenant.Of(ctx) {
			if src := t.Source(id); src != nil {
				out = append(out, src)
			}
		}
		return out
	}
	return e
}

// snapshot takes a snapshot of all sources that a context may read.
func (e *Engine) snapshot(ctx context.Context) (trace.Snapshot, error) {
	sources := e.sources(ctx)
	if len(sources) == 1 { // Fast path: all but reads of several tenants.
		return snapshotOf(ctx, sources[0])
	}
	var all []trace.Snapshot
	for _, src := range sources {
		s, err := snapshotOf(ctx, src)
		if err != nil {
			trace.Join(all...).Close()
			return nil, err
		}
		all = append(all, s)
	}
	return trace.Join(all...), nil
}

// parts returns the parts of a snapshot for a query. Needs is as in [eval.NewParts].
func (e *Engine) parts(j *Job, snap trace.Snapshot, needs func() (rows, whole *trace.Need)) *eval.Parts {
	return eval.NewParts(j.Context(), snap, needs, eval.Keep{Memory: &j.memory, Places: &e.places, Facts: e.facts, Searched: j.searched, Open: int(e.room.reserve), Room: &j.open})
}

func snapshotOf(ctx context.Context, src trace.Source) (trace.Snapshot, error) {
	s, err := src.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("take a snapshot of the stored spans: %w", err)
	}
	return s, nil
}
