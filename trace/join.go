package trace

import (
	"cmp"
	"context"
	"slices"
)

// joined combines several Snapshots.
type joined struct {
	snapshots []Snapshot
	parts     []Part
	from      []partOf
	place     [][]int // index into parts, for each part of each snapshot
}

// partOf identifies a part of one snapshot.
type partOf struct{ snapshot, part int }

// Join returns a Snapshot with the parts of all snapshots, sorted by arrival; on equal arrival, the parts of
// earlier snapshots come first. Closing it closes the snapshots.
func Join(snapshots ...Snapshot) Snapshot {
	if snapshots = filled(snapshots); len(snapshots) == 1 { // Fast path
		return snapshots[0]
	}
	j := &joined{snapshots: snapshots, place: make([][]int, len(snapshots))}
	for i, s := range snapshots {
		j.place[i] = make([]int, len(s.Parts()))
		for n := range s.Parts() {
			j.from = append(j.from, partOf{i, n})
		}
	}
	slices.SortStableFunc(j.from, func(a, b partOf) int { return compareArrival(j.part(a), j.part(b)) })
	for i, at := range j.from {
		j.parts = append(j.parts, *j.part(at))
		j.place[at.snapshot][at.part] = i
	}
	return j
}

// filled returns the snapshots that have parts, or the last one, and closes the others.
func filled(snapshots []Snapshot) []Snapshot {
	some := make([]Snapshot, 0, len(snapshots))
	for i, s := range snapshots {
		if len(s.Parts()) > 0 || i == len(snapshots)-1 && len(some) == 0 {
			some = append(some, s)
		} else {
			s.Close()
		}
	}
	return some
}

func (j *joined) part(at partOf) *Part { return &j.snapshots[at.snapshot].Parts()[at.part] }

func compareArrival(a, b *Part) int {
	return cmp.Or(cmp.Compare(a.FirstArrival, b.FirstArrival), cmp.Compare(a.LastArrival, b.LastArrival))
}

func (j *joined) Parts() []Part { return j.parts }

func (j *joined) Excludes(part int, c Condition) bool {
	at := j.from[part]
	return j.snapshots[at.snapshot].Excludes(at.part, c)
}

// ExcludesBoth is described at PairExcluder.
func (j *joined) ExcludesBoth(part int, a, b Condition) bool {
	at := j.from[part]
	p, ok := j.snapshots[at.snapshot].(PairExcluder)
	return ok && p.ExcludesBoth(at.part, a, b)
}

func (j *joined) Open(ctx context.Context, part int, need *Need) (*View, error) {
	at := j.from[part]
	return j.snapshots[at.snapshot].Open(ctx, at.part, need)
}

func (j *joined) OpenTrace(ctx context.Context, part int, id TraceID, need *Need) (*View, error) {
	at := j.from[part]
	return OpenTrace(ctx, j.snapshots[at.snapshot], at.part, id, need)
}

// Holds is described at Holder.
func (j *joined) Holds(part int, id TraceID) bool {
	at := j.from[part]
	return Holds(j.snapshots[at.snapshot], at.part, id)
}

// Tally is described at Tallier.
func (j *joined) Tally(ctx context.Context, part int) (*View, []uint32, error) {
	at := j.from[part]
	if t, ok := j.snapshots[at.snapshot].(Tallier); ok {
		return t.Tally(ctx, at.part)
	}
	return nil, nil, nil
}

// Pages is described at Pager.
func (j *joined) Pages(ctx context.Context, part int) ([]uint32, error) {
	if p, part := j.pager(part); p != nil {
		return p.Pages(ctx, part)
	}
	return nil, nil
}

// Seek is described at Pager.
func (j *joined) Seek(ctx context.Context, part int, c Condition) ([]bool, error) {
	if p, part := j.pager(part); p != nil {
		return p.Seek(ctx, part, c)
	}
	return nil, nil
}

// OpenPage is described at Pager.
func (j *joined) OpenPage(ctx context.Context, part, page int, need *Need) (*View, error) {
	if p, part := j.pager(part); p != nil {
		return p.OpenPage(ctx, part, page, need)
	}
	return nil, ErrUnpaged
}

// pager returns the snapshot that has a part and the part's number in it, or nil when the snapshot has no
// pages.
func (j *joined) pager(part int) (Pager, int) {
	at := j.from[part]
	p, _ := j.snapshots[at.snapshot].(Pager)
	return p, at.part
}

func (j *joined) Find(ctx context.Context, id TraceID) ([]int, error) {
	var all []int
	for i, s := range j.snapshots {
		parts, err := s.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, n := range parts {
			all = append(all, j.place[i][n])
		}
	}
	slices.Sort(all)
	return all, nil
}

func (j *joined) Close() {
	for _, s := range j.snapshots {
		s.Close()
	}
}
