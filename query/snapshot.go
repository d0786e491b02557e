package query

import (
	"context"
	"fmt"
	"slices"

	"etude/tenant"
	"etude/trace"
	"etude/traceql/eval"
)

// Tenants hands out the Source of each tenant; nil for a tenant that has no spans.
type Tenants interface {
	Source(id string) trace.Source
}

// NewForTenants returns an Engine that reads what the tenants of the context
// have, all together, and nothing for a context without tenants. A trace of
// several tenants is one trace.
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

// snapshot takes a snapshot of all that a context may read. Parts of several
// tenants follow each other.
func (e *Engine) snapshot(ctx context.Context) (trace.Snapshot, error) {
	sources := e.sources(ctx)
	if len(sources) == 1 { // Fast path: all but reads of several tenants.
		return snapshotOf(ctx, sources[0])
	}
	all := &joined{}
	for _, src := range sources {
		s, err := snapshotOf(ctx, src)
		if err != nil {
			all.Close()
			return nil, err
		}
		all.snaps, all.first = append(all.snaps, s), append(all.first, len(all.parts))
		all.parts = append(all.parts, s.Parts()...)
	}
	return all, nil
}

// parts returns the parts of a snapshot for a query. Rows declares what is read part by
// part, whole what is read of traces besides.
func (e *Engine) parts(j *Job, snap trace.Snapshot, rows, whole *trace.Need) *eval.Parts {
	return eval.NewParts(j.Context(), snap, rows, whole, eval.Keep{Memory: j.memory, Places: &e.places, Facts: e.facts})
}

func snapshotOf(ctx context.Context, src trace.Source) (trace.Snapshot, error) {
	s, err := src.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("take a snapshot of the stored spans: %w", err)
	}
	return s, nil
}

// joined is several snapshots as one.
type joined struct {
	snaps []trace.Snapshot
	first []int // the number of each snapshot's first part
	parts []trace.Part
}

func (j *joined) Parts() []trace.Part { return j.parts }

// of returns the snapshot of a part, and the part's number there.
func (j *joined) of(part int) (trace.Snapshot, int) {
	i, _ := slices.BinarySearch(j.first, part+1) // the first snapshot that begins after the part
	return j.snaps[i-1], part - j.first[i-1]
}

func (j *joined) Excludes(part int, c trace.Condition) bool {
	s, own := j.of(part)
	return s.Excludes(own, c)
}

func (j *joined) Open(ctx context.Context, part int, need *trace.Need) (*trace.View, error) {
	s, own := j.of(part)
	return s.Open(ctx, own, need)
}

func (j *joined) Find(ctx context.Context, id trace.TraceID) (parts []int, _ error) {
	for i, s := range j.snaps {
		found, err := s.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, part := range found {
			parts = append(parts, j.first[i]+part)
		}
	}
	return parts, nil
}

func (j *joined) Close() {
	for _, s := range j.snaps {
		s.Close()
	}
}
